"""The places of a line: how many calls it may begin now, and which of those that wait.

Counted under the lock on the line's row, in the database's clock: several dialers on several machines never exceed its limits
together. The call of the highest priority comes first, then the one whose organization holds the fewest places, then the oldest. Only
the head of each organization's queue is looked at, so that a claim costs the same however many calls wait behind it.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from . import clock, lifecycle
from .models import Call, Line, LineKind, LineShare
from .states import HOLDS_A_PLACE, Status

# A migration made the rows; who emptied the database gets these again. Many carriers refuse calls that come faster.
DEFAULTS: Mapping[LineKind, Mapping[str, Any]] = {LineKind.PHONE: {"calls_per_second": 10.0}, LineKind.SANDBOX: {}}
# Calls that the policy refuses in one go, before the line's row is let go.
REFUSED_AT_ONCE = 20

# Of each organization that has calls in the queue of a line: its next one that may be dialled. The organizations are found by
# jumping from each to the next one in the index `calls_due`; nothing here reads the queue itself.
HEADS = """
WITH RECURSIVE waiting (organization_id) AS (
    SELECT min(organization_id) FROM calls_call WHERE line = %(line)s AND status = 'queued'
    UNION ALL
    SELECT (
        SELECT min(later.organization_id) FROM calls_call later
        WHERE later.line = %(line)s AND later.status = 'queued' AND later.organization_id > waiting.organization_id
    )
    FROM waiting WHERE waiting.organization_id IS NOT NULL
), heads (id) AS (
    SELECT (
        SELECT own.id FROM calls_call own
        WHERE own.line = %(line)s AND own.status = 'queued' AND own.organization_id = waiting.organization_id
            AND own.due_at <= %(at)s AND own.expires_at > %(at)s AND own.cancel_requested_at IS NULL
        ORDER BY own.priority DESC, own.due_at LIMIT 1
    )
    FROM waiting WHERE waiting.organization_id IS NOT NULL
)
SELECT head.id, head.organization_id, head.priority, head.due_at FROM heads JOIN calls_call head ON head.id = heads.id
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """The calls that were claimed; and, where the line's pace is what the next one waits for, in how many seconds it may come."""

    calls: list[Call]
    next_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class Occupancy:
    """A line with the places that are taken, by organization (their ids), and the shares that differ from the line's."""

    line: Line
    taken: Counter[int]
    shares: Mapping[int, int]

    @property
    def free(self) -> int:
        return max(0, self.line.places - self.taken.total())

    def has_share_left(self, organization_id: int) -> bool:
        share = self.shares.get(organization_id, self.line.share)
        return share is None or self.taken[organization_id] < share


def take(kind: LineKind, *, by: str, may_still: Callable[[Call, datetime], bool], most: int | None = None) -> Taken:
    """Claim calls that are due on a line, at most `most`, as far as its limits allow; one at a time where it has a pace.

    `may_still` is asked about each call, at the database's time, and has ended the one that it refuses.
    """
    # Without this look a SQLite database would be locked for writing ten times a second.
    if not due(kind, clock.now_there()).exists():
        return Taken([])
    with transaction.atomic():
        line, _is_new = Line.objects.select_for_update().get_or_create(kind=kind, defaults=DEFAULTS[kind])
        # Read when the lock is held: what another dialer began while this one waited for it lies before.
        at = clock.database_now()
        wait_s = seconds_to_next(line, at)
        if not line.is_open or wait_s > 0:
            return Taken([], next_in_s=wait_s if line.is_open else None)
        occupancy = occupancy_of(line)
        wanted = min(occupancy.free, 1 if line.calls_per_second else occupancy.free, occupancy.free if most is None else most)
        calls = _take(occupancy, wanted, at=at, by=by, may_still=may_still)
        if calls and line.calls_per_second:
            line.next_slot_at = at + slot(line.calls_per_second)
            line.save(update_fields=["next_slot_at"])
    return Taken(calls)


def _take(occupancy: Occupancy, wanted: int, *, at: datetime, by: str, may_still: Callable[[Call, datetime], bool]) -> list[Call]:
    calls: list[Call] = []
    for _look in range(wanted + REFUSED_AT_ONCE):
        head = next_of(heads(LineKind(occupancy.line.kind), at), occupancy) if len(calls) < wanted else None
        if head is None:
            break
        call = Call.objects.for_briefing().get(pk=head.pk)
        if may_still(call, at) and lifecycle.claim_for_dispatch(call, by=by, at=at):
            occupancy.taken[call.organization_id] += 1
            calls.append(call)
    return calls


def due(kind: LineKind, at: datetime | Now) -> QuerySet[Call]:
    """The calls in a line's queue that may be dialled at that time."""
    return Call.objects.filter(line=kind, status=Status.QUEUED, due_at__lte=at, expires_at__gt=at, cancel_requested_at=None)


def heads(kind: LineKind, at: datetime) -> list[Call]:
    """The next call of each organization that has any due on the line: id, organization, priority and due_at alone are loaded."""
    return list(Call.objects.raw(HEADS, {"line": kind.value, "at": connection.ops.adapt_datetimefield_value(at)}))


def next_of(candidates: list[Call], occupancy: Occupancy) -> Call | None:
    """Which of the organizations' heads comes first; None when each has used its share up."""
    able = [call for call in candidates if occupancy.has_share_left(call.organization_id)]
    return min(able, key=lambda call: (-call.priority, occupancy.taken[call.organization_id], call.due_at), default=None)


def occupancy_of(line: Line) -> Occupancy:
    held = Call.objects.filter(line=line.kind, status__in=sorted(HOLDS_A_PLACE)).order_by()
    taken = Counter({row["organization_id"]: row["n"] for row in held.values("organization_id").annotate(n=Count("pk"))})
    shares = LineShare.objects.filter(line__kind=line.kind).values_list("organization_id", "places")
    return Occupancy(line=line, taken=taken, shares=dict(shares))


def slot(calls_per_second: float) -> timedelta:
    """The time between two calls of a line; rounded up, so that no second holds one more."""
    return timedelta(microseconds=math.ceil(1_000_000 / calls_per_second))


def seconds_to_next(line: Line, at: datetime) -> float:
    """How long the line's pace lets the next call wait; 0 when it may come."""
    if line.calls_per_second is None or line.next_slot_at is None:
        return 0.0
    # One slot at most: a slower pace may have been set before, or the clock been put back.
    return max(0.0, min(line.next_slot_at - at, slot(line.calls_per_second)).total_seconds())
