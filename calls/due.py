"""Whether there is anything to do at all: looks that cost next to nothing, for a worker that has to look often.

Each reads one entry of a partial index, by SQL that nobody has to build anew. Who finds something asks the models for it.
"""

from accounts.looks import finds

from . import clock
from .models import LineKind
from .states import HOLDS_A_PLACE, UNDIALLED, listed

IN_THE_QUEUE = "SELECT 1 FROM calls_call WHERE status = 'queued' AND line = %(line)s LIMIT 1"
ON_THE_SCHEDULE = "SELECT 1 FROM calls_call WHERE status = 'scheduled' AND due_at <= {now} LIMIT 1"
OVER = """
SELECT 1 FROM (SELECT 1 FROM calls_call WHERE status IN {undialled} AND expires_at <= {now} LIMIT 1) passed
UNION ALL
SELECT 1 FROM calls_call WHERE status IN {undialled} AND cancel_requested_at IS NOT NULL
LIMIT 1
"""
TO_BE_RETRIED = "SELECT 1 FROM calls_call WHERE retry_at IS NOT NULL LIMIT 1"
ALIVE = "SELECT 1 FROM calls_call WHERE line IN ('phone', 'sandbox') AND status IN {holding} LIMIT 1"


def any_in_the_queue(line: LineKind) -> bool:
    """Whether calls wait for a place on the line, due or not."""
    return finds(IN_THE_QUEUE, {"line": line.value})


def any_on_the_schedule() -> bool:
    """Whether the time of a scheduled call has come; its number may be in another call still."""
    return _finds_now(ON_THE_SCHEDULE)


def any_over() -> bool:
    """Whether the time of a call that nobody has dialled has passed, or it is not wanted any more."""
    return _finds_now(OVER)


def any_to_be_retried() -> bool:
    """Whether the retry of a call is to be put on the schedule."""
    return finds(TO_BE_RETRIED, {})


def any_alive() -> bool:
    """Whether any call holds a place, on whatever line."""
    return finds(ALIVE.format(holding=listed(HOLDS_A_PLACE)), {})


def _finds_now(statement: str) -> bool:
    now, named = clock.now_in_words()
    return finds(statement.format(now=now, undialled=listed(UNDIALLED)), named)
