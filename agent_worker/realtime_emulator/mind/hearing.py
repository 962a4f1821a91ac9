"""What a sentence means: intents, and the details of a request, by patterns on folded text."""

import functools
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agent_worker.realtime_emulator.speech import LANGUAGES

WORDS = Path(__file__).parent / "words"


@functools.lru_cache(maxsize=256)  # a session's instructions, twelve thousand letters, are folded for each reply
def fold(text: str) -> str:
    """Lower case, without accents and punctuation (but "?"), of the same length: a place in it is a place in the text."""
    return "".join(_fold(character) for character in text)


def _fold(character: str) -> str:
    base = unicodedata.normalize("NFD", character)[0].lower()
    return base if len(base) == 1 and (base.isalnum() or base in "?…") else " "


@functools.cache
def pattern(source: str) -> re.Pattern[str]:
    """A pattern over folded text; a space in it stands for any run of spaces, " ?" for one or none."""
    spaced = source.replace(" ?", r"\s*").replace(" ", r"\s+")
    return re.compile(rf"(?:^|\b)(?:{spaced})")


@functools.cache
def vocabulary(name: str) -> dict[str, Any]:
    """One of the YAML files beside this module."""
    data: dict[str, Any] = yaml.safe_load((WORDS / f"{name}.yaml").read_text(encoding="utf-8"))
    return data


def prepare() -> None:
    """Reads all words and compiles all patterns: a tenth of a second that no caller's first sentence should cost."""
    hearing = vocabulary("hearing")
    sources = [source for group in ("intents", "signs") for patterns in hearing[group].values() for source in patterns]
    sources += [source for locale in LANGUAGES for source in vocabulary(locale)["slots"].values()]
    for source in sources:
        pattern(source)


@dataclass(frozen=True)
class Heard:
    """A sentence, and what it means."""

    text: str
    folded: str
    intent: str

    def is_a(self, *intents: str) -> bool:
        return self.intent in intents


def understand(text: str, locale: str) -> Heard:
    """The first intent, in the order of hearing.yaml, whose patterns fit."""
    folded = fold(text)
    for intent, sources in vocabulary("hearing")["intents"].items():
        if any(pattern(source).search(folded) for source in sources) or (intent == "foreign" and _is_foreign(folded, locale)):
            return Heard(text, folded, intent)
    return Heard(text, folded, "statement")


def means(name: str, text: str) -> bool:
    """Does the text fit one of the other patterns of hearing.yaml: notices, tool answers, answers to a question of ours?"""
    folded = fold(text)
    return any(pattern(source).search(folded) for source in vocabulary("hearing")["signs"][name])


def _is_foreign(folded: str, locale: str) -> bool:
    """More words of the other language than of ours."""
    words = set(folded.replace("?", " ").split())
    english, portuguese = (len(words & set(vocabulary("hearing")["common_words"][language])) for language in ("english", "portuguese"))
    return english >= 2 and english > portuguese if locale.startswith("pt") else portuguese >= 2 and portuguese > english


def sentences(text: str) -> list[str]:
    return [part.strip() for part in re.findall(r"[^.!?:;]+[.!?:;]*", text) if part.strip()]


def question_in(text: str) -> str:
    """The part of a turn that asks."""
    asking = [sentence for sentence in sentences(text) if "?" in sentence]
    return " ".join(asking) or text


def telling_in(text: str) -> str:
    """The part of a turn that does not."""
    return " ".join(sentence for sentence in sentences(text) if "?" not in sentence)
