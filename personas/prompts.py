"""A persona and a call become the text that the model gets. Pure: nothing here reads the database or the clock."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .models import PersonaVersion
from .moments import in_words
from .opening import opening_text
from .platform import frame, words
from .templating import MAX_VALUE, check_template, pieces, render
from .tools_registry import TRANSFER_TO_HUMAN

__all__ = ["CallFacts", "check_template", "clean_customer_name", "greeting_for", "instructions_for", "parts_for", "render"]

MAX_CUSTOMER_NAME = 40
_NOT_OF_A_NAME = re.compile(r"[^\w\s'.-]|[\d_]")

# What a greeting may name: nothing that can be missing, for it is spoken as it stands.
GREETING_NAMES = frozenset({"organization", "of_organization", "persona_name"})
TEXT_NAMES = GREETING_NAMES | {
    "self_gender",
    "customer_name",
    "now",
    "purpose_note",
    "recording_note",
    "transfer_note",
    "max_minutes",
    "fact_topics",
}
# A call's own variable cannot take one of these names.
FRAME_NAMES = TEXT_NAMES | {"opening", "greeting", "instructions", "never"}


class Author(StrEnum):
    PLATFORM = "platform"
    PERSONA = "persona"
    CALL = "call"


AUTHORS = {
    "persona_name": Author.PERSONA,
    "greeting": Author.PERSONA,
    "instructions": Author.PERSONA,
    "never": Author.PERSONA,
    "fact_topics": Author.PERSONA,
    "organization": Author.CALL,
    "customer_name": Author.CALL,
    "now": Author.CALL,
    "max_minutes": Author.CALL,
}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the prompt, and whose words it is made of."""

    text: str
    author: Author


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a prompt says of one call.

    `now` is aware, in the callee's zone; `max_minutes` is how long it may last; `opening` is what is spoken first, "" for what the
    platform says today.
    """

    organization: str
    of_organization: str
    purpose: str
    now: datetime
    max_minutes: int
    customer_name: str = ""
    transfer_available: bool = False
    recording: str = "off"
    opening: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


def clean_customer_name(raw: str) -> str:
    """A name as a prompt may hold it: one line of at most 40 letters, spaces, - ' and . (a name field can carry orders)."""
    text = unicodedata.normalize("NFC", raw).replace("’", "'")
    return " ".join(_NOT_OF_A_NAME.sub(" ", text).split())[:MAX_CUSTOMER_NAME].strip()


def clean_value(raw: object) -> str:
    """The value of a call's own variable as a prompt may hold it: one line of at most 300 characters."""
    text = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in str(raw)[: 4 * MAX_VALUE])
    return " ".join(text.split())[:MAX_VALUE]


def instructions_for(version: PersonaVersion, call: CallFacts) -> str:
    """The exact instructions that the model gets for a call: the platform's frame with the persona's part in it."""
    return "".join(part.text for part in parts_for(version, call))


def parts_for(version: PersonaVersion, call: CallFacts) -> list[Part]:
    """The same in pieces, each with whose words it is made of. Joined they are `instructions_for`."""
    values = _values(version, call)
    opening = call.opening or opening_text(
        locale=version.locale,
        gender=version.self_gender,
        of_organization=call.of_organization,
        organization=call.organization,
        purpose=call.purpose,
    )
    texts = _persona_texts(version, call, values)
    filled_in = pieces(frame(version.locale).strip(), {**values, **texts, "opening": opening})
    return [Part(text, AUTHORS.get(name, Author.PLATFORM)) for name, text in filled_in if text]


def greeting_for(version: PersonaVersion, call: CallFacts) -> str:
    """What the persona says after the opening."""
    return _persona_texts(version, call, _values(version, call))["greeting"]


def _persona_texts(version: PersonaVersion, call: CallFacts, values: Mapping[str, str]) -> dict[str, str]:
    own = {name: clean_value(call.variables.get(name, "")) for name in version.variables}
    known = {**own, **values}
    return {
        "instructions": render(version.instructions.strip(), known),
        "greeting": render(" ".join(version.greeting.split()), known),
        "never": "\n".join(f"- {render(rule, known)}" for rule in version.never),
    }


def _values(version: PersonaVersion, call: CallFacts) -> dict[str, str]:
    say = words(version.locale)
    has_transfer = call.transfer_available and TRANSFER_TO_HUMAN in version.tools
    return {
        "organization": call.organization,
        "of_organization": call.of_organization,
        "persona_name": version.role_name or version.name,
        "self_gender": version.self_gender,
        "customer_name": clean_customer_name(call.customer_name) or say.customer_name_missing,
        "now": in_words(call.now, version.locale),
        "purpose_note": say.purpose_note["fictional_business" if version.fictional_business else call.purpose],
        "recording_note": say.recording_note[call.recording],
        "transfer_note": say.transfer_note["available" if has_transfer else "none"],
        "max_minutes": str(call.max_minutes),
        "fact_topics": ", ".join(fact["title"] for fact in version.facts) or say.no_facts,
    }
