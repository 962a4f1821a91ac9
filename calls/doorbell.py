"""Wakes the queue worker when something is due, from whichever process made it so.

PostgreSQL carries the ring (NOTIFY, delivered at commit). On SQLite nothing does, and the worker looks ten times a second. A ring
that is lost delays a call by the worker's idle time and no longer: what is due stands in the database.
"""

import math
import threading
import time

import structlog
from django.db import DEFAULT_DB_ALIAS, Error, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

log = structlog.get_logger(__name__)

CHANNEL = "chamada_calls"
LOOKS_EVERY_S = 0.1


def ring() -> None:
    """Say that something may be due. Within a transaction it is heard once that commits."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {CHANNEL}")


class Doorbell:
    """Listens for rings, on a database connection of its own. To be used from one thread."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._connection: BaseDatabaseWrapper | None = None
        self._wake_at = math.inf

    def wake_in(self, seconds: float) -> None:
        """Have the next wait end in `seconds` at the latest: something will be due then, and nobody rings for it."""
        self._wake_at = min(self._wake_at, time.monotonic() + seconds)

    def wait(self, seconds: float) -> None:
        """Return when it rang, when `seconds` have passed, when it was to wake, or soon after `stop` was set."""
        seconds, self._wake_at = max(0.0, min(seconds, self._wake_at - time.monotonic())), math.inf
        if connection.vendor != "postgresql":
            self._stop.wait(min(seconds, LOOKS_EVERY_S))
            return
        try:
            listening = self._listening()
            with listening.wrap_database_errors:
                for _ring in listening.connection.notifies(timeout=seconds, stop_after=1):
                    pass
        except Error as error:
            log.warning("the doorbell lost its connection", error=type(error).__name__)
            self.close()
            self._stop.wait(seconds)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _listening(self) -> BaseDatabaseWrapper:
        if self._connection is None:
            fresh = connections.create_connection(DEFAULT_DB_ALIAS)
            with fresh.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            self._connection = fresh
        return self._connection
