"""The second witness: what LiveKit's webhooks told of our rooms, kept as rows and brought to their calls.

A webhook moves no state. It makes the reconciler look at once, and says what nobody else may have seen: that somebody picked up, or
hung up, before the worker could write it. Events may come late, twice, in any order, and for rooms that nobody knows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.functions import Now

from accounts.looks import finds

from . import doorbell
from .gateway import PICKED_UP
from .models import Call, RoomEvent, RoomEventKind, Who

NEWS = "SELECT 1 FROM calls_roomevent WHERE applied_at IS NULL LIMIT 1"
LEFT = (RoomEventKind.LEFT, RoomEventKind.ABORTED)
# LiveKit's words for a telephone that hung up by itself (facts: livekit-stack §3.7).
HUNG_UP = {"call_status": "hangup", "disconnect_reason": "CLIENT_INITIATED"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the webhooks told of a call's callee. `hung_up_at`: when we were told, by the database's clock."""

    picked_up: bool = False
    left: bool = False
    hung_up_at: datetime | None = None
    disconnect_reason: str = ""


NOTHING = Evidence()


def record(event: RoomEvent) -> None:
    """Keep an event that was verified. One that is here already changes nothing."""
    RoomEvent.objects.bulk_create([event], ignore_conflicts=True)
    if event.kind in (*LEFT, RoomEventKind.ROOM_FINISHED):
        doorbell.ring()


def apply_due() -> bool:
    """Bring events to their calls, each once. Returns whether there were any; an event of no call of ours stays without one."""
    # Without this look a SQLite database would be locked for writing ten times a second.
    if not finds(NEWS, {}):
        return False
    its_call = Call.objects.filter(room=OuterRef("room")).values("pk")[:1]
    return RoomEvent.objects.filter(applied_at=None).update(call=Subquery(its_call), applied_at=Now()) > 0


def somebody_left() -> Exists:
    """Of calls: those whose callee, agent or room LiveKit told to be gone. They may be back since."""
    gone = Q(kind__in=LEFT, who__in=(Who.CALLEE, Who.AGENT)) | Q(kind=RoomEventKind.ROOM_FINISHED)
    return Exists(RoomEvent.objects.filter(gone, call=OuterRef("pk")))


def evidence_of(calls: Iterable[UUID]) -> dict[UUID, Evidence]:
    """What was told of the callees of these calls; nothing is said of a call of which nothing was told."""
    told: dict[UUID, list[RoomEvent]] = {}
    for event in RoomEvent.objects.filter(call__in=list(calls), who=Who.CALLEE):
        assert event.call_id is not None
        told.setdefault(event.call_id, []).append(event)
    return {pk: _evidence(events) for pk, events in told.items()}


def _evidence(events: list[RoomEvent]) -> Evidence:
    departures = [event for event in events if event.kind in LEFT]
    by_itself = [event.received_at for event in departures if all(getattr(event, name) == value for name, value in HUNG_UP.items())]
    return Evidence(
        picked_up=any(event.call_status in PICKED_UP for event in events),
        left=bool(departures),
        hung_up_at=min(by_itself, default=None),
        disconnect_reason=departures[-1].disconnect_reason if departures else "",
    )
