"""Judges the calls of a kill, by what the phones saw; the product's rows are what is judged."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .facts import CallFacts, How, Kill, ModelTurn, Saw, Victim, saw
from .phone_log import Happening, Leg
from .truths import (
    ALONE_S,
    AWAY_COUNTS,
    BEING_WRITTEN_S,
    EXCUSES,
    GIVEN_UP_BECAUSE,
    HARMLESS,
    HOLDERS,
    SIP_SERVICE_GIVES_UP_AFTER_S,
    STUCK_AFTER_S,
    TRUE_OUTCOMES,
)

# Less than the opening's voice lasts, as fast as the rig's personas speak; and the share of a turn that a line with losses brings over.
OPENING_S = 4.4
HEARD_SHARE = 0.7
A_MOMENT_S = 1.0
A_BREATH_S = 0.1
# No answer to what the callee says comes sooner: a voice that does is the persona's last turn, which they spoke into.
SHORTEST_LINE_S = 1.2
HUNG_UP = ("answered", "callee.hangup")
RANG_OUT = ("no_answer", "dial.no_answer")


@dataclass(frozen=True)
class Breach:
    """A promise that was broken: which, and what was seen."""

    promise: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"


def judge(facts: CallFacts, kill: Kill) -> list[Breach]:
    """Every promise that was broken to this callee."""
    rules = (_asked_once, _rang_once, _ended, _truthful, _undisturbed, _not_alone, _nothing_lost)
    return [breach for rule in rules for breach in rule(facts, kill)]


def _asked_once(facts: CallFacts, _kill: Kill) -> Iterator[Breach]:
    first = [call for call in facts.calls if not call.get("retry_of")]
    if len(first) != 1:
        yield Breach("one call", f"{len(first)} calls were made of one request")
    if facts.requests != 1:
        yield Breach("one request row", f"{facts.requests} rows")


def _rang_once(facts: CallFacts, _kill: Kill) -> Iterator[Breach]:
    for call in facts.calls:
        if (rings := len(facts.legs_of(call))) > 1:
            yield Breach("rings at most once", f"{rings} INVITEs for the call {call['id']}")
    rooms = {call["room"] for call in facts.calls}
    for leg in facts.legs:
        if leg.room not in rooms:
            yield Breach("rings at most once", f"an INVITE for no call of this number, from the room {leg.room}")


def _ended(facts: CallFacts, kill: Kill) -> Iterator[Breach]:
    for call in facts.calls:
        # A retry that waits for its time is no call that is stuck.
        if call["status"] not in ("ended", "scheduled"):
            yield Breach("nothing stuck", f"{call['status']} {facts.judged_at - kill.back_at:.0f} s after all was back")
    for leg in facts.legs:
        if leg.ended_at is None:
            yield Breach("nothing stuck", "the phone is still in the call")


def _truthful(facts: CallFacts, kill: Kill) -> Iterator[Breach]:
    for call in facts.calls:
        legs = facts.legs_of(call)
        seen, outcome = saw(legs, facts.plan), call["outcome"]
        if call["status"] != "ended" or outcome in TRUE_OUTCOMES[seen] | _excused(legs, seen, kill):
            continue
        yield Breach("a true outcome", f"{outcome} ({call['ended_reason']}), but the phone: {seen}")


def _excused(legs: list[Leg], seen: Saw, kill: Kill) -> frozenset[str]:
    """Outcomes that are true enough because of who died."""
    outcomes: frozenset[str] = frozenset()
    for excuse in EXCUSES:
        if excuse.saw == seen and kill.victim in excuse.victims and any(_touched(leg, kill, excuse.gone_within_s) for leg in legs):
            outcomes |= excuse.outcomes
    return outcomes


def _touched(leg: Leg, kill: Kill, gone_within_s: float) -> bool:
    """Whether the dial's answer came after (or a moment before) the death, and the phone was gone so soon after it."""
    answer_at = leg.answered_at if leg.answered_at is not None else leg.ended_at
    not_known_yet = answer_at is None or answer_at > kill.at - A_MOMENT_S
    return not_known_yet and (leg.ended_at is None or leg.ended_at - kill.at <= gone_within_s)


def _undisturbed(facts: CallFacts, kill: Kill) -> Iterator[Breach]:
    """What nobody's death had to change ends as it would have; and who was not dialled is dialled in the end."""
    for call in facts.calls:
        if call["status"] != "ended" or call.get("retry_of"):
            continue
        end = (call["outcome"], call["ended_reason"])
        natural = end == (facts.plan.what.outcome, facts.plan.what.reason)
        natural |= end == RANG_OUT and saw(facts.legs_of(call), facts.plan) == Saw.RANG_OUT  # who was to cancel it came too late
        natural |= end == HUNG_UP and any(leg.ended_how == Happening.BYE_SENT for leg in facts.legs_of(call))
        if not natural and (facts.over_before or kill.victim in HARMLESS):
            yield Breach("goes on undisturbed", f"a call that {facts.plan.kind} ended as {call['outcome']} ({call['ended_reason']})")
        elif call["outcome"] == "failed" and not call["dialing_at"] and call["ended_reason"] not in GIVEN_UP_BECAUSE:
            yield Breach("is dialled in the end", f"nobody dialled, and it failed ({call['ended_reason']})")


def _not_alone(facts: CallFacts, kill: Kill) -> Iterator[Breach]:
    limit = ALONE_S + (kill.outage_s if kill.victim in AWAY_COUNTS else 0.0) + facts.late_s
    limit += SIP_SERVICE_GIVES_UP_AFTER_S if (kill.victim, kill.how) == (Victim.SIP, How.STOPPED) else 0.0
    for leg in facts.legs:
        if leg.answered_at is None or leg.ended_how == Happening.LINE_DIED:
            continue  # with its line dead a phone hears nobody and hangs up by itself
        over_at = leg.ended_at if leg.ended_at is not None else facts.judged_at
        heard = [(leg.answered_at, leg.answered_at), *leg.voices, (over_at, over_at)]
        alone_s = max(begin - end for (_, end), (begin, _) in itertools.pairwise(heard))
        if alone_s > limit:
            yield Breach("not left alone", f"{alone_s:.1f} s without a voice, {limit:.1f} s are allowed")


def _nothing_lost(facts: CallFacts, kill: Kill) -> Iterator[Breach]:
    for call in facts.calls:
        for leg in facts.legs_of(call):
            kept = facts.turns.get(call["id"], [])
            for turn in facts.model_turns:
                if _was_finished(turn, leg, kill, facts.model_turns) and not any(_same(turn, one) for one in kept):
                    yield Breach("every finished turn kept", f"{turn.role} «{turn.text}» is not in the transcript")


def _same(turn: ModelTurn, kept: dict[str, Any]) -> bool:
    return kept["role"] == turn.role and kept["text"].strip() == turn.text.strip()


def _was_finished(turn: ModelTurn, leg: Leg, kill: Kill, all_turns: list[ModelTurn]) -> bool:
    """Whether the turn was over for certain, early enough before the death of who would write it."""
    over_at = leg.ended_at if leg.ended_at is not None else float("inf")
    written_until = min(over_at, kill.at) if kill.victim in HOLDERS else over_at
    if leg.answered_at is None or not turn.text.strip():
        return False
    if turn.role == "user":
        return turn.at <= written_until - BEING_WRITTEN_S
    said_s = sum(other.lasts_s for other in all_turns if other.role == "assistant" and other.at <= turn.at)
    return _heard_out_at(turn, leg, voice_s=OPENING_S + HEARD_SHARE * said_s) <= written_until - BEING_WRITTEN_S


def _heard_out_at(turn: ModelTurn, leg: Leg, *, voice_s: float) -> float:
    """When the callee has certainly heard the whole of it: they spoke next, which they do in silence only; infinity where they did not.

    The model is far ahead of the sound, and its greeting waits behind the opening: its own times do not tell. `voice_s` is what a
    phone has heard when it has heard everything up to here.
    """
    for at in leg.spoke_at:
        if at >= turn.at + turn.lasts_s:
            spoke_over_it = any(at - A_BREATH_S <= begin <= at + SHORTEST_LINE_S for begin, _ in leg.voices)
            heard = leg.heard_s(leg.answered_at or at, at) >= voice_s
            return at if heard and not spoke_over_it else float("inf")
    return float("inf")


__all__ = ["STUCK_AFTER_S", "Breach", "judge"]
