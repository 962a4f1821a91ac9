"""What the phones wrote down, read as the legs of calls: whom it rang, who picked up, what was heard, how it was over."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Happening(StrEnum):
    """What happens to a phone. A log knows others too, of which nobody asks anything."""

    DIALLED = "dialled"  # the SIP service was asked to; its ringing time-out runs from here on
    INVITED = "invited"
    RINGING = "ringing"
    ANSWERED = "answered"
    REJECTED = "rejected"
    CANCELED = "canceled"
    REFER = "refer"
    BYE_RECEIVED = "bye_received"
    BYE_SENT = "bye_sent"
    LINE_DIED = "line_died"
    SAYS = "says"
    SAID = "said"
    VOICE_BEGINS = "voice_begins"
    VOICE_ENDS = "voice_ends"


ENDS = frozenset({Happening.REJECTED, Happening.CANCELED, Happening.BYE_RECEIVED, Happening.BYE_SENT, Happening.LINE_DIED})


@dataclass
class Leg:
    """One INVITE at one phone. Times are monotonic seconds of this machine; `code` is the SIP status of a rejection."""

    number: str
    room: str
    invited_at: float
    dialled_at: float | None = None
    ringing_at: float | None = None
    answered_at: float | None = None
    referred_at: float | None = None
    ended_at: float | None = None
    ended_how: str = ""
    code: int = 0
    voices: list[tuple[float, float]] = field(default_factory=list)
    # When the callee began to speak: never before the persona had been heard out.
    spoke_at: list[float] = field(default_factory=list)

    def heard_s(self, since: float, until: float) -> float:
        """Seconds of the persona's voice between two moments."""
        return sum(max(0.0, min(end, until) - max(begin, since)) for begin, end in self.voices)


class PhoneLog:
    """The happenings of each phone, in the order in which they were written."""

    def __init__(self, happenings: Iterable[dict[str, Any]] = ()) -> None:
        self._of: dict[str, list[dict[str, Any]]] = {}
        for it in happenings:
            self.add(it)

    def add(self, it: dict[str, Any]) -> None:
        self._of.setdefault(it["number"], []).append(it)

    def of(self, number: str) -> list[dict[str, Any]]:
        return self._of.get(number, [])

    def legs(self, number: str) -> list[Leg]:
        """The legs of one number, in the order of their INVITEs."""
        legs: list[Leg] = []
        latest: dict[str, Leg] = {}
        dialled: dict[str, float] = {}
        for it in self.of(number):
            if it["what"] == Happening.DIALLED:
                dialled[it["room"]] = it["at"]
            elif it["what"] == Happening.INVITED:
                latest[it["room"]] = Leg(number, it["room"], it["at"], dialled_at=dialled.get(it["room"], it["at"]))
                legs.append(latest[it["room"]])
            elif it["room"] in latest:
                _add(latest[it["room"]], it)
        return legs

    def open_legs(self) -> list[Leg]:
        """The legs of all numbers that are not over."""
        return [leg for number in self._of for leg in self.legs(number) if leg.ended_at is None]


def _add(leg: Leg, it: dict[str, Any]) -> None:
    at, what = it["at"], it["what"]
    if what == Happening.RINGING:
        leg.ringing_at = at
    elif what == Happening.ANSWERED:
        leg.answered_at = at
    elif what == Happening.REFER:
        leg.referred_at = at
    elif what == Happening.SAYS:
        leg.spoke_at.append(at)
    elif what == Happening.VOICE_BEGINS:
        leg.voices.append((at, at))
    elif what == Happening.VOICE_ENDS and leg.voices:
        leg.voices[-1] = (leg.voices[-1][0], at)
    elif what in ENDS and leg.ended_at is None:
        leg.ended_at, leg.ended_how = at, what
        leg.code = int(it.get("detail") or 0) if what == Happening.REJECTED else 0


def read(path: Path) -> PhoneLog:
    """The log as it stands; none yet is an empty one."""
    return PhoneLog(map(json.loads, path.read_text().splitlines() if path.exists() else []))


class Tail:
    """Follows a log that is being written."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._log = PhoneLog()

    def look(self) -> PhoneLog:
        """Everything up to now."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole, newline, _rest = file.read().rpartition(b"\n")
            self._offset += len(whole) + len(newline)
            for line in whole.splitlines():
                self._log.add(json.loads(line))
        return self._log
