"""All that an agent has to know of its call, in one object: drawn once, before the phone rings."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils import timezone

from contacts import numbers
from personas import prompts
from personas.models import PersonaVersion
from personas.opening import opening_text
from personas.platform import PlatformWords, words
from personas.prompts import CallFacts
from personas.tools_registry import tools_for
from personas.voices import model_of

from .models import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """`instructions` is the whole prompt; `opening` the platform's first words and `greeting` the persona's; `tools` the names of
    those that can work on this call; `transfer_number` is "" where nobody can take over."""

    version: PersonaVersion
    model: str
    instructions: str
    opening: str
    greeting: str
    tools: list[str]
    facts: list[dict[str, Any]] = field(repr=False)
    words: PlatformWords = field(repr=False)
    transfer_number: str = field(repr=False)


def brief(call: Call) -> Briefing:
    """The briefing for `call`, as of now. Raises PersonaError for a version whose texts do not make a prompt."""
    version = call.persona_version
    transfer_number = version.transfer_number or settings.TRANSFER_PHONE_NUMBER
    facts = facts_of(call, transfer_available=bool(transfer_number))
    return Briefing(
        version=version,
        model=model_of(version.model),
        instructions=prompts.instructions_for(version, facts),
        opening=call.opening_text,
        greeting=prompts.greeting_for(version, facts),
        tools=tools_for(version.tools, has_facts=bool(version.facts), transfer_available=bool(transfer_number)),
        facts=version.facts,
        words=words(version.locale),
        transfer_number=transfer_number,
    )


def opening_of(call: Call) -> str:
    """What the platform says first (R3): kept with the call, whatever staff change afterwards."""
    return opening_text(
        locale=call.persona_version.locale,
        gender=call.persona_version.self_gender,
        of_organization=call.organization.of_organization,
        organization=call.organization.name,
        purpose=call.purpose,
    )


def facts_of(call: Call, *, transfer_available: bool) -> CallFacts:
    """What the prompt says of the call."""
    zone = numbers.zone_of(numbers.parse(call.number))
    return CallFacts(
        organization=call.organization.name,
        of_organization=call.organization.of_organization,
        purpose=call.purpose,
        customer_name=call.customer_name,
        now=timezone.now().astimezone(zone),
        transfer_available=transfer_available,
        max_minutes=max(1, round(call.max_duration_s / 60)),
        opening=call.opening_text,
        variables=call.variables,
    )
