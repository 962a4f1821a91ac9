"""The platform's own words: what fills the frames, what tools answer, what is spoken when no model can speak.

Data, versioned with the code, shown to staff and not editable by them. The frames are `frame.<locale>.txt`, the rest is
in `words.yaml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from accounts.locales import Locale

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class PlatformWords:
    """One language's words; texts with {{ name }} in them are templates of `personas.prompts`."""

    assistant: Mapping[str, str]  # by grammatical gender
    opening: Mapping[str, str]  # by purpose
    opening_again: Mapping[str, str]  # by purpose
    opening_recording: str
    customer_name_missing: str
    no_facts: str
    purpose_note: Mapping[str, str]  # by purpose, and fictional_business
    recording_note: Mapping[str, str]  # off, on, refused
    transfer_note: Mapping[str, str]  # available, none
    notices: Mapping[str, str]  # silence_first, silence_last, time_nearly_up: what the model is told in mid-call
    tool_answers: Mapping[str, str]
    spoken_without_model: Mapping[str, str]  # technical_failure, opted_out_by_key


@cache
def _all_words() -> dict[str, PlatformWords]:
    texts = yaml.safe_load((HERE / "words.yaml").read_text(encoding="utf-8"))
    return {locale: PlatformWords(**words) for locale, words in texts.items()}


def words(locale: str) -> PlatformWords:
    """The platform's words in one of `accounts.locales.Locale`."""
    return _all_words()[Locale(locale)]


@cache
def frame(locale: str) -> str:
    """The template that stands around every persona's text in a language."""
    return (HERE / f"frame.{Locale(locale)}.txt").read_text(encoding="utf-8")
