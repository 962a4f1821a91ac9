"""Whether there is anything to do at all: looks that cost next to nothing, for a worker that has to look often.

Each reads one entry of a partial index, by SQL that nobody has to build anew. Who finds something asks the models for it.
"""

from typing import Any

from django.db import connection

from .models import LineKind

IN_THE_QUEUE = "SELECT 1 FROM calls_call WHERE status = 'queued' AND line = %(line)s LIMIT 1"


def any_in_the_queue(line: LineKind) -> bool:
    """Whether calls wait for a place on the line, due or not."""
    return _finds(IN_THE_QUEUE, {"line": line.value})


def _finds(statement: str, named: dict[str, Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, named)
        return cursor.fetchone() is not None
