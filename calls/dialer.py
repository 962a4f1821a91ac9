"""Takes calls that are due out of the queue, and gives each to an agent: steps of the queue worker, each idempotent.

Several queue workers may run at once: a call is claimed by compare-and-swap, a line's places are counted under a lock on its row.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from . import lifecycle, policy
from .dial_results import BY_KIND
from .models import Call, CallEvent, Line, LineKind
from .rooms import Failed, RoomOrder, Rooms
from .states import HOLDS_A_PLACE, EndedBy, Status

BY = "dialer"
# After a LiveKit that could not just now: half a second, doubled each time, at most this.
FIRST_PAUSE = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=15)
EXPIRED_AT_ONCE = 50
PROMOTED_AT_ONCE = 50


def dial_due(rooms: Rooms) -> bool:
    """Claim the phone calls that are due, within the line's free places, and begin to open their rooms."""
    claimed = _claim_due(LineKind.PHONE, by=BY)
    # LiveKit hears of a call only after its claim was committed (design §3, rule 2).
    for call in claimed:
        rooms.open(_order_for(call))
    return bool(claimed)


def claim_sandbox(*, worker: str, free: int) -> list[Call]:
    """Claim at most `free` sandbox calls for an agent worker, which runs them itself: no LiveKit is asked."""
    return _claim_due(LineKind.SANDBOX, by=worker, most=free) if free > 0 else []


def settle_due(rooms: Rooms) -> bool:
    """Deal with the rooms that could not be opened: back to the queue when asking again can help, else the end."""
    news = rooms.news()
    for item in news:
        call = Call.objects.get(pk=item.order.call_id)
        # Else it was canceled or expired meanwhile; or the room did open, only its answer was lost, and a job was quick.
        if call.status == Status.DISPATCHED and call.claim == item.order.claim:
            if isinstance(item, Failed):
                _take_back(call, item, rooms)
            else:
                _try_again(call)
    return bool(news)


def expire_due(rooms: Rooms | None) -> bool:
    """End calls whose time passed, and canceled ones that no job has taken yet, before anybody dialled."""
    now = timezone.now()
    passed = Call.objects.filter(
        Q(expires_at__lte=now) | Q(cancel_requested_at__isnull=False), status__in=[Status.SCHEDULED, Status.QUEUED, Status.DISPATCHED]
    )
    worked = False
    for call in passed.order_by("expires_at")[:EXPIRED_AT_ONCE]:
        worked |= _expire(call, rooms)
    return worked


def promote_due() -> bool:
    """Put scheduled calls whose time has come into the queue."""
    now = timezone.now()
    due = Call.objects.filter(status=Status.SCHEDULED, due_at__lte=now, expires_at__gt=now, cancel_requested_at=None)
    promoted = [lifecycle.promote(call, by=BY) for call in due.order_by("due_at")[:PROMOTED_AT_ONCE]]
    return any(promoted)


def _expire(call: Call, rooms: Rooms | None) -> bool:
    # No job takes a call that is canceled or whose time passed (lifecycle.claim_for_dial), so its room need not be gone first.
    if rooms and call.status == Status.DISPATCHED and call.line == LineKind.PHONE:
        rooms.delete(call.room)
    if call.cancel_requested_at:
        return lifecycle.end_as_canceled(call, by=BY, within=lifecycle.UNDIALLED)
    return lifecycle.end_expired(call, by=BY)


def _claim_due(line: LineKind, *, by: str, most: int | None = None) -> list[Call]:
    now = timezone.now()
    due = Call.objects.filter(line=line, status=Status.QUEUED, due_at__lte=now, expires_at__gt=now, cancel_requested_at=None)
    # Without this look a SQLite database would be locked for writing ten times a second.
    if not due.exists():
        return []
    with transaction.atomic():
        # A migration made the row; who emptied the database gets the defaults again.
        row, _is_new = Line.objects.select_for_update().get_or_create(kind=line)
        taken = Call.objects.filter(line=line, status__in=HOLDS_A_PLACE).count()
        free = row.places - taken if row.is_open else 0
        head = due.for_briefing().order_by("-priority", "due_at", "created_at")[: max(0, free if most is None else min(free, most))]
        return [call for call in head if _may_still(call, by=by, at=now) and lifecycle.claim_for_dispatch(call, by=by)]


def _may_still(call: Call, *, by: str, at: datetime) -> bool:
    """Ask the policy again; a phone call that it refuses ends here, a sandbox call bears what it said."""
    ask = policy.Ask.about(call, at=at)
    objection = policy.first_objection(ask)
    if objection is not None:
        lifecycle.end_blocked(call, by=by, objection=objection)
        return False
    if not ask.refuses:
        for said in policy.objections(ask):
            lifecycle.note_event(call, "policy", by=by, why=said.code)
    return True


def _order_for(call: Call) -> RoomOrder:
    metadata = {"call_id": str(call.pk), "persona": call.persona_version.slug, "claim": call.claim}
    if settings.LIVEKIT_DISPATCH_METADATA == "full":
        metadata |= {"phone_number": call.number, "customer_name": call.customer_name}
    return RoomOrder(
        call_id=call.pk, claim=call.claim, room=call.room, metadata=metadata, agent_name=settings.AGENT_NAME, until=call.expires_at
    )


def _take_back(call: Call, failed: Failed, rooms: Rooms) -> None:
    """A room could not be opened. Where that can change, nobody may dial from it (it may be there) before it is deleted."""
    error = failed.error
    why = f"gateway.{error.kind}"
    if error.permanent:
        result = BY_KIND[error.kind]
        lifecycle.end(
            call,
            by=BY,
            outcome=result.outcome,
            reason=result.reason,
            ended_by=EndedBy.PLATFORM,
            fault=result.fault,
            within=lifecycle.UNDIALLED,
            facts={"kind": why},
        )
    elif lifecycle.withdraw(call):
        lifecycle.note_event(call, "error", by=BY, why=why)
        rooms.clear(replace(failed.order, claim=call.claim))


def _try_again(call: Call) -> None:
    tries = CallEvent.objects.filter(call=call, old=Status.DISPATCHED, new=Status.QUEUED).count()
    pause = min(FIRST_PAUSE * 2**tries, LONGEST_PAUSE)
    lifecycle.release(call, by=BY, why="gateway", due_at=timezone.now() + pause)
