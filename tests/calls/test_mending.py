"""What LiveKit's webhooks tell is believed, what nobody took is offered again, and rooms that outlived their calls are closed."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from calls import lifecycle, mending
from calls.models import LineKind, RoomEvent, RoomEventKind, Who
from calls.states import Mended, Priority, Status
from tests.call_factories import CLAIM, make_call
from tests.numbers import pt_mobile

from .livekit_api import FakeLiveKit
from .watching import AWAY, CANNOT, STEP_S, Watcher, as_written, keeps_beating, mendings, silent_for, told

pytestmark = pytest.mark.django_db


# -- what the webhooks told -----------------------------------------------------------------------------------------------


def test_a_webhook_knows_of_an_answer_that_nobody_else_saw(reconciler: Watcher) -> None:
    call = silent_for(make_call(Status.RINGING), 9)
    told(call, RoomEventKind.LEFT, call_status="hangup", disconnect_reason="CLIENT_INITIATED")
    reconciler.has_watched()
    assert (as_written(call).outcome, as_written(call).ended_reason) == ("answered", "error.platform.worker_lost")


def test_who_left_unanswered_was_not_answered(reconciler: Watcher) -> None:
    call = silent_for(make_call(Status.RINGING), 9)
    told(call, RoomEventKind.JOINED, call_status="dialing")
    told(call, RoomEventKind.LEFT, call_status="ringing", disconnect_reason="USER_REJECTED")
    reconciler.has_watched()
    assert (as_written(call).outcome, as_written(call).ended_reason) == ("failed", "error.platform.worker_lost")
    assert call.events.get(kind="mended").facts["disconnect_reason"] == "USER_REJECTED"


@pytest.mark.parametrize(
    ("status", "reason", "fault"),
    [
        (Status.IN_PROGRESS, "callee.hangup", "none"),
        (Status.RINGING, "callee.hangup", "none"),
        (Status.TRANSFERRING, "error.platform.worker_lost", "platform"),
    ],
)
def test_a_callee_who_hung_up_while_the_worker_lived_did_hang_up(reconciler: Watcher, status: Status, reason: str, fault: str) -> None:
    call = silent_for(make_call(status), 9)
    told(call, RoomEventKind.LEFT, received_ago_s=10, call_status="hangup", disconnect_reason="CLIENT_INITIATED")
    reconciler.has_watched()
    ended = as_written(call)
    assert (ended.outcome, ended.ended_reason, ended.fault) == ("answered", reason, fault)
    assert mendings(call) == [("worker_lost", "reconciler")]


def test_an_agent_that_left_although_it_beats_leaves_nobody_alone(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = make_call(Status.IN_PROGRESS, heartbeat_at=timezone.now())
    livekit.rooms.add(call.room)
    livekit.joins(call.room, call_status="active")
    told(call, RoomEventKind.LEFT, Who.AGENT, disconnect_reason="CLIENT_INITIATED")
    reconciler.watch(4.5)
    # It may be back at once, after a restart of LiveKit.
    assert as_written(call).status == Status.IN_PROGRESS
    reconciler.watch(3)
    ended = as_written(call)
    assert (ended.outcome, ended.ended_reason, livekit.rooms) == ("answered", "error.platform.internal", set())
    assert mendings(call) == [("callee_alone", "reconciler")]


def test_an_agent_that_came_back_goes_on(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = make_call(Status.IN_PROGRESS, heartbeat_at=timezone.now())
    told(call, RoomEventKind.LEFT, Who.AGENT)
    livekit.rooms.add(call.room)
    livekit.joins(call.room, call_status="dialing")
    livekit.joins(call.room, "agent-1", kind="AGENT")
    reconciler.watch(60)
    assert as_written(call).status == Status.IN_PROGRESS


def test_a_job_that_does_not_end_a_call_whose_callee_is_gone_is_helped(reconciler: Watcher) -> None:
    reconciler.has_watched()
    call = make_call(Status.IN_PROGRESS, heartbeat_at=timezone.now())
    told(call, RoomEventKind.LEFT, disconnect_reason="CONNECTION_TIMEOUT", call_status="active")
    keeps_beating(call, reconciler, 44)
    assert as_written(call).status == Status.IN_PROGRESS
    keeps_beating(call, reconciler, 4)
    assert (as_written(call).outcome, as_written(call).ended_reason) == ("answered", "error.platform.internal")
    assert mendings(call) == [("job_hangs", "reconciler")]


def test_people_in_a_room_that_redis_forgot_talk_on(reconciler: Watcher) -> None:
    reconciler.has_watched()
    call = make_call(Status.IN_PROGRESS, heartbeat_at=timezone.now())
    # Of a room that was closed before the call was dispatched again; its callee was never told to have left.
    told(call, RoomEventKind.ROOM_FINISHED, Who.NOBODY)
    keeps_beating(call, reconciler, 90)
    assert as_written(call).status == Status.IN_PROGRESS


# -- what nobody took -----------------------------------------------------------------------------------------------------


def test_a_call_that_no_agent_took_goes_back_to_the_queue(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = make_call(Status.DISPATCHED)
    livekit.rooms.add(call.room)
    reconciler.watch(9)
    assert as_written(call).status == Status.DISPATCHED
    reconciler.watch(3)
    waits = as_written(call)
    assert (waits.status, waits.claim != CLAIM, livekit.rooms) == (Status.QUEUED, True, set())
    assert (mendings(call), reconciler.mended) == ([("nobody_came", "reconciler")], {Mended.NOBODY_CAME: 1})
    # Who comes too late is told so.
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None


def test_the_pauses_grow_up_to_a_bound(reconciler: Watcher) -> None:
    call = make_call(Status.DISPATCHED)
    pauses = []
    for _time in range(7):
        waits = as_written(call)
        assert mending.put_back(waits)
        pauses.append(round((waits.due_at - timezone.now()).total_seconds(), 1))
        assert lifecycle.claim_for_dispatch(waits, by="dialer")
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_a_job_that_was_quicker_keeps_its_call(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = make_call(Status.DISPATCHED)
    livekit.rooms.add(call.room)
    reconciler.watch(10)

    def claims(*_asked: Any) -> Any:
        assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1")
        return {call.room: []}

    reconciler._who_is_in = claims  # type: ignore[method-assign]
    reconciler.look()
    assert (as_written(call).status, livekit.rooms) == (Status.DIALING, {call.room})


def test_a_call_whose_time_is_over_meanwhile_does_not_come_back() -> None:
    call = make_call(Status.DISPATCHED)
    assert lifecycle.end_expired(as_written(call), by="dialer")
    assert not mending.put_back(call)
    assert (as_written(call).ended_reason, mendings(call)) == ("schedule.expired", [])


def test_a_call_that_is_being_taken_is_left_a_while(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = make_call(Status.DISPATCHED)
    livekit.rooms.add(call.room)
    livekit.joins(call.room, "agent-1", kind="AGENT")
    reconciler.watch(29)
    assert as_written(call).status == Status.DISPATCHED
    reconciler.watch(4)
    assert as_written(call).status == Status.QUEUED


def test_a_call_whose_room_cannot_be_deleted_waits_for_that(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = make_call(Status.DISPATCHED)
    livekit.rooms.add(call.room)
    livekit.fails("DeleteRoom", CANNOT, None)
    reconciler.watch(12)
    # Nobody can take it any more; nor was it offered anew while the old room lived.
    assert (as_written(call).status, as_written(call).claim != CLAIM) == (Status.DISPATCHED, True)
    reconciler.look()
    assert (as_written(call).status, livekit.rooms) == (Status.QUEUED, set())


def test_while_livekit_cannot_be_asked_nothing_is_put_back(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = make_call(Status.DISPATCHED)
    livekit.rooms.add(call.room)
    livekit.fails("ListParticipants", CANNOT)
    reconciler.watch(40)
    assert (as_written(call).status, as_written(call).claim) == (Status.DISPATCHED, CLAIM)


def test_a_sandbox_call_of_a_worker_that_died_is_offered_again(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    livekit.fails("ListRooms", AWAY)
    call = make_call(Status.DISPATCHED, line=LineKind.SANDBOX)
    reconciler.watch(12)
    assert as_written(call).status == Status.QUEUED


def test_what_goes_back_keeps_its_priority_and_its_end(reconciler: Watcher) -> None:
    call = make_call(Status.DISPATCHED, priority=Priority.HIGH)
    reconciler.watch(12)
    waits = as_written(call)
    assert (waits.status, waits.priority, waits.expires_at) == (Status.QUEUED, Priority.HIGH, call.expires_at)


# -- rooms without a call -------------------------------------------------------------------------------------------------


def test_a_room_that_outlived_its_call_is_closed_once_it_was_seen_twice(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    ended, alive = make_call(Status.ENDED), make_call(Status.IN_PROGRESS, number=pt_mobile(2), heartbeat_at=timezone.now())
    unknown = "call_restaurante_00000000-0000-4000-8000-000000000000"
    livekit.rooms |= {ended.room, alive.room, unknown}
    reconciler.watch(STEP_S)
    assert livekit.rooms == {ended.room, alive.room, unknown}
    reconciler.watch(STEP_S)
    assert (livekit.rooms, mendings(ended)) == ({alive.room}, [("room_left", "reconciler")])
    assert reconciler.mended == {Mended.ROOM_LEFT: 2}


def test_a_room_that_is_joined_again_after_a_restart_of_livekit_is_closed_again(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = make_call(Status.ENDED)
    # The job deleted it when LiveKit had only just come back; phone and job were joining again, and are in it now.
    livekit.fails("ListRooms", AWAY, None)
    livekit.rooms.add(call.room)
    livekit.joins(call.room)
    reconciler.watch(11)
    assert livekit.rooms == {call.room}
    reconciler.watch(2)
    assert livekit.rooms == set()
    livekit.rooms.add(call.room)
    livekit.joins(call.room)
    reconciler.watch(2 * STEP_S)
    assert (livekit.rooms, mendings(call)) == (set(), [("room_left", "reconciler")] * 2)


def test_a_room_without_a_call_that_no_server_carries_is_closed_once(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = make_call(Status.ENDED)
    livekit.rooms.add(call.room)
    livekit.uncarried.add(call.room)
    reconciler.watch(20)
    assert (livekit.rooms, mendings(call)) == (set(), [("room_left", "reconciler")])
    assert len(livekit.asked_for("DeleteRoom")) == 2


def test_what_nobody_took_before_livekit_died_goes_back_to_the_queue(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    call = make_call(Status.DISPATCHED)
    livekit.rooms.add(call.room)
    livekit.uncarried.add(call.room)
    reconciler.watch(15)
    assert (as_written(call).status, livekit.rooms) == (Status.QUEUED, set())


def test_rooms_of_others_on_the_same_livekit_are_theirs(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    livekit.rooms.add("call_of_another_installation")
    livekit.metadata["call_of_another_installation"] = "another-agent"
    reconciler.watch(20)
    assert livekit.rooms == {"call_of_another_installation"}


def test_a_room_that_somebody_else_closes_meanwhile_is_not_ours_to_count(reconciler: Watcher, livekit: FakeLiveKit) -> None:
    reconciler.has_watched()
    call = make_call(Status.ENDED)
    livekit.rooms.add(call.room)
    livekit.before["DeleteRoom"] = livekit.rooms.clear
    reconciler.watch(2 * STEP_S)
    assert (mendings(call), reconciler.mended) == ([], {})


# -- its pace -------------------------------------------------------------------------------------------------------------


def looks(reconciler: Watcher, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    livekit_asked: list[float] = []
    real = reconciler.look
    monkeypatch.setattr(reconciler, "look", lambda: livekit_asked.append(reconciler.clock.now) or real())
    return lambda: len(livekit_asked)


def test_it_looks_every_two_seconds(reconciler: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    count = looks(reconciler, monkeypatch)
    for _tenth in range(61):
        assert not reconciler.step()
        reconciler.clock.now += 0.1
    assert count() == 4


def test_news_from_livekit_make_it_look_at_once_but_not_without_end(reconciler: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    count = looks(reconciler, monkeypatch)
    call = make_call(Status.IN_PROGRESS, heartbeat_at=timezone.now())

    def news() -> None:
        RoomEvent.objects.create(
            event_id=f"EV_{RoomEvent.objects.count()}", kind="participant_left", room=call.room, who="callee", at=timezone.now()
        )

    reconciler.step()
    reconciler.clock.now += 1
    news()
    assert reconciler.step()
    reconciler.clock.now += 0.4
    news()
    assert not reconciler.step()
    assert count() == 2
    reconciler.clock.now += 0.1
    assert reconciler.step()
    assert count() == 3
