"""What is known of a kill and of each call that was in flight: all that the judge looks at."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .phone_log import Happening, Leg
from .plans import Plan

# Clocks are read in two places: what rang that long, but for this, has rung out.
NEARLY_S = 0.5
# From the answer to the first voice on a machine that has time; and the lateness that is let pass at most.
USUAL_WAIT_S = 1.0
LATE_AT_MOST_S = 5.0


class Victim(StrEnum):
    WEB = "web"
    QUEUE = "queue worker"
    AGENT = "agent worker"
    JOB = "job"
    REDIS = "Redis"
    POSTGRES = "PostgreSQL"
    LIVEKIT = "livekit-server"
    SIP = "SIP service"


class How(StrEnum):
    KILLED = "killed"
    STOPPED = "stopped 20 s"
    EMPTIED = "killed, comes back empty"  # Redis alone


class Saw(StrEnum):
    """What one call was, as its phone saw it."""

    NOTHING = "no ring"
    BUSY = "busy"
    RANG_OUT = "rang out"
    CUT_RINGING = "stopped ringing"
    LINE_DIED = "was ringing when the line died"
    ANSWERED = "picked up"


@dataclass(frozen=True)
class Kill:
    """Who died, how, at which step, from when until it was back (monotonic seconds)."""

    seed: int
    step: str
    victim: Victim
    how: How
    at: float
    back_at: float

    @property
    def outage_s(self) -> float:
        return self.back_at - self.at


@dataclass(frozen=True)
class ModelTurn:
    """One finished utterance in the model's own journal; the sound of an assistant's begins at `at` at the earliest and lasts `lasts_s`."""

    role: str
    text: str
    at: float
    lasts_s: float = 0.0


@dataclass(frozen=True)
class CallFacts:
    """One planned call: the rows that the product made of it (the retries too), the phone's legs, the transcript, the model's journal."""

    plan: Plan
    calls: list[dict[str, Any]]
    legs: list[Leg]
    requests: int = 1
    turns: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    model_turns: list[ModelTurn] = field(default_factory=list)
    # Whether the call had ended, by its row, before anything died.
    over_before: bool = False
    # How late this machine was with what nobody's death held up.
    late_s: float = 0.0
    judged_at: float = 0.0

    def legs_of(self, call: dict[str, Any]) -> list[Leg]:
        return [leg for leg in self.legs if leg.room == call["room"]]


def lateness(legs: Iterable[Leg], *, before: float) -> float:
    """How many seconds longer than usual it took, at most, from picking up to the first voice, in calls that were heard `before`."""
    waits = [leg.voices[0][0] - leg.answered_at for leg in legs if leg.answered_at is not None and leg.voices and leg.voices[0][0] < before]
    return min(max(0.0, max(waits, default=0.0) - USUAL_WAIT_S), LATE_AT_MOST_S)


def saw(legs: Iterable[Leg], plan: Plan) -> Saw:
    """What the phone saw of one call; of several INVITEs the one that came furthest."""
    found = [_saw(leg, plan.what.rings_out_after_s) for leg in legs]
    return max(found, key=list(Saw).index, default=Saw.NOTHING)


def _saw(leg: Leg, rings_out_after_s: float) -> Saw:
    if leg.answered_at is not None:
        return Saw.ANSWERED
    if leg.ended_how == Happening.REJECTED:
        return Saw.BUSY
    if leg.ended_how == Happening.LINE_DIED:
        return Saw.LINE_DIED
    began_at = leg.invited_at if leg.dialled_at is None else leg.dialled_at
    if leg.ended_at is not None and leg.ended_at - began_at >= rings_out_after_s - NEARLY_S:
        return Saw.RANG_OUT
    return Saw.CUT_RINGING
