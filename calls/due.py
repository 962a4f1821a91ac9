"""Whether there is anything to do at all: looks that cost next to nothing, for a worker that has to look often.

Each reads one entry of a partial index, by SQL that nobody has to build anew. Who finds something asks the models for it.
"""

from datetime import datetime
from typing import Any

from django.db import connection

from .models import LineKind

IN_THE_QUEUE = "SELECT 1 FROM calls_call WHERE status = 'queued' AND line = %(line)s LIMIT 1"
TO_PROMOTE = "SELECT 1 FROM calls_call WHERE status = 'scheduled' AND due_at <= %(at)s LIMIT 1"
TO_END = """
SELECT 1 WHERE EXISTS (SELECT 1 FROM calls_call WHERE status IN ('dispatched', 'queued', 'scheduled') AND expires_at <= %(at)s)
    OR EXISTS (SELECT 1 FROM calls_call WHERE status IN ('dispatched', 'queued', 'scheduled') AND cancel_requested_at IS NOT NULL)
"""


def any_in_the_queue(line: LineKind) -> bool:
    """Whether calls wait for a place on the line, due or not."""
    return _finds(IN_THE_QUEUE, {"line": line.value})


def any_to_promote(at: datetime) -> bool:
    """Whether the time of a scheduled call has come; its number may be in another call."""
    return _finds(TO_PROMOTE, {"at": connection.ops.adapt_datetimefield_value(at)})


def any_to_end(at: datetime) -> bool:
    """Whether a call that nobody dialled has expired, or is not wanted any more."""
    return _finds(TO_END, {"at": connection.ops.adapt_datetimefield_value(at)})


def _finds(statement: str, named: dict[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, named)
        return cursor.fetchone() is not None
