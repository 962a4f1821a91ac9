"""Takes calls that are due out of the queue, and gives each to an agent: steps of the queue worker, each idempotent.

Several queue workers may run at once: a call is claimed by compare-and-swap, and a line's limits are kept by `calls.places`.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings

from . import clock, lifecycle, places, policy
from .dial_results import BY_KIND
from .models import Call, CallEvent, LineKind
from .rooms import Failed, RoomOrder, Rooms
from .states import UNDIALLED, EndedBy, Status

BY = "dialer"
# After a LiveKit that could not just now: half a second, doubled each time, at most this.
FIRST_PAUSE = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=15)


def _forget(_seconds: float) -> None:
    """For a caller that comes again anyway."""


def dial_due(rooms: Rooms, wake_in: Callable[[float], None] = _forget) -> bool:
    """Claim the phone calls that are due, within the line's limits, and begin to open their rooms.

    `wake_in` is told in how many seconds the line's pace lets the next one come.
    """
    taken = places.take(LineKind.PHONE, by=BY, may_still=partial(_may_still, by=BY))
    if taken.next_in_s is not None:
        wake_in(taken.next_in_s)
    # LiveKit hears of a call only after its claim was committed (design §3, rule 2).
    for call in taken.calls:
        rooms.open(_order_for(call))
    return bool(taken.calls)


def claim_sandbox(*, worker: str, free: int) -> list[Call]:
    """Claim at most `free` sandbox calls for an agent worker, which runs them itself: no LiveKit is asked."""
    if free <= 0:
        return []
    taken = places.take(LineKind.SANDBOX, by=worker, may_still=partial(_may_still, by=worker), most=free)
    calls = Call.objects.for_briefing().in_bulk([call.pk for call in taken.calls])
    return [calls[call.pk] for call in taken.calls]


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
                put_back(call, by=BY, why="gateway")
    return bool(news)


def put_back(call: Call, *, by: str, why: str) -> bool:
    """Give a dispatched call whose room is gone back to the queue, due after a pause that grows with every time."""
    tries = CallEvent.objects.filter(call=call, old=Status.DISPATCHED, new=Status.QUEUED).count()
    # Far more than the longest pause needs; without a bound the power would outgrow a timedelta.
    pause = min(FIRST_PAUSE * 2 ** min(tries, 10), LONGEST_PAUSE)
    return lifecycle.release(call, by=by, why=why, due_at=clock.database_now() + pause)


def _may_still(call: Call, at: datetime, *, by: str) -> bool:
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
            within=UNDIALLED,
            facts={"kind": why},
        )
    elif lifecycle.withdraw(call):
        lifecycle.note_event(call, "error", by=BY, why=why)
        rooms.clear(replace(failed.order, claim=call.claim))
