"""Who decides how a call ends, and whether it is still this job's."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone

from agent_worker import controller as controllers
from agent_worker.controller import CallController, NotOursAnyMore
from agent_worker.endings import NOT_OURS, Ending, after_answer
from agent_worker.tools import CallTools
from calls import lifecycle
from calls.callbacks import Wish
from calls.models import Call
from calls.states import EndedBy, Reason
from contacts.models import Consent, Suppression, SuppressionReason
from personas.platform import words
from tests.agent_worker.calling import dispatched_call
from tests.agent_worker.outages import Outage
from tests.agent_worker.waiting import until
from tests.factories import MembershipFactory, published_version

HANGS_UP = after_answer(Reason.CALLEE_HANGUP, EndedBy.CALLEE)


@pytest.fixture
def call(transactional_db: None) -> Call:
    waiting = dispatched_call(published_version(organization=MembershipFactory().organization, slug="restaurante"))
    call = lifecycle.claim_for_dial(call_id=waiting.pk, claim=waiting.claim, by="job:test", worker="job:test")
    assert call is not None
    return call


@pytest.fixture
async def controller(call: Call) -> Any:
    controller = CallController(call, worker="job:test")
    yield controller
    await controller.stop_tasks()


def end_of(controller: CallController) -> tuple[str, str, str, str]:
    ending = controller.ended.result()
    return ending.outcome, ending.reason, ending.ended_by, ending.fault


async def test_the_first_to_say_how_it_ended_is_believed(controller: CallController) -> None:
    assert controller.finish(HANGS_UP) is True
    assert controller.finish(after_answer(Reason.LIMIT_SILENCE, EndedBy.PLATFORM)) is False
    assert end_of(controller) == ("answered", "callee.hangup", "callee", "none")


async def test_what_the_callee_decided_stands_whoever_hangs_up(controller: CallController) -> None:
    controller.answered()
    controller.decided(Reason.CALLEE_WRONG_NUMBER)
    controller.decided(Reason.CALLEE_REQUESTED_OPT_OUT)
    controller.callee_left("CLIENT_INITIATED")
    assert end_of(controller) == ("answered", "callee.wrong_number", "callee", "none")


@pytest.mark.parametrize(
    ("why", "reason", "ended_by", "fault"),
    [
        ("CLIENT_INITIATED", "callee.hangup", "callee", "none"),
        ("USER_UNAVAILABLE", "callee.hangup", "callee", "none"),
        ("PARTICIPANT_REMOVED", "callee.hangup", "callee", "none"),
        ("UNKNOWN_REASON", "error.carrier.media", "carrier", "carrier"),
        ("MEDIA_FAILURE", "error.carrier.media", "carrier", "carrier"),
        ("LINE_LOST", "error.platform.internal", "platform", "platform"),
    ],
)
async def test_a_callee_who_is_gone_ends_the_call_whatever_the_reason(
    controller: CallController, why: str, reason: str, ended_by: str, fault: str
) -> None:
    controller.answered()
    controller.callee_left(why)
    assert end_of(controller) == ("answered", reason, ended_by, fault)


async def test_a_participant_who_leaves_before_the_answer_says_nothing(controller: CallController) -> None:
    controller.callee_left("USER_REJECTED")
    assert (controller.ended.done(), controller.callee_gone.is_set()) == (False, True)


async def test_a_room_that_nobody_of_ours_deleted_is_our_fault(controller: CallController) -> None:
    controller.answered()
    controller.callee_left("ROOM_DELETED")
    await controller.ended
    assert end_of(controller) == ("answered", "error.platform.internal", "platform", "platform")


async def test_a_room_that_was_deleted_to_cancel_the_call_was_canceled(controller: CallController, call: Call) -> None:
    await Call.objects.filter(pk=call.pk).aupdate(cancel_requested_at=call.created_at, cancel_reason="api.canceled")
    controller.answered()
    controller.callee_left("ROOM_DELETED")
    await controller.ended
    assert end_of(controller) == ("answered", "api.canceled", "client", "none")


async def test_a_callee_who_leaves_during_a_transfer_that_fails_hung_up(controller: CallController) -> None:
    controller.answered()
    controller.transferring()
    controller.callee_left("CLIENT_INITIATED")
    assert controller.ended.done() is False
    controller.back_from_transfer("sip 486")
    assert end_of(controller)[1] == "callee.hangup"


async def test_a_number_that_is_suppressed_elsewhere_ends_the_call(controller: CallController) -> None:
    controller.suppressed()
    assert end_of(controller) == ("blocked", "policy.do_not_call", "platform", "none")


async def test_a_number_that_is_suppressed_in_mid_call_was_answered(controller: CallController) -> None:
    controller.answered()
    controller.suppressed()
    assert end_of(controller) == ("answered", "policy.do_not_call", "platform", "none")


async def test_a_call_is_not_ended_by_its_own_opt_out(controller: CallController) -> None:
    controller.answered()
    controller.decided(Reason.CALLEE_REQUESTED_OPT_OUT)
    controller.suppressed()
    assert controller.ended.done() is False


async def test_a_beat_learns_that_the_call_is_anothers(controller: CallController, call: Call) -> None:
    await Call.objects.filter(pk=call.pk).aupdate(claim="another")
    await controller.look_for_orders()
    assert controller.ended.result() == NOT_OURS


async def test_a_beat_leaves_a_sign_of_life(controller: CallController, call: Call) -> None:
    await Call.objects.filter(pk=call.pk).aupdate(heartbeat_at=None)
    beating = controller.start(controller.beat())
    async with asyncio.timeout(5):
        while (await Call.objects.aget(pk=call.pk)).heartbeat_at is None:  # noqa: ASYNC110  # the database tells nobody
            await asyncio.sleep(0.01)
    beating.cancel()


async def test_a_database_that_is_away_gives_no_orders(controller: CallController, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controllers.heartbeats, "STALE_AFTER_S", 0.0)
    await controller.look_for_orders()
    assert controller.ended.done() is False


async def test_a_job_that_stood_still_reads_its_claim_again(
    controller: CallController, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Call.objects.filter(pk=call.pk).aupdate(claim="another")
    await controller.confirm()  # it did not stand still: no need to look
    monkeypatch.setattr(controllers, "STALL_S", -1.0)
    with pytest.raises(NotOursAnyMore):
        await controller.confirm()


async def test_a_last_sentence_is_not_spoken_into_a_call_that_another_holds(
    controller: CallController, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller.finish(HANGS_UP)
    monkeypatch.setattr(controllers, "STALL_S", -1.0)
    assert await controller.is_still_ours() is True
    await Call.objects.filter(pk=call.pk).aupdate(claim="another")
    assert (await controller.is_still_ours(), controller.ended.result()) == (False, HANGS_UP)


async def test_a_stall_that_the_clock_saw_is_not_forgotten(controller: CallController, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controllers, "STALL_S", -1.0)
    watching = controller.start(controller.watch_the_clock())
    await asyncio.sleep(0)
    watching.cancel()
    monkeypatch.setattr(controllers, "STALL_S", 4.0)
    await Call.objects.filter(pk=call.pk).aupdate(claim="another")
    with pytest.raises(NotOursAnyMore):
        await controller.confirm()


async def test_states_are_written_in_their_order_once(controller: CallController, call: Call) -> None:
    controller.open()
    controller.rings()
    controller.rings()
    controller.answered(sip_call_id="SCL_1")
    controller.rings()  # a late attribute: the phone does not ring any more
    await controller.states_written(asyncio.get_running_loop().time() + 5)
    events = await sync_to_async(lambda: [event.new for event in call.events.filter(kind="status")])()
    assert events[-3:] == ["dialing", "ringing", "in_progress"]
    assert (await Call.objects.aget(pk=call.pk)).sip_call_id == "SCL_1"


async def test_a_state_of_a_call_that_another_ended_is_not_written(controller: CallController, call: Call) -> None:
    await sync_to_async(lifecycle.end)(await Call.objects.aget(pk=call.pk), by="x", outcome="failed", reason="error.platform.internal")  # type: ignore[call-arg]
    controller.open()
    controller.rings()
    await controller.states_written(asyncio.get_running_loop().time() + 5)
    assert (await Call.objects.aget(pk=call.pk)).status == "ended"


async def test_an_answer_that_is_written_late_was_given_when_it_was_given(controller: CallController, call: Call, outage: Outage) -> None:
    outage.away = True
    controller.open()
    controller.answered()
    assert controller.unwritten_answer != ""
    await until(lambda: outage.failed >= 2)
    outage.away = False
    await controller.states_written(asyncio.get_running_loop().time() + 5)
    answered_at = (await Call.objects.aget(pk=call.pk)).answered_at
    assert (answered_at, controller.unwritten_answer) == (controller.answered_at, "")


async def test_what_was_cancelled_is_taken_up_again(controller: CallController, call: Call, outage: Outage) -> None:
    outage.away = True
    controller.open()
    controller.rings()
    suppressing = controller.suppress(SuppressionReason.OPT_OUT_ON_CALL)
    await until(lambda: outage.failed >= 2)
    for task in (suppressing, controller._state_writer):
        assert task is not None
        task.cancel()
        await asyncio.wait([task])
    outage.away = False
    controller.take_up_again()
    controller.take_up_again()  # what runs is not begun twice
    await until(lambda: controller.to_suppress is None)
    assert await Suppression.objects.acount() == 1


async def test_states_that_cannot_be_written_are_not_waited_for_for_ever(controller: CallController) -> None:
    controller.rings()
    await controller.states_written(asyncio.get_running_loop().time() + 0.05)


async def test_an_error_that_nobody_expected_ends_the_call(controller: CallController) -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    controller.start(fails())
    await controller.ended
    assert end_of(controller) == ("failed", "error.platform.internal", "platform", "platform")


async def test_a_suppression_is_remembered_until_it_is_written(controller: CallController) -> None:
    task = controller.suppress(SuppressionReason.OPT_OUT_ON_CALL)
    assert controller.to_suppress == "opt_out_on_call"
    await task
    assert controller.to_suppress is None


def a_wish(hours: int = 0) -> Wish:
    now = timezone.now()
    return Wish(at=(now + timedelta(days=1)).replace(hour=12 + hours), asked_at=now)


async def callbacks_of(call: Call) -> list[tuple[str, object]]:
    return await sync_to_async(lambda: list(call.callbacks.values_list("status", "due_at")))()


async def test_a_callback_is_remembered_until_it_is_written(controller: CallController, call: Call) -> None:
    wish = a_wish()
    task = controller.call_back(wish)
    assert controller.to_call_back == wish
    await task
    assert (controller.to_call_back, controller.is_called_back, await callbacks_of(call)) == (None, True, [("scheduled", wish.at)])


async def test_of_two_wishes_the_later_one_is_written(controller: CallController, call: Call) -> None:
    first, second = a_wish(), a_wish(2)
    await asyncio.gather(controller.call_back(first), controller.call_back(second))
    assert (await callbacks_of(call), await Consent.objects.filter(channel="call").acount()) == ([("scheduled", second.at)], 1)


async def test_an_opt_out_takes_back_a_callback_whether_it_is_written_or_not(controller: CallController, call: Call) -> None:
    await controller.call_back(a_wish())
    unwritten = controller.call_back(a_wish(2))
    await controller.suppress(SuppressionReason.OPT_OUT_ON_CALL)
    await unwritten
    assert (controller.to_call_back, controller.is_called_back, controller.has_opted_out) == (None, False, True)
    assert [status for status, _due in await callbacks_of(call)] == ["ended"]


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (HANGS_UP, "callee.requested_callback"),
        (after_answer(Reason.ASSISTANT_END_CALL, EndedBy.ASSISTANT), "callee.requested_callback"),
        (after_answer(Reason.ASSISTANT_GOAL_REACHED, EndedBy.ASSISTANT), "callee.requested_callback"),
        # What else ended it is not hidden.
        (after_answer(Reason.TRANSFER_COMPLETED, EndedBy.ASSISTANT), "transfer.completed"),
        (after_answer(Reason.ERROR_AI_LOST, EndedBy.PLATFORM), "error.ai.lost"),
    ],
)
async def test_a_callback_is_why_people_part(controller: CallController, ending: Ending, reason: str) -> None:
    controller.answered()
    await controller.call_back(a_wish())
    controller.finish(ending)
    assert end_of(controller)[1] == reason


async def test_an_opt_out_after_a_callback_is_why_the_call_ends(controller: CallController) -> None:
    controller.answered()
    await controller.call_back(a_wish())
    controller.decided(Reason.CALLEE_REQUESTED_OPT_OUT)
    await controller.suppress(SuppressionReason.OPT_OUT_ON_CALL)
    controller.finish(HANGS_UP)
    assert end_of(controller)[1] == "callee.requested_opt_out"


async def test_a_callback_is_no_opt_out(controller: CallController) -> None:
    controller.answered()
    await controller.call_back(a_wish())
    controller.suppressed()
    assert end_of(controller)[1] == "policy.do_not_call"


TOMORROW = (timezone.now() + timedelta(days=1)).date().isoformat()


def tools_of(controller: CallController) -> CallTools:
    return CallTools(controller, None, words("pt-PT"), [], "", "pt-PT")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("date", "time", "answer"),
    [
        ("amanhã", "10:00", "callback_not_understood"),
        ("2020-01-01", "10:00", "callback_too_soon"),
        ("2999-01-01", "10:00", "callback_too_far"),
        (TOMORROW, "23:00", "callback_out_of_hours"),
    ],
)
async def test_the_model_is_told_what_cannot_be_booked(controller: CallController, call: Call, date: str, time: str, answer: str) -> None:
    said = await tools_of(controller).request_callback(None, date=date, time=time)  # type: ignore[arg-type]
    assert (said, await callbacks_of(call)) == (words("pt-PT").tool_answers[answer], [])


async def test_who_opted_out_is_not_promised_a_call(controller: CallController, call: Call) -> None:
    await controller.suppress(SuppressionReason.OPT_OUT_ON_CALL)
    said = await tools_of(controller).request_callback(None, date=TOMORROW, time="10:00")  # type: ignore[arg-type]
    assert (said, await callbacks_of(call)) == (words("pt-PT").tool_answers["callback_refused"], [])


async def test_what_the_database_refuses_is_not_promised(controller: CallController, call: Call) -> None:
    await sync_to_async(lambda: call.organization.suppressions.create(number_index=call.number_index, reason="api", by="key:1"))()
    said = await tools_of(controller).request_callback(None, date=TOMORROW, time="10:00")  # type: ignore[arg-type]
    assert (said, controller.is_called_back) == (words("pt-PT").tool_answers["callback_refused"], False)


async def test_a_database_that_is_away_does_not_keep_the_callee_waiting(
    controller: CallController, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_call_id: str, _wish: Wish) -> bool:
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patched:
        patched.setattr(controllers, "book", fails)
        patched.setattr("agent_worker.tools.WAITS_FOR_DATABASE_S", 0.05)
        said = await tools_of(controller).request_callback(None, date=TOMORROW, time="10:00")  # type: ignore[arg-type]
        assert (said.startswith("Marcado para "), controller.to_call_back is not None) == (True, True)
    # It goes on until it is written.
    async with asyncio.timeout(5):
        while controller.to_call_back is not None:  # noqa: ASYNC110  # the writer tells nobody
            await asyncio.sleep(0.01)
    assert [status for status, _due in await callbacks_of(call)] == ["scheduled"]
