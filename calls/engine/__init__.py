"""The engine that runs steps in the background: procrastinate on PostgreSQL, django-tasks-db on SQLite.

The database row is the truth, the engine is the doorbell (docs/adr/0001): what is due stands in rows, and a job of the engine says only
that a step may have work. It may lose a job, repeat it, or be away: the sweep (`calls.queue_worker`) rings again for what is due.
"""

import threading
from importlib import import_module
from types import ModuleType

from django.conf import settings


def work(stop: threading.Event) -> None:
    """Run the steps that were rung for, until `stop` is set. What breaks the engine is raised: the caller starts it again."""
    _of_this_database().work(stop)


def tidy() -> None:
    """Clear away the jobs of workers that died, and ring again for their steps."""
    _of_this_database().tidy()


def _of_this_database() -> ModuleType:
    return import_module(".on_postgresql" if settings.ON_POSTGRESQL else ".on_sqlite", __name__)
