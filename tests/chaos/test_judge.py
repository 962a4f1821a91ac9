"""The judge, tried with made-up logs: what is wrong is found, and what is right is let pass."""

from dataclasses import replace
from typing import Any

import pytest

from .facts import CallFacts, How, Kill, ModelTurn, Saw, Victim, lateness, saw
from .judge import judge
from .phone_log import Leg
from .plans import GOODBYE, GREETING, KINDS, Plan
from .truths import EXCUSES, TRUE_OUTCOMES

ROOM = "call_restaurante_1"
KILL = Kill(seed=1, step="mid-turn", victim=Victim.JOB, how=How.KILLED, at=120.0, back_at=121.0)
HARMLESS = replace(KILL, victim=Victim.WEB)


def plan(kind: str = "talks") -> Plan:
    return Plan(tag="1-0", kind=kind, number="+351910000001", name="Ana Alves", answer_after_s=1)


def row(**columns: Any) -> dict[str, Any]:
    """A call as the API shows it, ended as an undisturbed one that talks."""
    usual = {"id": "1", "room": ROOM, "status": "ended", "outcome": "answered", "ended_reason": "assistant.end_call"}
    return usual | {"dialing_at": "2026-11-24T10:00:00Z", "retry_of": None} | columns


def talked(**changes: Any) -> Leg:
    """A phone that was picked up at 101 and let go at 125, and never heard nothing for long."""
    leg = Leg("+351910000001", ROOM, 100, 100, 100, 101, ended_at=125, ended_how="bye_received")
    leg.voices, leg.spoke_at = [(101.5, 109), (111, 116), (119, 124)], [109.5, 117]
    return replace(leg, **changes)


def rang(until: float, how: str = "canceled") -> Leg:
    return Leg("+351910000001", ROOM, 100, 100, 100, ended_at=until, ended_how=how)


def promises(facts: CallFacts, kill: Kill = KILL) -> list[str]:
    return [breach.promise for breach in judge(facts, kill)]


def facts(**changes: Any) -> CallFacts:
    return replace(CallFacts(plan(), [row()], [talked()], judged_at=190), **changes)


def test_a_call_of_which_all_is_true_is_let_pass() -> None:
    assert promises(facts()) == []


def test_a_second_ring_is_found() -> None:
    assert promises(facts(legs=[rang(100.5), talked()])) == ["rings at most once"]


def test_a_ring_without_a_call_is_found() -> None:
    assert promises(facts(legs=[talked(), replace(rang(106), room="call_restaurante_2")])) == ["rings at most once"]


def test_a_retry_may_ring_once_more_as_a_call_of_its_own() -> None:
    first = row(outcome="busy", ended_reason="dial.busy")
    again = row(id="2", room="call_restaurante_2", retry_of="1")
    legs = [Leg("+351910000001", ROOM, 90, ended_at=90.3, ended_how="rejected", code=486), replace(talked(), room="call_restaurante_2")]
    assert promises(facts(plan=plan("busy"), calls=[first, again], legs=legs)) == []


def test_two_calls_of_one_request_are_found() -> None:
    assert promises(facts(calls=[row(), row(id="2", room="call_restaurante_2", outcome="canceled")])) == ["one call"]


@pytest.mark.parametrize("rows", [0, 2])
def test_a_request_that_is_kept_twice_or_not_at_all_is_found(rows: int) -> None:
    assert promises(facts(requests=rows)) == ["one request row"]


def test_a_call_that_is_stuck_is_found() -> None:
    stuck = row(status="dialing", outcome="", ended_reason="")
    assert promises(facts(calls=[stuck])) == ["nothing stuck"]


def test_a_phone_that_is_still_in_the_call_is_found() -> None:
    assert promises(facts(legs=[talked(ended_at=None, ended_how="")])) == ["nothing stuck", "not left alone"]


# --- Outcomes ---------------------------------------------------------------------------------------------------------

SEEN = {
    Saw.NOTHING: [],
    Saw.BUSY: [Leg("+351910000001", ROOM, 100, ended_at=100.3, ended_how="rejected", code=486)],
    Saw.RANG_OUT: [rang(120)],
    Saw.CUT_RINGING: [rang(102)],
    Saw.LINE_DIED: [rang(102, "line_died")],
    Saw.ANSWERED: [talked()],
}
OUTCOMES = ("answered", "voicemail", "busy", "no_answer", "declined", "unreachable", "canceled", "blocked", "failed")


@pytest.mark.parametrize("seen", Saw)
def test_what_the_phone_saw_is_read_from_its_log(seen: Saw) -> None:
    assert saw(SEEN[seen], plan()) == seen


@pytest.mark.parametrize("seen", Saw)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_that_the_phone_did_not_see_is_found(seen: Saw, outcome: str) -> None:
    # Long after the answer: nobody's death can excuse it.
    late = replace(KILL, at=180.0, back_at=181.0)
    untrue = "a true outcome" in promises(facts(calls=[row(outcome=outcome)], legs=SEEN[seen]), late)
    assert untrue == (outcome not in TRUE_OUTCOMES[seen])


def test_a_busy_that_died_with_its_job_may_have_failed() -> None:
    just_then = replace(KILL, at=100.1, back_at=101.0)
    failed = row(outcome="failed", ended_reason="error.platform.worker_lost")
    busy = facts(plan=plan("busy"), calls=[failed], legs=SEEN[Saw.BUSY])
    assert promises(busy, just_then) == []
    assert promises(busy, replace(just_then, victim=Victim.POSTGRES)) == ["a true outcome"]


def test_who_picked_up_was_answered_although_the_job_is_dead() -> None:
    picked_up = talked(answered_at=120.5, voices=[], spoke_at=[], ended_at=133)
    failed = row(outcome="failed", ended_reason="error.platform.worker_lost")
    assert promises(facts(calls=[failed], legs=[picked_up])) == ["a true outcome"]
    assert promises(facts(calls=[failed], legs=[replace(picked_up, ended_at=126)])) == []


def test_every_excuse_says_why() -> None:
    assert [excuse for excuse in EXCUSES if not excuse.why or not excuse.victims] == []


# --- What a death must not change -------------------------------------------------------------------------------------


def test_a_call_that_a_harmless_death_changes_is_found() -> None:
    failed = row(ended_reason="error.platform.internal")
    assert promises(facts(calls=[failed]), HARMLESS) == ["goes on undisturbed"]
    assert promises(facts(calls=[failed])) == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_undisturbed_call_of_each_kind_is_let_pass(kind: str) -> None:
    what = KINDS[kind]
    legs = {"busy": SEEN[Saw.BUSY], "no_answer": SEEN[Saw.RANG_OUT], "canceled": SEEN[Saw.CUT_RINGING]}.get(kind, [talked()])
    assert promises(facts(plan=plan(kind), calls=[row(outcome=what.outcome, ended_reason=what.reason)], legs=legs), HARMLESS) == []


def test_a_callee_in_a_hurry_may_hang_up() -> None:
    hung_up = row(ended_reason="callee.hangup")
    assert promises(facts(calls=[hung_up]), HARMLESS) == ["goes on undisturbed"]
    assert promises(facts(calls=[hung_up], legs=[talked(ended_how="bye_sent")]), HARMLESS) == []


def test_a_call_that_nobody_dialled_and_nobody_will_is_found() -> None:
    given_up = row(outcome="failed", ended_reason="error.platform.worker_lost", dialing_at=None)
    assert promises(facts(calls=[given_up], legs=[])) == ["is dialled in the end"]


# --- Alone, and what was said -----------------------------------------------------------------------------------------


def test_a_lonely_callee_is_found() -> None:
    lonely = talked(voices=[(101.5, 109)], spoke_at=[110])
    assert promises(facts(legs=[lonely])) == ["not left alone"]


def test_a_callee_whom_nobody_greets_is_lonely() -> None:
    assert promises(facts(legs=[talked(voices=[], spoke_at=[], ended_at=117)])) == ["not left alone"]


def test_an_absence_of_the_database_is_added_to_what_is_allowed() -> None:
    lonely = talked(voices=[(101.5, 109)], spoke_at=[110])
    away = replace(KILL, victim=Victim.POSTGRES, at=108.0, back_at=112.0)
    assert promises(facts(legs=[lonely]), away) == []


def test_who_is_on_a_dead_line_is_not_left_by_us() -> None:
    assert promises(facts(legs=[talked(voices=[], spoke_at=[], ended_how="line_died")])) == []


def test_a_lost_turn_is_found() -> None:
    said = [ModelTurn("assistant", GREETING, at=105, lasts_s=1.5), ModelTurn("user", "Boa tarde.", at=111.5)]
    kept = [{"role": "assistant", "text": GREETING}]
    assert promises(facts(model_turns=said, turns={"1": kept})) == ["every finished turn kept"]
    assert promises(facts(model_turns=said, turns={"1": [*kept, {"role": "user", "text": "Boa tarde."}]})) == []


def test_a_turn_that_was_being_spoken_at_the_death_may_be_missing() -> None:
    said = [ModelTurn("assistant", GOODBYE, at=118.8, lasts_s=1.5), ModelTurn("user", "É tudo.", at=119.2)]
    assert promises(facts(model_turns=said)) == []


def test_a_turn_that_the_callee_spoke_into_may_be_missing() -> None:
    spoken_into = talked(spoke_at=[110.5])
    assert promises(facts(model_turns=[ModelTurn("assistant", GREETING, at=105, lasts_s=1.5)], legs=[spoken_into])) == []


def test_a_turn_that_was_made_and_never_heard_may_be_missing() -> None:
    # The opening was broken off, and the callee spoke into the silence.
    silent = talked(voices=[(101.5, 107), (111, 124)])
    assert promises(facts(model_turns=[ModelTurn("assistant", GOODBYE, at=104, lasts_s=2)], legs=[silent])) == []


def test_what_the_machine_was_late_with_before_anything_died_is_added_to_what_is_allowed() -> None:
    slow = [talked(voices=[(104.5, 109)]), talked(voices=[(108, 109)])]
    assert (lateness(slow, before=120), lateness(slow, before=105), lateness([], before=120)) == (5.0, 2.5, 0.0)
    lonely = facts(legs=[talked(voices=[(101.5, 108)], spoke_at=[110])])
    assert [promises(lonely), promises(replace(lonely, late_s=2.5))] == [["not left alone"], []]


def test_a_sip_service_that_stood_still_gives_up_by_itself_and_a_killed_one_at_once() -> None:
    lonely = facts(legs=[talked(voices=[(101.5, 109)], spoke_at=[110], ended_at=160)])
    still = replace(KILL, victim=Victim.SIP, how=How.STOPPED, at=109.0, back_at=119.0)
    assert [promises(lonely, still), promises(lonely, replace(still, how=How.KILLED))] == [[], ["not left alone"]]
