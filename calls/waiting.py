"""Why a call still waits, how many come before it, and until when at least: to be read, by staff and by clients."""

from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from . import clock, places
from .models import Call, Line, LineKind
from .places import Head, Queue
from .states import HOLDS_THE_NUMBER, Status

# Calls before another one are counted so far; a longer queue is "more than" that.
COUNTED = 1000


class Why(models.TextChoices):
    NOT_YET_TIME = "not_yet_time", _("its time has not come yet")
    NUMBER_IN_CALL = "number_in_call", _("its number is in another call")
    LINE_CLOSED = "line_closed", _("the line takes no calls just now")
    LINE_FULL = "line_full", _("all places of the line are taken")
    ORGANIZATION_SHARE = "organization_share", _("the organization holds all the places that it may")
    RATE = "rate", _("the line begins its calls one after the other")
    NEXT = "next", _("it is about to be dialled")


@dataclass(frozen=True, slots=True)
class Waiting:
    """`position` is 1 for the next one, None for a call that is not in the queue; `more_than`: there are still more before it.

    `until` is the earliest time at which it may be dialled, where that is known.
    """

    why: Why
    position: int | None = None
    more_than: bool = False
    until: datetime | None = None


def waiting_of(call: Call) -> Waiting | None:
    """How `call` waits just now; None when it does not, or not any more."""
    at = clock.database_now()
    if call.status == Status.SCHEDULED:
        return _on_the_schedule(call, at)
    if call.status != Status.QUEUED:
        return None
    if call.due_at > at:
        # LiveKit could not just now: it is asked again in a moment.
        return Waiting(Why.NOT_YET_TIME, until=call.due_at)
    line = Line.objects.filter(kind=call.line).first() or Line(kind=call.line)
    queue = places.queue_of(line, at)
    own = next((head for head in queue.heads if head.organization_id == call.organization_id), None)
    if own is None:
        # It was read a moment ago, and has left the queue since.
        return None
    before = calls_before(call, own, queue, at)
    why = _why(own, queue, at, is_next=before == 0)
    slot_at = None
    if why == Why.RATE and line.calls_per_second and before < COUNTED:
        slot_at = (line.next_slot_at or at) + before * places.slot(line.calls_per_second)
    return Waiting(why, position=min(before + 1, COUNTED), more_than=before >= COUNTED, until=slot_at)


def _on_the_schedule(call: Call, at: datetime) -> Waiting:
    if call.due_at > at:
        return Waiting(Why.NOT_YET_TIME, until=call.due_at)
    in_call = Call.objects.filter(line=LineKind.PHONE, status__in=sorted(HOLDS_THE_NUMBER), number_index=call.number_index)
    return Waiting(Why.NUMBER_IN_CALL if call.line == LineKind.PHONE and in_call.exists() else Why.NEXT)


def _why(own: Head, queue: Queue, at: datetime, *, is_next: bool) -> Why:
    if not queue.line.is_open:
        return Why.LINE_CLOSED
    if not queue.has_share_left(own):
        return Why.ORGANIZATION_SHARE
    if not queue.free:
        return Why.LINE_FULL
    if queue.line.calls_per_second and (not is_next or places.seconds_to_next(queue.line, at) > 0):
        return Why.RATE
    return Why.NEXT


def calls_before(call: Call, own: Head, queue: Queue, at: datetime) -> int:
    """How many calls would be given out before `call` if the line's places became free one by one; COUNTED for that or more.

    An organization's calls stand in its own order; organizations take turns, those with fewer places first (`calls.places`).
    """
    due = Call.objects.filter(line=call.line, status=Status.QUEUED, due_at__lte=at, expires_at__gt=at, cancel_requested_at=None)
    of_its_own = due.filter(organization=call.organization_id)
    before = _count(of_its_own.filter(priority__gt=call.priority))
    before += _count(of_its_own.filter(priority=call.priority, due_at__lt=call.due_at))
    # As many places its organization will hold when it is its turn.
    level = own.held + before
    for head in queue.heads:
        if before < COUNTED and head is not own and head.priority >= call.priority and queue.has_share_left(head):
            before += _of_another(due.filter(organization=head.organization_id), call, level - head.held)
    return min(before, COUNTED)


def _of_another(queue: models.QuerySet[Call], call: Call, turns: int) -> int:
    """Calls of another organization before this one: the more urgent ones, and then what comes in so many turns."""
    urgent = _count(queue.filter(priority__gt=call.priority))
    turns = min(turns - urgent, COUNTED)
    if turns < 0:
        return urgent
    times = list(queue.filter(priority=call.priority).order_by("due_at").values_list("due_at", flat=True)[: turns + 1])
    # With as many places as this call's organization the older call goes first.
    return urgent + min(len(times), turns) + (len(times) > turns and times[turns] < call.due_at)


def _count(queue: models.QuerySet[Call]) -> int:
    return queue[:COUNTED].count()
