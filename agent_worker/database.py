"""The database as a call's event loop uses it: in the one thread that owns the connection, and never for longer than the call can wait."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

import structlog
from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, Error, OperationalError, close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
# A database that does not answer at all is as good as away.
ANSWERS_WITHIN_S = 10.0


class DatabaseSilent(OperationalError):
    """The database did not answer in time."""


class DatabaseAway(Exception):
    """The database was away for as long as there was time."""


async def in_database(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """`in_database_within` the time that is the same for all. Raises what `function` raises, and DatabaseSilent."""
    return await in_database_within(ANSWERS_WITHIN_S, function, *args, **kwargs)


async def in_database_within(seconds: float, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` in the thread that owns the database connection.

    A call outlives the age that a connection may have: it is looked at before each use. When there is no answer for so long the
    connection is broken off, so that the thread is free for whoever comes next. Raises what `function` raises, and DatabaseSilent.
    """
    used: list[BaseDatabaseWrapper] = []

    def fresh() -> R:
        used.append(connections[DEFAULT_DB_ALIAS])
        try:
            close_old_connections()
            return function(*args, **kwargs)
        finally:
            used.clear()

    waiting = asyncio.timeout(seconds)
    try:
        async with waiting:
            return await sync_to_async(fresh)()
    except TimeoutError as error:
        if not waiting.expired():
            raise  # the function's own
        for wrapper in used:
            _break_off(wrapper)
        raise DatabaseSilent from error


async def in_database_before(deadline: float, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """`in_database`, tried again while the database is away, until the loop's clock shows `deadline`. Raises DatabaseAway then.

    For functions that may be repeated: a connection that broke may have done the work.
    """
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE_S
    while True:
        try:
            return await in_database_within(min(deadline - loop.time(), ANSWERS_WITHIN_S), function, *args, **kwargs)
        except Error as error:
            if loop.time() + pause >= deadline:
                raise DatabaseAway from error
            log.warning("database is away", error=type(error).__name__, again_in_s=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)


def _break_off(wrapper: BaseDatabaseWrapper) -> None:
    """Close the connection under the thread that waits for an answer on it: nothing else wakes it, as long as the server's kernel lives.

    A connection that is only being made has its own limit (`connect_timeout`), and SQLite its own as well.
    """
    if wrapper.vendor != "postgresql" or wrapper.connection is None:
        return
    log.warning("database does not answer, its connection is broken off")
    with suppress(OSError, Error), wrapper.wrap_database_errors, socket.socket(fileno=os.dup(wrapper.connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
