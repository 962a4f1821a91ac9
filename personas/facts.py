"""Finding a persona's facts by what a caller says: case, accents and word endings do not matter.

A fact is known by its title and its aliases. Rare words weigh more than frequent ones (inverse document frequency over
the persona's own facts), so that «quanto custa o polvo» is about the octopus and not about every price. What is spoken
(`value`) helps with words that no other fact has.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

MAX_QUESTION = 300
# A phrase is meant when this share of its weight was said, or when it takes up this share of the question's.
LEAST_OF_PHRASE = 0.6
LEAST_OF_QUESTION = 0.5
# Below this share of the question even a whole phrase was said by the way.
CHANCE = 0.25
# «De», «que», «onde»: they only tell «esta chamada» from «chamadas».
STOP_WORD_WEIGHS = 0.1
# «O que é isto?» is a phrase of such words alone: then it has to be nearly all that was asked.
NOTHING_BUT_STOP_WORDS = 0.8
# A word of the spoken text alone says less than one of an alias.
VALUE_COUNTS = 0.5
# The second fact is told only when it fits nearly as well as the first.
NEARLY = 0.6

_WORD = re.compile(r"[a-z0-9]+")
_FORMS = yaml.safe_load((Path(__file__).parent / "word_forms.yaml").read_text(encoding="utf-8"))
_STOP_WORDS = frozenset(" ".join(_FORMS["stop_words"].values()).split())
_PLURALS: list[tuple[str, str]] = [(plural, singular) for plural, singular in _FORMS["plurals"]]
_ENDINGS = sorted(_FORMS["endings"].split(), key=len, reverse=True)
_LEAST_STEM = 3


def lookup(facts: Sequence[Mapping[str, Any]], question: str, *, most: int = 2) -> list[Mapping[str, Any]]:
    """The facts that answer `question`, the best first, at most `most`; [] when none does."""
    asked = _stems(question[:MAX_QUESTION])
    vocabularies = [_vocabulary(fact) for fact in facts]
    frequency = Counter(stem for vocabulary in vocabularies for stem in vocabulary)
    # A word that no fact has weighs as much as one that a single fact has: the question is about something else.
    weights = {
        stem: STOP_WORD_WEIGHS if stem.startswith(".") else math.log(1 + len(facts) / max(1, frequency[stem]))
        for stem in asked.union(*vocabularies)
    }
    scored = [(score, fact) for fact in facts if (score := _score(fact, asked, weights)) > 0]
    scored.sort(key=lambda pair: -pair[0])
    return [fact for score, fact in scored[:most] if score >= NEARLY * scored[0][0]]


def _score(fact: Mapping[str, Any], asked: frozenset[str], weights: Mapping[str, float]) -> float:
    def weight(stems: Iterable[str]) -> float:
        return sum(weights[stem] for stem in stems)

    best = 0.0
    of_question = weight(asked)
    for phrase in (fact["title"], *fact["aliases"]):
        stems = _stems(phrase)
        said = weight(stems & asked)
        of_phrase = said / weight(stems) if stems else 0
        share = said / of_question if said else 0
        if all(stem.startswith(".") for stem in stems & asked):
            is_meant = of_phrase >= NOTHING_BUT_STOP_WORDS and share >= NOTHING_BUT_STOP_WORDS
        else:
            is_meant = (of_phrase >= LEAST_OF_PHRASE and share >= CHANCE) or share >= LEAST_OF_QUESTION
        if is_meant:
            best = max(best, said * (1 + of_phrase))
    said = weight(stem for stem in _stems(fact["value"]) & asked if not stem.startswith("."))
    if said and said / of_question >= LEAST_OF_QUESTION:
        best = max(best, VALUE_COUNTS * said)
    return best


def _vocabulary(fact: Mapping[str, Any]) -> frozenset[str]:
    return _stems(fact["title"]).union(_stems(fact["value"]), *map(_stems, fact["aliases"]))


@lru_cache(maxsize=4096)
def _stems(text: str) -> frozenset[str]:
    """The words of `text`, without accents and endings; those that mean little are marked with a dot."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(letter))
    return frozenset(f".{word}" if word in _STOP_WORDS else _stem(word) for word in _WORD.findall(plain))


def _stem(word: str) -> str:
    for plural, singular in _PLURALS:
        if word.endswith(plural) and len(word) - len(plural) + len(singular) >= _LEAST_STEM:
            word = word.removesuffix(plural) + singular
            break
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            return word.removesuffix(ending)
    return word
