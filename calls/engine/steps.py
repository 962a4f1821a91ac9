"""What the queue worker does beside dialling: steps over due rows, how one rings for them, and how one is done."""

from collections.abc import Callable
from enum import StrEnum

import structlog
from django.db import connection, transaction
from django.utils.module_loading import import_string

log = structlog.get_logger(__name__)


class Step(StrEnum):
    """Each is a task of this name in `calls.tasks`: idempotent, without arguments, and says whether it did anything."""

    PROMOTE = "promote"
    EXPIRE = "expire"
    RETRY = "retry"
    SEED = "seed"


def ring(step: Step) -> None:
    """Say that `step` may have work: heard once the transaction commits, and once however many rang.

    Nobody's work breaks or waits because the engine is away: that is logged, and the sweep rings again.
    """

    def enqueue() -> None:
        import_string(f"calls.tasks.{step}").enqueue()

    # Not a partial: Django asks what fails for its __qualname__.
    transaction.on_commit(enqueue, robust=True)


def attempt(act: Callable[[], bool], *, step: str) -> bool | None:
    """Do `act`; whether it worked. None: it failed, which is logged under the step's name; what was due is due still."""
    try:
        return act()
    except Exception:  # the outermost loop of every step: one call's trouble, or a database away, must not end the worker of all calls
        log.exception("a step failed", step=step)
        # It may be the connection that is broken: the next step makes another.
        connection.close()
        return None
