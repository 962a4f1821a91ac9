"""The details of what a caller asks for: which are known, which to ask for next, and how they sum up."""

import re
from dataclasses import dataclass, field
from typing import Any

from agent_worker.realtime_emulator.mind.hearing import fold, means, pattern, telling_in, understand
from agent_worker.realtime_emulator.mind.scene import Scene

# Whatever is said after one of these was asked for answers it.
_ANY_ANSWER = {"contact", "wishes", "first_time", "process", "callback"}
_SPOKEN_BACK = ("day", "hour", "people", "name")


@dataclass
class Request:
    """A table, an appointment, a call back: its details so far, the last value of each; `fresh` are those of the last turn."""

    slots: tuple[str, ...]
    begun: bool = False
    known: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, str] = field(default_factory=dict)
    corrected: str | None = None

    @property
    def missing(self) -> str | None:
        return next((slot for slot in self.slots if slot not in self.known), None)

    @property
    def worth_confirming(self) -> bool:
        return self.begun and sum(slot in self.known for slot in _SPOKEN_BACK) >= 2

    def take(self, found: dict[str, str]) -> None:
        changed = [slot for slot, value in found.items() if self.known.get(slot, value) != value]
        self.corrected = found[changed[0]] if changed else None
        self.fresh = found
        self.known.update(found)

    def summary(self, words: dict[str, Any]) -> str:
        forms = words["summary"]
        return ", ".join(forms.get(slot, "{value}").format(value=self.known[slot]) for slot in _SPOKEN_BACK if slot in self.known)


def request_in(scene: Scene, words: dict[str, Any]) -> Request:
    """What the whole conversation says about the request; what kind it is follows from the instructions."""
    folded = fold(scene.instructions)
    flow: dict[str, Any] | None = next((flow for flow in words["flows"] if re.search(flow["when"], folded)), None)
    request = Request(tuple(flow["slots"]), begun=bool(flow.get("at_once"))) if flow else Request(())
    asked: str | None = None
    for line in scene.lines:
        if line.kind == "assistant":
            asked = _asked(line.text, words)
        elif line.kind == "user":
            request.take(_found(line.text, asked, words))
            # A day in a question («abrem amanhã?») asks for nothing yet.
            told = _found(telling_in(line.text), asked, words)
            request.begun = request.begun or means("asked_for_a_request", line.text) or any(slot in told for slot in request.slots)
    return request


def _asked(text: str, words: dict[str, Any]) -> str | None:
    return next((slot for slot, questions in words["ask"].items() if any(question in text for question in questions)), None)


def _found(text: str, asked: str | None, words: dict[str, Any]) -> dict[str, str]:
    found = {}
    folded = fold(text)
    for slot, source in words["slots"].items():
        if matches := list(pattern(source).finditer(folded)):
            group = next(index for index, value in enumerate(matches[-1].groups(), 1) if value is not None)
            found[slot] = _value(text[matches[-1].start(group) : matches[-1].end(group)], slot)
    if asked == "name" and "name" not in found and (name := _bare_name(text, words)):
        found["name"] = name
    if asked in _ANY_ANSWER and asked not in found and (told := telling_in(text)) and not means("filler", told):
        found[asked] = told
    return found


_NAME = r"[A-ZÀ-Ý][\w'-]+(?: (?:d[aeo]s? )?[A-ZÀ-Ý][\w'-]*){0,3}"


def _value(text: str, slot: str) -> str:
    """As it was said; a name keeps its capital letters and ends where they end."""
    if slot != "name":
        return text.strip().lower()
    name = re.match(_NAME, text.strip())
    return name[0] if name else text.strip()


def _bare_name(text: str, words: dict[str, Any]) -> str | None:
    """A turn that begins with a name and nothing else before the pause."""
    name = re.match(rf"\s*({_NAME})\s*(?:[.,;!]|$)", text)
    if (
        name is None
        or means("filler", name[1])
        or understand(name[1], "").is_a("yes", "no", "farewell")
        or pattern(words["slots"]["day"]).search(fold(name[1]))
    ):
        return None
    return name[1]
