"""The engine's jobs, as tests look at them: on whichever database is configured, or of procrastinate in memory."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection

from calls import queue_worker
from calls.queue_worker import Part

LONG_S = 20.0


@dataclass(frozen=True)
class Jobs:
    """`table` is where jobs stand, `waiting` and `rows` say which there are: paths of tasks, and (path, status)."""

    table: str
    rows: Callable[[], list[tuple[str, str]]]

    def waiting(self) -> list[str]:
        return [path.rpartition(".")[2] for path, status in self.rows() if status in ("todo", "READY")]


def on_this_database() -> Jobs:
    if connection.vendor == "postgresql":
        return Jobs("procrastinate_jobs", lambda: _asked("SELECT args ->> 'path', status FROM procrastinate_jobs ORDER BY id"))
    table = "django_tasks_database_dbtaskresult"
    return Jobs(table, lambda: _asked(f"SELECT task_path, status FROM {table} ORDER BY enqueued_at"))


def forget_all_jobs() -> None:
    """As if the engine had never been there; tests begin so, since Django empties only tables of models that it manages."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_events, procrastinate_periodic_defers")
        else:
            cursor.execute("DELETE FROM django_tasks_database_dbtaskresult")


def _asked(sql: str) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


@contextmanager
def running(name: str, part: Part) -> Iterator[threading.Event]:
    """A part of the queue worker, kept running in a thread of its own, as `run_queue` keeps it; its event to stop it."""
    stop = threading.Event()
    thread = threading.Thread(target=queue_worker.keep, args=(name, part, stop))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(LONG_S)
        assert not thread.is_alive()


def comes_true(question: Callable[[], Any], *, within_s: float = LONG_S) -> bool:
    """Whether `question()` becomes true in time; asked often, so that a test waits no longer than it must."""
    deadline = time.monotonic() + within_s
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
