"""What time alone makes due: calls come into the queue when their time has come, and end when it is over."""

from datetime import timedelta

import pytest
import structlog
from django.utils import timezone

from calls import lifecycle, schedule
from calls.models import Call, LineKind
from calls.states import Outcome, Reason, Status
from tests.call_factories import make_call
from tests.numbers import pt_mobile

from .livekit_api import FakeLiveKit, TwirpError

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def as_written(call: Call) -> Call:
    return Call.objects.get(pk=call.pk)


# -- whose time has come ---------------------------------------------------------------------------------------------------


def test_a_scheduled_call_goes_into_the_queue_when_its_time_has_come() -> None:
    call = make_call(Status.SCHEDULED, due_at=timezone.now() - SECOND)
    later = make_call(Status.SCHEDULED, due_at=timezone.now() + timedelta(minutes=1))
    assert (schedule.may_promote(), schedule.promote_due()) == (True, True)
    promoted = as_written(call)
    assert (promoted.status, promoted.queued_at is not None, as_written(later).status) == ("queued", True, "scheduled")
    assert (schedule.may_promote(), schedule.promote_due()) == (False, False)


def test_a_scheduled_call_waits_while_its_number_is_in_another_call() -> None:
    talking = make_call(Status.IN_PROGRESS, number=pt_mobile(1))
    waiting = make_call(Status.SCHEDULED, number=pt_mobile(1), due_at=timezone.now())
    assert (schedule.may_promote(), schedule.promote_due(), as_written(waiting).status) == (False, False, "scheduled")
    lifecycle.end(talking, by="job:1", outcome=Outcome.ANSWERED, reason=Reason.CALLEE_HANGUP)
    assert (schedule.may_promote(), schedule.promote_due(), as_written(waiting).status) == (True, True, "queued")


def test_of_two_scheduled_calls_to_one_number_the_second_waits_for_the_first() -> None:
    first = make_call(Status.SCHEDULED, number=pt_mobile(1), due_at=timezone.now() - 2 * SECOND)
    second = make_call(Status.SCHEDULED, number=pt_mobile(1), due_at=timezone.now() - SECOND)
    assert schedule.promote_due()
    assert (as_written(first).status, as_written(second).status, schedule.may_promote()) == ("queued", "scheduled", False)


def test_calls_that_wait_for_their_number_do_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "PROMOTED_AT_ONCE", 2)
    make_call(Status.IN_PROGRESS, number=pt_mobile(1))
    for _ in range(2):
        make_call(Status.SCHEDULED, number=pt_mobile(1), due_at=timezone.now() - timedelta(minutes=5))
    free = make_call(Status.SCHEDULED, number=pt_mobile(2), due_at=timezone.now())
    assert schedule.promote_due()
    assert as_written(free).status == "queued"


def test_a_sandbox_call_waits_for_nobodys_number() -> None:
    make_call(Status.IN_PROGRESS, number=pt_mobile(1))
    call = make_call(Status.SCHEDULED, number=pt_mobile(1), line=LineKind.SANDBOX, due_at=timezone.now())
    assert schedule.promote_due()
    assert as_written(call).status == "queued"


# -- whose time is over ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.DISPATCHED])
def test_a_call_that_nobody_dialled_in_time_expires(livekit_line: FakeLiveKit, status: Status) -> None:
    call = make_call(status, expires_at=timezone.now() - SECOND)
    livekit_line.rooms.add(call.room)
    assert (schedule.may_expire(), schedule.expire_due()) == (True, True)
    ended = as_written(call)
    assert (ended.outcome, ended.ended_reason, ended.ended_by) == ("canceled", "schedule.expired", "platform")
    # Only a call that was dispatched can have a room.
    assert livekit_line.rooms == (set() if status == Status.DISPATCHED else {call.room})
    assert (schedule.may_expire(), schedule.expire_due()) == (False, False)


@pytest.mark.parametrize("status", [Status.DIALING, Status.RINGING, Status.IN_PROGRESS])
def test_a_call_that_was_dialled_in_time_goes_on(status: Status) -> None:
    make_call(status, expires_at=timezone.now() - SECOND)
    assert (schedule.may_expire(), schedule.expire_due()) == (False, False)


def test_a_room_is_left_alone_when_a_job_was_quicker(livekit_line: FakeLiveKit, monkeypatch: pytest.MonkeyPatch) -> None:
    call = make_call(Status.DISPATCHED, expires_at=timezone.now() - SECOND)
    livekit_line.rooms.add(call.room)
    monkeypatch.setattr(lifecycle, "end_expired", lambda _call, by: False)
    assert not schedule.expire_due()
    assert livekit_line.rooms == {call.room}


def test_a_canceled_call_that_no_job_took_ends_as_canceled(livekit_line: FakeLiveKit) -> None:
    call = make_call(
        Status.DISPATCHED,
        cancel_requested_at=timezone.now(),
        cancel_requested_by="user:4",
        cancel_reason=Reason.STAFF_CANCELED,
        expires_at=timezone.now() - SECOND,
    )
    assert (schedule.may_expire(), schedule.expire_due()) == (True, True)
    assert (as_written(call).ended_reason, call.events.get().by) == ("staff.canceled", "user:4")


@pytest.mark.parametrize("line", LineKind)
def test_without_a_livekit_calls_expire_all_the_same(line: LineKind) -> None:
    make_call(Status.DISPATCHED, line=line, expires_at=timezone.now())
    assert schedule.expire_due()
    assert Call.objects.get().ended_reason == "schedule.expired"


def test_a_livekit_that_cannot_just_now_is_in_nobodys_way(livekit_line: FakeLiveKit) -> None:
    livekit_line.fails("DeleteRoom", TwirpError("unavailable"))
    call = make_call(Status.DISPATCHED, expires_at=timezone.now())
    with structlog.testing.capture_logs() as logs:
        assert schedule.expire_due()
    assert [(line["event"], line["room"]) for line in logs if line["log_level"] == "warning"] == [
        ("a room could not be deleted", call.room)
    ]


def test_nobody_asks_livekit_for_the_room_of_a_sandbox_call(livekit_line: FakeLiveKit) -> None:
    make_call(Status.DISPATCHED, line=LineKind.SANDBOX, expires_at=timezone.now())
    assert schedule.expire_due()
    assert livekit_line.asked == []
