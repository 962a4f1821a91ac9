"""Whatever dies, a call ends in a true state, and nobody is left alone on a line: what the reconciler sees, and what it does."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from calls import clock, heartbeats, lifecycle, mending, transcripts, witness
from calls.models import LineKind, TurnRole
from calls.states import DIALLED, Mended, Outcome, Reason, Status
from calls.transcripts import TurnDraft
from tests.call_factories import CLAIM, make_call
from tests.numbers import pt_mobile

from .livekit_api import FakeLiveKit
from .watching import AWAY, CANNOT, STEP_S, Watcher, as_written, beats, lost_call, mendings, silent_for

pytestmark = pytest.mark.django_db


# -- a worker that is gone ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(DIALLED))
def test_a_call_whose_worker_died_is_hung_up_and_ends_truly(
    reconciler: Watcher, livekit: FakeLiveKit, monkeypatch: pytest.MonkeyPatch, status: Status
) -> None:
    reconciler.has_watched()
    call = lost_call(livekit, status, call_status="ringing" if status in (Status.DIALING, Status.RINGING) else "active")
    rooms_at_the_end: list[set[str]] = []
    end = mending.end
    monkeypatch.setattr(mending, "end", lambda *args, **more: rooms_at_the_end.append(set(livekit.rooms)) or end(*args, **more))
    assert reconciler.look()
    assert rooms_at_the_end == [set()]
    ended = as_written(call)
    outcome = "answered" if call.answered_at else "failed"
    assert (ended.status, ended.outcome, ended.ended_reason) == ("ended", outcome, "error.platform.worker_lost")
    assert (ended.ended_by, ended.fault, ended.retryable) == ("platform", "platform", False)
    assert (livekit.rooms, mendings(call)) == (set(), [("worker_lost", "reconciler")])
    assert reconciler.mended == {Mended.WORKER_LOST: 1}
    assert not reconciler.look()


def test_what_was_said_until_then_is_kept(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = lost_call(livekit)
    transcripts.record(call.pk, TurnDraft(item_id="i1", role=TurnRole.USER, text="Boa tarde.", started_at=timezone.now()))
    reconciler.has_watched()
    assert [turn.text for turn in as_written(call).turns.all()] == ["Boa tarde."]
    assert as_written(call).status == Status.ENDED


def test_a_worker_that_beats_is_left_alone(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = silent_for(lost_call(livekit), 6)
    assert not reconciler.look()
    assert (as_written(call).status, livekit.rooms) == (Status.IN_PROGRESS, {call.room})
    assert livekit.asked_for("ListParticipants") == []


@pytest.mark.parametrize("call_status", ["active", "automation", "hangup"])
def test_an_answer_that_the_worker_could_not_write_is_seen_in_the_room(reconciler: Watcher, livekit: FakeLiveKit, call_status: str) -> None:
    call = lost_call(livekit, Status.RINGING, call_status=call_status)
    reconciler.has_watched()
    # When exactly they picked up nobody knows any more.
    assert (as_written(call).outcome, as_written(call).answered_at) == ("answered", None)


def test_a_hint_that_went_backwards_takes_no_answer_away(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = lost_call(livekit, Status.IN_PROGRESS, call_status="dialing")
    reconciler.has_watched()
    assert as_written(call).outcome == "answered"


def test_a_room_that_is_gone_with_its_worker_is_no_obstacle(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = silent_for(make_call(Status.RINGING), 9)
    reconciler.has_watched()
    assert (as_written(call).outcome, mendings(call)) == ("failed", [("worker_lost", "reconciler")])


def test_a_call_that_was_never_beaten_for_is_a_dead_workers(reconciler: Watcher) -> None:
    call = make_call(Status.DIALING)
    reconciler.has_watched()
    assert as_written(call).ended_reason == "error.platform.worker_lost"


def test_a_callee_in_a_room_that_redis_forgot_is_let_go_too(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = lost_call(livekit)
    livekit.rooms.discard(call.room)
    livekit.forgotten.add(call.room)
    reconciler.has_watched()
    assert [someone.identity for someone in livekit.participants[call.room]] == ["agent-1"]
    assert as_written(call).status == Status.ENDED


def test_a_call_whose_room_no_server_carries_any_more_ends_too(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = lost_call(livekit)
    livekit.uncarried.add(call.room)
    # One look may meet a room that job and phone are about to join again.
    reconciler.watch(STEP_S)
    assert as_written(call).claim == CLAIM
    reconciler.watch(STEP_S)
    assert (as_written(call).ended_reason, livekit.rooms) == ("error.platform.worker_lost", set())


def test_a_call_that_was_called_off_ends_in_that_name(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    wish = {"cancel_requested_at": timezone.now(), "cancel_requested_by": "key:7", "cancel_reason": Reason.API_CANCELED}
    ringing = lost_call(livekit, Status.RINGING, call_status="ringing", **wish)
    picked_up = lost_call(livekit, Status.RINGING, number=pt_mobile(2), **wish)
    reconciler.has_watched()
    ended = [as_written(call) for call in (ringing, picked_up)]
    assert [(call.outcome, call.ended_reason, call.ended_by) for call in ended] == [
        ("canceled", "api.canceled", "client"),
        ("answered", "api.canceled", "client"),
    ]


def test_a_job_that_wakes_up_finds_its_call_taken(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = lost_call(livekit, Status.RINGING)
    reconciler.has_watched()
    assert heartbeats.beat(call_id=call.pk, claim=CLAIM).gone
    assert not lifecycle.answered(call, by="job:1")


def test_a_worker_that_beats_again_at_the_last_moment_keeps_its_call(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = lost_call(livekit)
    beats_late = reconciler._who_is_in

    def and_then_it_beats(*asked: Any) -> Any:
        present = beats_late(*asked)
        beats(call)
        return present

    reconciler._who_is_in = and_then_it_beats  # type: ignore[method-assign]
    assert not reconciler.look()
    assert (as_written(call).status, livekit.rooms) == (Status.IN_PROGRESS, {call.room})


def test_who_ends_a_call_while_it_is_being_hung_up_is_believed(
    reconciler: Watcher, livekit: FakeLiveKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler.has_watched()
    call = lost_call(livekit)
    let_go = reconciler._let_go

    def and_somebody_is_quicker(lost: Any) -> set[str]:
        lifecycle.end(as_written(call), by="user:1", outcome=Outcome.ANSWERED, reason=Reason.STAFF_CANCELED)
        return let_go(lost)

    monkeypatch.setattr(reconciler, "_let_go", and_somebody_is_quicker)
    assert not reconciler.look()
    assert (as_written(call).ended_reason, mendings(call), livekit.rooms) == ("staff.canceled", [], set())


def test_a_sandbox_call_ends_without_livekit(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    livekit.fails("ListRooms", AWAY)
    answered = silent_for(make_call(Status.IN_PROGRESS, line=LineKind.SANDBOX), 9)
    rings = silent_for(make_call(Status.RINGING, line=LineKind.SANDBOX), 9)
    reconciler.has_watched()
    assert [(as_written(call).outcome, as_written(call).ended_reason) for call in (answered, rings)] == [
        ("answered", "error.platform.worker_lost"),
        ("failed", "error.platform.worker_lost"),
    ]
    assert livekit.asked_for("DeleteRoom") == []


def test_where_no_phone_line_is_configured_sandbox_calls_are_mended() -> None:
    watcher = Watcher()
    call = silent_for(make_call(Status.IN_PROGRESS, line=LineKind.SANDBOX), 9)
    phone = silent_for(make_call(Status.IN_PROGRESS), 9)
    watcher.has_watched().close()
    assert (as_written(call).status, as_written(phone).status) == (Status.ENDED, Status.IN_PROGRESS)


# -- who may judge --------------------------------------------------------------------------------------------------------


def test_who_has_not_seen_everything_for_ten_seconds_judges_nobody(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = lost_call(livekit)
    reconciler.watch(9)
    assert as_written(call).status == Status.IN_PROGRESS
    reconciler.watch(3)
    assert as_written(call).status == Status.ENDED


def test_a_database_that_was_away_ends_no_call_that_lives_through_it(
    reconciler: Watcher, livekit: FakeLiveKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler.has_watched()
    call = lost_call(livekit)

    def away() -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as outage:
        outage.setattr(clock, "database_now", away)
        with pytest.raises(OperationalError):
            reconciler.look()
        outage.setattr(witness, "apply_due", away)
        with pytest.raises(OperationalError):
            reconciler.step()
    # It is back, and every sign of life is old; within two seconds its worker writes the next one.
    reconciler.watch(3)
    assert as_written(call).status == Status.IN_PROGRESS
    beats(call)
    reconciler.watch(12)
    assert (as_written(call).status, livekit.rooms) == (Status.IN_PROGRESS, {call.room})


def test_a_livekit_that_was_away_ends_no_call_at_once(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    livekit.fails("ListRooms", AWAY)
    call = lost_call(livekit)
    reconciler.watch(5)
    livekit.errors.clear()
    reconciler.watch(9)
    assert as_written(call).status == Status.IN_PROGRESS
    reconciler.watch(4)
    assert as_written(call).status == Status.ENDED


def test_a_reconciler_that_stood_still_begins_to_watch_anew(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = lost_call(livekit)
    reconciler.clock.now += 20
    reconciler.look()
    assert as_written(call).status == Status.IN_PROGRESS


def test_a_database_whose_clock_jumps_makes_nobody_old(reconciler: Watcher, livekit: FakeLiveKit, monkeypatch: pytest.MonkeyPatch) -> None:
    reconciler.has_watched()
    call = lost_call(livekit)
    real = clock.database_now
    monkeypatch.setattr(clock, "database_now", lambda: real() + timedelta(minutes=1))
    reconciler.watch(9)
    assert as_written(call).status == Status.IN_PROGRESS


@pytest.mark.parametrize("off_by", [timedelta(minutes=-1), timedelta(minutes=1)], ids=["behind", "ahead"])
def test_a_machine_whose_clock_is_off_by_a_minute_does_no_harm(
    reconciler: Watcher, livekit: FakeLiveKit, monkeypatch: pytest.MonkeyPatch, off_by: timedelta
) -> None:
    alive, dead = lost_call(livekit), lost_call(livekit, number=pt_mobile(2))
    silent_for(alive, 2)
    taken_soon = make_call(Status.DISPATCHED, number=pt_mobile(3))
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + off_by)
    reconciler.watch(10)
    # Nobody has waited ten seconds for it yet, whatever the time of its dispatch says.
    assert as_written(taken_soon).status == Status.DISPATCHED
    beats(alive)
    reconciler.watch(3)
    assert (as_written(alive).status, as_written(dead).status) == (Status.IN_PROGRESS, Status.ENDED)
    assert abs(as_written(taken_soon).due_at - clock.database_now()) < timedelta(seconds=30)


def test_one_request_lists_all_rooms_and_only_suspects_are_looked_into(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    for n in range(5):
        call = make_call(Status.IN_PROGRESS, number=pt_mobile(n), heartbeat_at=timezone.now())
        livekit.rooms.add(call.room)
    suspect = lost_call(livekit, number=pt_mobile(9))
    reconciler.has_watched()
    assert len([request for request in livekit.asked_for("ListRooms") if not request.names]) == 12 / STEP_S
    assert [request.room for request in livekit.asked_for("ListParticipants")] == [suspect.room]


def test_while_nothing_lives_livekit_is_asked_half_as_often_and_watched_without_a_break(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    assert len(livekit.asked_for("ListRooms")) == 12 / STEP_S / 2
    # Whoever dies now is judged at once: everything has been seen for long enough.
    lost = lost_call(livekit)
    reconciler.look()
    assert as_written(lost).status == Status.ENDED


def test_a_livekit_that_cannot_be_asked_about_a_room_gives_no_judgement(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = lost_call(livekit)
    livekit.fails("ListParticipants", CANNOT, None)
    assert not reconciler.look()
    assert as_written(call).claim == CLAIM
    assert reconciler.look()


def test_a_call_does_not_end_before_its_room_is_gone(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = lost_call(livekit)
    livekit.fails("DeleteRoom", CANNOT, None)
    assert not reconciler.look()
    assert (as_written(call).status, mendings(call)) == (Status.IN_PROGRESS, [])
    assert reconciler.look()
    assert (as_written(call).status, livekit.rooms) == (Status.ENDED, set())
