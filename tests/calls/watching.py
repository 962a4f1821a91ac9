"""A reconciler under the tests' clock, and calls for it to judge."""

from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from calls import witness
from calls.models import Call, CallEvent, RoomEvent, RoomEventKind, Who
from calls.reconcile import Reconciler
from calls.states import Status
from tests.call_factories import make_call

from .livekit_api import FakeLiveKit, TwirpError

AWAY = TwirpError("unavailable", "no response from servers")
CANNOT = TwirpError("internal", "not now")
STEP_S = 1.5


class Clock:
    """The monotonic clock of a reconciler, which stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watcher(Reconciler):
    """A reconciler, and the time that passes between its looks."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(monotonic=self.clock)

    def watch(self, seconds: float) -> None:
        """Look every 1.5 s for so long."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.look()
            self.clock.now += STEP_S

    def has_watched(self) -> "Watcher":
        """Nothing was out of order in the last ten seconds."""
        self.watch(12)
        return self


def as_written(call: Call) -> Call:
    return Call.objects.get(pk=call.pk)


def silent_for(call: Call, seconds: float) -> Call:
    Call.objects.filter(pk=call.pk).update(heartbeat_at=Now() - timedelta(seconds=seconds))
    return as_written(call)


def beats(call: Call) -> None:
    Call.objects.filter(pk=call.pk).update(heartbeat_at=Now())


def told(call: Call, kind: RoomEventKind, who: Who = Who.CALLEE, *, received_ago_s: float = 0, **facts: str) -> RoomEvent:
    """What a webhook of LiveKit told, brought to its call."""
    event = RoomEvent.objects.create(
        event_id=f"EV_{RoomEvent.objects.count()}", kind=kind, room=call.room, who=who, at=timezone.now(), **facts
    )
    witness.apply_due()
    RoomEvent.objects.filter(pk=event.pk).update(received_at=Now() - timedelta(seconds=received_ago_s))
    return event


def mendings(call: Call) -> list[tuple[str, str]]:
    return list(CallEvent.objects.filter(call=call, kind="mended").values_list("why", "by"))


def lost_call(livekit: FakeLiveKit, status: Status = Status.IN_PROGRESS, *, call_status: str = "active", **columns: Any) -> Call:
    """A call whose worker died nine seconds ago, with the callee on the line."""
    call = silent_for(make_call(status, **columns), 9)
    livekit.rooms.add(call.room)
    livekit.joins(call.room, call_status=call_status)
    livekit.joins(call.room, "agent-1", kind="AGENT")
    return call


def keeps_beating(call: Call, reconciler: Watcher, seconds: float) -> None:
    """The job's signs of life go on, whatever else of it stands still."""
    for _second in range(int(seconds / STEP_S)):
        beats(call)
        reconciler.watch(STEP_S)
