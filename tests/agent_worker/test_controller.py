"""Who decides how a call ends, and whether it is still this job's."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from agent_worker import controller as controllers
from agent_worker.controller import CallController, NotOursAnyMore
from agent_worker.endings import NOT_OURS, after_answer
from calls import lifecycle
from calls.models import Call
from calls.states import EndedBy, Reason
from contacts.models import Suppression, SuppressionReason
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
