"""The journal of one call: every turn, written as it is said, and off the path of the sound."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import structlog
from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections

from calls.transcripts import TurnDraft, record

log = structlog.get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
# A database that does not answer at all is as good as away: the thread is left to it, the call is not.
ONE_WRITE_S = 10.0


class DatabaseAway(Exception):
    """The database did not answer in time."""


async def in_database(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `function` in the thread that owns the database connection.

    A call outlives the age that a connection may have: it is looked at before each use. Raises what `function` raises.
    """

    def fresh() -> R:
        close_old_connections()
        return function(*args, **kwargs)

    return await sync_to_async(fresh)()


async def in_database_before(deadline: float, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """`in_database`, tried again while the database is away, until the loop's clock shows `deadline`. Raises DatabaseAway then.

    For functions that may be repeated: a connection that broke may have done the work.
    """
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE_S
    while True:
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + ONE_WRITE_S)):
                return await in_database(function, *args, **kwargs)
        except (DatabaseError, TimeoutError) as error:
            if loop.time() + pause >= deadline:
                raise DatabaseAway from error
            log.warning("database is away", error=type(error).__name__, again_in_s=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)


class Journal:
    """Takes turns without waiting, and has one task write them in the order in which they came."""

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id
        self._waiting: deque[TurnDraft] = deque()
        self._changed = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._writer: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._writer = asyncio.create_task(self._write(), name=f"journal of {self._call_id}")

    def write(self, turn: TurnDraft) -> None:
        """Take a turn. A turn with the `item_id` of an earlier one replaces it."""
        self._waiting.append(turn)
        self._written.clear()
        self._changed.set()

    async def close(self, deadline: float) -> list[TurnDraft]:
        """Wait until all is written, or the loop's clock shows `deadline`; returns the turns that are not in the database."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._written.wait()
        except TimeoutError:
            log.warning("journal could not be written", turns=len(self._waiting))
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        return list(self._waiting)

    async def _write(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting:
                # It leaves the queue when it is written: what close() finds there is what is missing.
                await in_database_before(float("inf"), record, self._call_id, self._waiting[0])
                self._waiting.popleft()
            self._written.set()
