"""The places of a line: how many calls it may begin now, and which of those that wait.

Counted under the lock on the line's row, in the database's clock: several dialers on several machines never exceed its limits
together. The call of the highest priority comes first, then the one whose organization holds the fewest places, then the oldest. Only
the head of each organization's queue is looked at, so that a claim costs the same however many calls wait behind it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from . import clock, due, lifecycle
from .models import Call, Line, LineKind
from .states import HOLDS_A_PLACE, listed

# A migration made the rows; who emptied the database gets these again. Many carriers refuse calls that come faster.
DEFAULTS: Mapping[LineKind, Mapping[str, Any]] = {LineKind.PHONE: {"calls_per_second": 10.0}, LineKind.SANDBOX: {}}
# Calls that the policy refuses in one go, before the line's row is let go.
REFUSED_AT_ONCE = 20

# Of each organization that has calls in the queue of a line: its next one that may be dialled, the places that it holds, its own share
# of them; and the places that all hold. The organizations are found by jumping from each to the next one in the index `calls_due`, the
# only one that is ordered by line and organization; nothing here reads the queue itself, or what has ended.
HEADS = """
WITH RECURSIVE waiting (organization_id) AS (
    SELECT (
        SELECT CASE one.line WHEN %(line)s THEN one.organization_id END FROM calls_call one
        WHERE one.status = 'queued' AND one.line >= %(line)s ORDER BY one.line, one.organization_id LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT CASE one.line WHEN %(line)s THEN one.organization_id END FROM calls_call one
        WHERE one.status = 'queued' AND (one.line, one.organization_id) > (%(line)s, waiting.organization_id)
        ORDER BY one.line, one.organization_id LIMIT 1
    )
    FROM waiting WHERE waiting.organization_id IS NOT NULL
), held (organization_id, places) AS (
    SELECT organization_id, count(*) FROM calls_call
    WHERE line = %(line)s AND status IN {holding} GROUP BY organization_id
)
SELECT head.id, head.organization_id, head.priority, head.due_at, coalesce(held.places, 0) AS held, own.places AS share,
    (SELECT coalesce(sum(places), 0) FROM held) AS taken
FROM waiting {join}
LEFT JOIN held ON held.organization_id = waiting.organization_id
LEFT JOIN calls_lineshare own ON own.line_id = %(line_id)s AND own.organization_id = waiting.organization_id
"""
# PostgreSQL has to be told to go from organization to organization: a plain join it would rather make by reading the whole table.
# SQLite knows no LATERAL, and joins in no other way than that.
JOIN = {
    "postgresql": """
CROSS JOIN LATERAL (
    SELECT due.id, due.organization_id, due.priority, due.due_at FROM calls_call due
    WHERE due.line = %(line)s AND due.status = 'queued' AND due.organization_id = waiting.organization_id
        AND due.due_at <= %(at)s AND due.expires_at > %(at)s AND due.cancel_requested_at IS NULL
    ORDER BY due.priority DESC, due.due_at LIMIT 1
) head
""",
    "sqlite": """
JOIN calls_call head ON head.id = (
    SELECT due.id FROM calls_call due
    WHERE due.line = %(line)s AND due.status = 'queued' AND due.organization_id = waiting.organization_id
        AND due.due_at <= %(at)s AND due.expires_at > %(at)s AND due.cancel_requested_at IS NULL
    ORDER BY due.priority DESC, due.due_at LIMIT 1
)
""",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """The calls that were claimed; and, where the line's pace is what the next one waits for, in how many seconds it may come."""

    calls: list[Call]
    next_in_s: float | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """An organization's next call; how many of the line's places the organization holds, and the share that is its own, if it has one."""

    call_id: UUID
    organization_id: int
    priority: int
    due_at: datetime
    held: int
    share: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """A line, the places of it that are taken, and the organizations that have calls due."""

    line: Line
    taken: int
    heads: list[Head]

    @property
    def free(self) -> int:
        return max(0, self.line.places - self.taken)

    def has_share_left(self, head: Head) -> bool:
        share = self.line.share if head.share is None else head.share
        return share is None or head.held < share

    def next(self) -> Head | None:
        """Which of the heads comes first; None when the line is full, or each organization has used its share up."""
        able = [head for head in self.heads if self.free and self.has_share_left(head)]
        return min(able, key=lambda head: (-head.priority, head.held, head.due_at), default=None)


def take(kind: LineKind, *, by: str, may_still: Callable[[Call, datetime], bool], most: int | None = None) -> Taken:
    """Claim calls that are due on a line, at most `most`, as far as its limits allow; one at a time where it has a pace.

    `may_still` is asked about each call, at the database's time, and has ended the one that it refuses.
    """
    # Without this look a SQLite database would be locked for writing ten times a second.
    if not due.any_in_the_queue(kind):
        return Taken([])
    with transaction.atomic():
        line, _is_new = Line.objects.select_for_update().get_or_create(kind=kind, defaults=DEFAULTS[kind])
        # Read when the lock is held: what another dialer began while this one waited for it lies before.
        at = clock.database_now()
        wait_s = seconds_to_next(line, at)
        if not line.is_open or wait_s > 0:
            return Taken([], next_in_s=wait_s if line.is_open else None)
        calls = _take(line, most, at=at, by=by, may_still=may_still)
        if calls and line.calls_per_second:
            Line.objects.filter(pk=line.pk).update(next_slot_at=at + slot(line.calls_per_second))
    return Taken(calls)


def _take(line: Line, most: int | None, *, at: datetime, by: str, may_still: Callable[[Call, datetime], bool]) -> list[Call]:
    calls: list[Call] = []
    refused = 0
    wanted = 1 if line.calls_per_second else most
    while refused <= REFUSED_AT_ONCE and len(calls) != wanted and (head := queue_of(line, at).next()):
        call = Call.objects.select_related("organization", "consent", "persona_version").get(pk=head.call_id)
        if may_still(call, at) and lifecycle.claim_for_dispatch(call, by=by, at=at):
            calls.append(call)
        else:
            refused += 1
    return calls


def queue_of(line: Line, at: datetime) -> Queue:
    """The line at that time of the database's. One statement, which looks at one call an organization."""
    named = {"line": line.kind, "line_id": line.pk, "at": connection.ops.adapt_datetimefield_value(at)}
    rows: list[Any] = list(Call.objects.raw(HEADS.format(join=JOIN[connection.vendor], holding=listed(HOLDS_A_PLACE)), named))
    heads = [Head(row.pk, row.organization_id, row.priority, row.due_at, row.held, row.share) for row in rows]
    return Queue(line=line, taken=int(rows[0].taken) if rows else 0, heads=heads)


def slot(calls_per_second: float) -> timedelta:
    """The time between two calls of a line; rounded up, so that no second holds one more."""
    return timedelta(microseconds=math.ceil(1_000_000 / calls_per_second))


def seconds_to_next(line: Line, at: datetime) -> float:
    """How long the line's pace lets the next call wait; 0 when it may come."""
    if line.calls_per_second is None or line.next_slot_at is None:
        return 0.0
    # One slot at most: a slower pace may have been set before, or the clock been put back.
    return max(0.0, min(line.next_slot_at - at, slot(line.calls_per_second)).total_seconds())
