"""What time alone makes due: calls whose time has come go into the queue, those whose time is over end. Steps of `calls.tasks`."""

from django.db.models import Exists, OuterRef, Q

from . import clock, due, lifecycle, rooms
from .models import Call, LineKind
from .models.call import IS_CANCELED, CallQuerySet
from .states import HOLDS_THE_NUMBER, UNDIALLED, Status

BY = "dialer"
EXPIRED_AT_ONCE = 50
PROMOTED_AT_ONCE = 50


def promote_due() -> bool:
    """Put scheduled calls whose time has come, and whose number is free, into the queue."""
    promoted = [lifecycle.promote(call, by=BY) for call in _promotable().order_by("due_at")[:PROMOTED_AT_ONCE]]
    return any(promoted)


def may_promote() -> bool:
    return due.any_on_the_schedule() and _promotable().exists()


def _promotable() -> CallQuerySet:
    now = clock.now_there()
    # Those that wait for their number would else stand in front of the others.
    in_call = Call.objects.filter(line=LineKind.PHONE, status__in=sorted(HOLDS_THE_NUMBER), number_index=OuterRef("number_index"))
    return Call.objects.filter(
        Q(line=LineKind.SANDBOX) | ~Exists(in_call), status=Status.SCHEDULED, due_at__lte=now, expires_at__gt=now, cancel_requested_at=None
    )


def expire_due() -> bool:
    """End calls whose time passed, and canceled ones that no job has taken yet, before anybody dialled."""
    passed = [*_passed().order_by("expires_at")[:EXPIRED_AT_ONCE], *_called_off().order_by("cancel_requested_at")[:EXPIRED_AT_ONCE]]
    may_have_rooms = {call.pk for call in passed if call.status == Status.DISPATCHED and call.line == LineKind.PHONE}
    ended = [call for call in passed if _end(call)]
    # No job takes a call that has ended, so its room need not be gone first.
    rooms.delete_all([call.room for call in ended if call.pk in may_have_rooms])
    return bool(ended)


def _end(call: Call) -> bool:
    if call.cancel_requested_at:
        return lifecycle.end_as_canceled(call, by=BY, within=UNDIALLED)
    return lifecycle.end_expired(call, by=BY)


def may_expire() -> bool:
    return due.any_over()


def _passed() -> CallQuerySet:
    return Call.objects.filter(status__in=sorted(UNDIALLED), expires_at__lte=clock.now_there(), cancel_requested_at=None)


def _called_off() -> CallQuerySet:
    return Call.objects.filter(IS_CANCELED)
