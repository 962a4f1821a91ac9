"""What a call does not wait for. Times are seconds on one clock; the conversation is played without waiting."""

import pytest

from agent_worker.watchdogs import Due, Patience, Watchdogs

PATIENCE = Patience()
LONG = 300.0


@pytest.fixture
def dogs() -> Watchdogs:
    """A call answered at 0, whose greeting is over at 20."""
    dogs = Watchdogs(max_duration_s=LONG)
    dogs.answered(0)
    persona_speaks(dogs, 1, 20)
    return dogs


def persona_speaks(dogs: Watchdogs, begins: float, ends: float) -> None:
    dogs.agent_spoke(speaks=True, now=begins)
    dogs.agent_spoke(speaks=False, now=ends)


def callee_speaks(dogs: Watchdogs, begins: float, ends: float) -> None:
    dogs.callee_spoke(speaks=True, now=begins)
    dogs.callee_spoke(speaks=False, now=ends)


def test_nothing_is_due_before_the_answer() -> None:
    assert Watchdogs(max_duration_s=1).due(1000) is None


def test_a_silent_callee_is_asked_once_and_then_told_goodbye(dogs: Watchdogs) -> None:
    assert [dogs.due(20 + PATIENCE.silence_s - 0.1), dogs.due(20 + PATIENCE.silence_s)] == [None, Due.ASK_WHETHER_THERE]
    persona_speaks(dogs, 31, 33)
    assert [dogs.due(42.9), dogs.due(43)] == [None, Due.SAY_GOODBYE]
    dogs.agent_spoke(speaks=True, now=44)
    assert dogs.due(58.5) is None  # it still speaks
    dogs.agent_spoke(speaks=False, now=58.6)
    assert dogs.due(58.7) == Due.END_FOR_SILENCE


def test_a_callee_who_speaks_again_is_asked_anew_another_time(dogs: Watchdogs) -> None:
    assert dogs.due(30) == Due.ASK_WHETHER_THERE
    callee_speaks(dogs, 31, 32)
    persona_speaks(dogs, 33, 34)
    assert dogs.due(44) == Due.ASK_WHETHER_THERE


def test_an_answer_that_does_not_come_is_asked_for_and_then_the_model_is_lost(dogs: Watchdogs) -> None:
    callee_speaks(dogs, 21, 22)
    assert [dogs.due(27.9), dogs.due(28), dogs.due(33.9), dogs.due(34)] == [None, Due.NUDGE, None, Due.MODEL_IS_LOST]


def test_a_greeting_that_does_not_come_is_asked_for_sooner() -> None:
    dogs = Watchdogs(max_duration_s=LONG)
    dogs.answered(0)
    dogs.greeting_expected(10)
    assert [dogs.due(12.9), dogs.due(13)] == [None, Due.NUDGE]


def test_an_answer_without_words_is_an_answer(dogs: Watchdogs) -> None:
    callee_speaks(dogs, 21, 22)
    dogs.model_answered(23)
    assert [dogs.due(29), dogs.due(33)] == [None, Due.ASK_WHETHER_THERE]


def test_a_lost_answer_is_asked_for_at_once(dogs: Watchdogs) -> None:
    dogs.model_lost_the_answer(21)
    assert dogs.due(21) == Due.NUDGE


def test_a_callee_who_goes_on_speaking_is_not_answered_into(dogs: Watchdogs) -> None:
    callee_speaks(dogs, 21, 22)
    dogs.callee_spoke(speaks=True, now=24)
    assert dogs.due(60) is None


def test_while_a_tool_runs_neither_silence_nor_a_missing_answer_counts(dogs: Watchdogs) -> None:
    callee_speaks(dogs, 21, 22)
    dogs.pause()
    assert dogs.due(60) is None
    dogs.resume(60)
    assert [dogs.due(65), dogs.due(66)] == [None, Due.NUDGE]


def test_after_an_outage_of_the_line_a_silent_callee_is_spoken_to_soon(dogs: Watchdogs) -> None:
    dogs.pause()
    dogs.line_is_back(60)
    soon = 60 + PATIENCE.after_outage_s
    assert [dogs.due(soon - 0.1), dogs.due(soon)] == [None, Due.ASK_WHETHER_THERE]
    persona_speaks(dogs, 63, 64)
    assert [dogs.due(64 + PATIENCE.silence_s - 0.1), dogs.due(64 + PATIENCE.silence_s)] == [None, Due.SAY_GOODBYE]


def test_what_was_asked_before_an_outage_is_asked_again(dogs: Watchdogs) -> None:
    assert dogs.due(30) == Due.ASK_WHETHER_THERE
    persona_speaks(dogs, 31, 32)
    dogs.pause()
    dogs.line_is_back(60)
    assert dogs.due(60 + PATIENCE.after_outage_s) == Due.ASK_WHETHER_THERE


def test_words_that_end_when_the_line_has_only_just_come_back_may_not_have_been_heard(dogs: Watchdogs) -> None:
    dogs.pause()
    dogs.agent_spoke(speaks=True, now=59)
    dogs.line_is_back(60)
    dogs.agent_spoke(speaks=False, now=61)
    assert dogs.due(61 + PATIENCE.after_outage_s) == Due.ASK_WHETHER_THERE


def test_who_was_heard_after_an_outage_leaves_the_callee_their_time(dogs: Watchdogs) -> None:
    dogs.pause()
    dogs.agent_spoke(speaks=True, now=59)
    dogs.line_is_back(60)
    dogs.agent_spoke(speaks=False, now=64)
    assert [dogs.due(64 + PATIENCE.silence_s - 0.1), dogs.due(64 + PATIENCE.silence_s)] == [None, Due.ASK_WHETHER_THERE]


def test_an_answer_that_an_outage_held_up_is_asked_for_sooner(dogs: Watchdogs) -> None:
    callee_speaks(dogs, 21, 22)
    dogs.pause()
    dogs.line_is_back(60)
    assert dogs.due(60 + PATIENCE.after_outage_s) == Due.NUDGE


def test_the_end_of_the_time_is_announced_in_a_pause(dogs: Watchdogs) -> None:
    dogs.agent_spoke(speaks=True, now=269)
    assert dogs.due(271) is None
    dogs.agent_spoke(speaks=False, now=273)
    assert [dogs.due(273), dogs.due(274)] == [Due.ANNOUNCE_END, None]


def test_the_end_of_the_time_is_announced_into_a_speech_that_has_no_pause(dogs: Watchdogs) -> None:
    dogs.agent_spoke(speaks=True, now=260)
    assert [dogs.due(277.9), dogs.due(278)] == [None, Due.ANNOUNCE_END]


def test_the_time_ends_whatever_is_going_on(dogs: Watchdogs) -> None:
    dogs.pause()
    dogs.callee_spoke(speaks=True, now=299)
    assert dogs.due(LONG) == Due.END_FOR_TIME


def test_a_few_errors_far_apart_are_borne(dogs: Watchdogs) -> None:
    assert [dogs.error(at) for at in (0, 10, 19, 30, 45)] == [False] * 5


def test_a_burst_of_errors_is_not_borne(dogs: Watchdogs) -> None:
    assert [dogs.error(at) for at in (0, 0.1, 0.2, 0.3)] == [False, False, False, True]
