"""Calling a call off, at every point of its way."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from calls import cancellation, lifecycle
from calls.cancellation import CancelResult
from calls.models import Call, LineKind
from calls.states import Reason, Status
from tests.call_factories import CLAIM, make_call

from .livekit_api import FakeLiveKit, TwirpError

pytestmark = pytest.mark.django_db


def cancel(call: Call, *, by: str = "key:7", reason: Reason = Reason.API_CANCELED) -> CancelResult:
    return cancellation.cancel(call=call, by=by, reason=reason)


def as_written(call: Call) -> Call:
    return Call.objects.get(pk=call.pk)


@pytest.mark.parametrize(
    ("status", "result", "outcome"),
    [
        (Status.SCHEDULED, CancelResult.NEVER_RANG, "canceled"),
        (Status.QUEUED, CancelResult.NEVER_RANG, "canceled"),
        (Status.DISPATCHED, CancelResult.NEVER_RANG, "canceled"),
        (Status.DIALING, CancelResult.WAS_DIALLED, "canceled"),
        (Status.RINGING, CancelResult.WAS_DIALLED, "canceled"),
        (Status.IN_PROGRESS, CancelResult.WAS_TALKING, "answered"),
        (Status.TRANSFERRING, CancelResult.WAS_TALKING, "answered"),
    ],
)
def test_a_call_can_be_called_off_at_every_point(livekit_line: FakeLiveKit, status: Status, result: CancelResult, outcome: str) -> None:
    call = make_call(status)
    livekit_line.rooms.add(call.room)
    status_when_deleted: list[str] = []
    livekit_line.before["DeleteRoom"] = lambda: status_when_deleted.append(call.status)
    assert cancel(call) == result
    ended = as_written(call)
    assert (ended.status, ended.outcome, ended.ended_reason, ended.ended_by) == ("ended", outcome, "api.canceled", "client")
    assert (ended.cancel_requested_by, ended.cancel_requested_at is not None, call.events.get().by) == ("key:7", True, "key:7")
    # The room goes first, and only then the call has ended (rule 4).
    has_room = status not in (Status.SCHEDULED, Status.QUEUED)
    assert status_when_deleted == ([status] if has_room else [])
    assert livekit_line.rooms == (set() if has_room else {call.room})


def test_a_call_that_had_ended_stays_as_it_ended(livekit_line: FakeLiveKit) -> None:
    call = make_call(Status.ENDED)
    assert cancel(call) == CancelResult.HAD_ENDED
    assert (as_written(call).cancel_requested_at, livekit_line.asked) == (None, [])


def test_asking_twice_does_no_harm_and_the_first_is_named(livekit_line: FakeLiveKit) -> None:
    call = make_call()
    assert cancel(call, by="user:1", reason=Reason.STAFF_CANCELED) == CancelResult.NEVER_RANG
    assert cancel(as_written(call)) == CancelResult.HAD_ENDED
    assert (as_written(call).ended_by, as_written(call).cancel_requested_by) == ("staff", "user:1")


def test_a_stale_look_at_the_call_is_no_matter(livekit_line: FakeLiveKit) -> None:
    call = make_call(Status.RINGING)
    stale = as_written(call)
    stale.status = Status.QUEUED
    assert cancel(stale) == CancelResult.WAS_DIALLED


@pytest.mark.parametrize("status", [Status.QUEUED, Status.DISPATCHED])
def test_what_nobody_dialled_ends_also_without_livekit(livekit_line: FakeLiveKit, status: Status) -> None:
    livekit_line.fails("DeleteRoom", TwirpError("unavailable"))
    call = make_call(status)
    assert cancel(call) == CancelResult.NEVER_RANG
    assert as_written(call).status == Status.ENDED


def test_when_livekit_is_away_the_agent_is_told_and_ends_it(livekit_line: FakeLiveKit) -> None:
    livekit_line.fails("DeleteRoom", TwirpError("unavailable"))
    call = make_call(Status.IN_PROGRESS)
    assert cancel(call) == CancelResult.UNDER_WAY
    waiting = as_written(call)
    assert (waiting.status, waiting.cancel_requested_by, waiting.cancel_reason) == ("in_progress", "key:7", "api.canceled")


def test_without_a_livekit_configured_the_agent_is_told() -> None:
    assert cancel(make_call(Status.IN_PROGRESS)) == CancelResult.UNDER_WAY


def ends_meanwhile(call: Call, reason: Reason) -> None:
    """As the job does that sees its room go."""
    Call.objects.filter(pk=call.pk).update(status="ended", ended_at=timezone.now(), outcome="answered", ended_reason=reason)


@pytest.mark.parametrize(
    ("reason", "result"), [(Reason.API_CANCELED, CancelResult.WAS_TALKING), (Reason.CALLEE_HANGUP, CancelResult.HAD_ENDED)]
)
def test_the_job_may_be_quicker_to_write_the_end(monkeypatch: pytest.MonkeyPatch, reason: Reason, result: CancelResult) -> None:
    call = make_call(Status.IN_PROGRESS)

    def let_go(_call: Call) -> bool:
        ends_meanwhile(call, reason)
        return True

    monkeypatch.setattr(cancellation, "_let_go", let_go)
    assert cancel(as_written(call)) == result


def test_a_job_that_reads_the_wish_first_ends_the_call_and_nobody_waits_in_its_room(
    livekit_line: FakeLiveKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = make_call(Status.DISPATCHED)
    livekit_line.rooms.add(call.room)
    read_again = call.refresh_from_db

    def a_job_comes_first(**fields: Any) -> None:
        assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None
        read_again(**fields)

    monkeypatch.setattr(call, "refresh_from_db", a_job_comes_first)
    assert cancel(call) == CancelResult.NEVER_RANG
    assert (call.events.get().by, livekit_line.rooms) == ("key:7", set())


@pytest.mark.parametrize(
    ("heard_ago", "result"),
    [(timedelta(seconds=2), CancelResult.UNDER_WAY), (timedelta(seconds=20), CancelResult.WAS_TALKING), (None, CancelResult.WAS_TALKING)],
    ids=["an agent holds it", "the agent is gone", "no agent"],
)
def test_a_sandbox_call_is_ended_by_its_agent_if_it_has_one(heard_ago: timedelta | None, result: CancelResult) -> None:
    heartbeat_at = timezone.now() - heard_ago if heard_ago is not None else None
    call = make_call(Status.IN_PROGRESS, line=LineKind.SANDBOX, heartbeat_at=heartbeat_at)
    assert cancel(call) == result
    assert (as_written(call).status == Status.ENDED) == (result == CancelResult.WAS_TALKING)


def test_every_result_has_a_sentence() -> None:
    with translation.override("en"):
        sentences = {str(result.sentence) for result in CancelResult}
    assert len(sentences) == len(CancelResult)
    assert "The call was canceled. The phone never rang." in sentences
