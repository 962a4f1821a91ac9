"""What a persona's text must be like to be saved and published: every limit, in one place."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

from django.utils.translation import gettext as _

from accounts.models import Organization
from accounts.purposes import Purpose

from . import voices
from .exceptions import PromptTooLong, TemplateError
from .models import PersonaText, PersonaVersion
from .moments import in_words
from .platform import words as platform_words
from .prompts import FRAME_NAMES, GREETING_NAMES, MAX_CUSTOMER_NAME, TEXT_NAMES, CallFacts, instructions_for
from .templating import MAX_TEMPLATE, MAX_VALUE, check_template
from .tools_registry import OPTIONAL

MAX_INSTRUCTION_WORDS = 700
MAX_GREETING = 500
MAX_FACTS = 100
MAX_FACT_WORDS = 45
MAX_FACT = 400
MAX_ALIASES = 30
MAX_ALIAS = 80
MAX_VARIABLES = 20
ANALYSIS_TYPES = ("string", "number", "boolean", "choice")
MAX_ANALYSIS_FIELDS = 20

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
Problems = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Limit:
    """How many lines a list may have, and how many characters a line."""

    lines: int
    characters: int


LISTS = {"never": Limit(30, 300), "try_saying": Limit(10, 200), "sample_call": Limit(20, 300)}


def problems_of(text: PersonaText) -> Problems:
    """Everything that is wrong with a persona's text, as sentences by field; {} if nothing is."""
    problems: Problems = {}
    checks: dict[str, Callable[[PersonaText], Iterable[str]]] = {
        "instructions": _of_instructions,
        "greeting": _of_greeting,
        "never": _of_never,
        "variables": _of_variables,
        "voice": _of_voice,
        "model": _of_model,
        "reasoning_effort": _of_effort,
        "tools": _of_tools,
        "analysis": _of_analysis,
    }
    for field, check in checks.items():
        if sentences := [*check(text)]:
            problems[field] = sentences
    for field, limit in LISTS.items():
        if sentences := [*_of_lines(getattr(text, field), limit)]:
            problems[field] = [*problems.get(field, []), *sentences]
    return problems


def problems_of_facts(facts: Collection[Mapping[str, Any]]) -> list[str]:
    """Everything that is wrong with a persona's facts, as sentences that name the fact."""
    sentences = []
    if len(facts) > MAX_FACTS:
        sentences.append(_("There are {count} facts; at most {most} fit.").format(count=len(facts), most=MAX_FACTS))
    for key, count in Counter(fact["key"] for fact in facts).items():
        if count > 1:
            sentences.append(_("There are {count} facts with the key “{key}”.").format(count=count, key=key))
    for fact in facts:
        sentences += [f"{fact['title']}: {sentence}" for sentences in problems_of_fact(fact).values() for sentence in sentences]
    return sentences


def problems_of_fact(fact: Mapping[str, Any]) -> Problems:
    """Everything that is wrong with one fact (`value`, `aliases`), as sentences by field."""
    problems: Problems = {}
    words, length = len(fact["value"].split()), len(fact["value"])
    if words > MAX_FACT_WORDS or length > MAX_FACT:
        problems["value"] = [
            _("A fact is spoken in one breath: it has {words} words and {length} characters; at most {most_words} and {most} fit.").format(
                words=words, length=length, most_words=MAX_FACT_WORDS, most=MAX_FACT
            )
        ]
    if sentences := [*_of_lines(fact["aliases"], Limit(MAX_ALIASES, MAX_ALIAS))]:
        problems["aliases"] = sentences
    return problems


def problems_of_prompt(version: PersonaVersion) -> list[str]:
    """What is wrong with the whole prompt of a version (whose parts are right) in the calls that make it longest."""
    purposes, recordings = Purpose.values, platform_words(version.locale).recording_note
    for purpose, recording, transfer_available in product(purposes, recordings, (False, True)):
        call = CallFacts(
            organization="x" * _longest("name"),
            of_organization="x" * _longest("of_organization"),
            purpose=purpose,
            customer_name="x" * MAX_CUSTOMER_NAME,
            now=_longest_moment(version.locale),
            transfer_available=transfer_available,
            recording=recording,
            max_minutes=99,
            variables=dict.fromkeys(version.variables, "x" * MAX_VALUE),
        )
        try:
            instructions_for(version, call)
        except PromptTooLong as error:
            return [str(error)]
    return []


def _longest(column: str) -> int:
    length: int = Organization._meta.get_field(column).max_length  # type: ignore[union-attr, assignment]
    return length


def _longest_moment(locale: str) -> datetime:
    week_in_each_month = (datetime(2026, month, day, 23, 59, tzinfo=UTC) for month in range(1, 13) for day in range(10, 17))
    return max(week_in_each_month, key=lambda moment: len(in_words(moment, locale)))


def _of_instructions(text: PersonaText) -> Iterable[str]:
    yield from _of_template(text.instructions, {*TEXT_NAMES, *text.variables})
    if (words := len(text.instructions.split())) > MAX_INSTRUCTION_WORDS:
        yield _("The instructions have {words} words; at most {most} are still followed.").format(words=words, most=MAX_INSTRUCTION_WORDS)


def _of_greeting(text: PersonaText) -> Iterable[str]:
    yield from _of_template(text.greeting, {*GREETING_NAMES, *text.variables}, most=MAX_GREETING)


def _of_never(text: PersonaText) -> Iterable[str]:
    for rule in text.never:
        yield from _of_template(rule, {*TEXT_NAMES, *text.variables})


def _of_template(template: str, allowed: Collection[str], most: int = MAX_TEMPLATE) -> Iterable[str]:
    try:
        check_template(template, allowed, most=most)
    except TemplateError as error:
        yield str(error)


def _of_variables(text: PersonaText) -> Iterable[str]:
    if len(text.variables) > MAX_VARIABLES:
        yield _("There are {count} lines; at most {most} fit.").format(count=len(text.variables), most=MAX_VARIABLES)
    for name in text.variables:
        if not _NAME.fullmatch(name):
            yield _("“{name}” is not a name: small letters, digits and _, beginning with a letter, at most 40.").format(name=name)
        elif name in FRAME_NAMES:
            yield _("“{name}” is the platform's own: choose another name.").format(name=name)


def _of_voice(text: PersonaText) -> Iterable[str]:
    if text.voice not in voices.VOICES:
        yield _("There is no voice “{voice}”.").format(voice=text.voice)


def _of_model(text: PersonaText) -> Iterable[str]:
    if not voices.may_use_model(text.model):
        yield _("There is no voice model “{model}”.").format(model=text.model)


def _of_effort(text: PersonaText) -> Iterable[str]:
    if text.reasoning_effort and not voices.may_reason(text.model):
        yield _("The model {model} does not reason: leave the effort empty.").format(model=voices.model_of(text.model))


def _of_tools(text: PersonaText) -> Iterable[str]:
    for name in text.tools:
        if name not in OPTIONAL:
            yield _("There is no tool “{name}” to choose.").format(name=name)


def _of_analysis(text: PersonaText) -> Iterable[str]:
    if len(text.analysis) > MAX_ANALYSIS_FIELDS:
        yield _("There are {count} lines; at most {most} fit.").format(count=len(text.analysis), most=MAX_ANALYSIS_FIELDS)
    for field in text.analysis:
        if not _NAME.fullmatch(field["name"]) or field["type"] not in ANALYSIS_TYPES:
            yield _("“{name}: {type}” is not a field: a name, and one of {types}.").format(
                name=field["name"], type=field["type"], types=", ".join(ANALYSIS_TYPES)
            )
        elif field["type"] == "choice" and len(field.get("options", [])) < 2:
            yield _("“{name}” needs at least two options to choose from.").format(name=field["name"])


def _of_lines(lines: Collection[str], limit: Limit) -> Iterable[str]:
    if len(lines) > limit.lines:
        yield _("There are {count} lines; at most {most} fit.").format(count=len(lines), most=limit.lines)
    for line in lines:
        if len(line) > limit.characters:
            yield _("“{start}…” has {length} characters; at most {most} fit.").format(
                start=line[:24], length=len(line), most=limit.characters
            )
