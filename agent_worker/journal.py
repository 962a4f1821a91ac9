"""The journal of one call: every turn, written as it is said, and off the path of the sound."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from calls.transcripts import TurnDraft, record

from .database import in_database_before

log = structlog.get_logger(__name__)


async def _nothing() -> None:
    return None


class Journal:
    """Takes turns without waiting, and has one task write them in the order in which they came."""

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id
        self._waiting: deque[TurnDraft] = deque()
        self._changed = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._writer: asyncio.Task[None] | None = None
        # Awaited before each turn that goes to the database (see `Backlog.catch_up`).
        self.before_writing: Callable[[], Awaitable[None]] = _nothing

    @property
    def waiting(self) -> list[TurnDraft]:
        """What the database does not have yet, in the order in which it was told."""
        return list(self._waiting)

    def open(self) -> None:
        self._writer = asyncio.create_task(self._write(), name=f"journal of {self._call_id}")

    def write(self, turn: TurnDraft) -> None:
        """Take a turn. A turn with the `item_id` of an earlier one replaces it."""
        self._waiting.append(turn)
        self._written.clear()
        self._changed.set()

    async def close(self, deadline: float) -> list[TurnDraft]:
        """Wait until all is written, or the loop's clock shows `deadline`; returns the turns that are not in the database."""
        if self._writer is not None and self._writer.done():
            # A process that loses its worker has all of its tasks cancelled, and ends its call all the same.
            self._changed.set()
            self.open()
        try:
            async with asyncio.timeout_at(deadline):
                await self._written.wait()
        except TimeoutError:
            log.warning("journal could not be written", turns=len(self._waiting))
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        return self.waiting

    async def _write(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._waiting:
                await self.before_writing()
                # It leaves the queue when it is written: what close() finds there is what is missing.
                await in_database_before(float("inf"), record, self._call_id, self._waiting[0])
                self._waiting.popleft()
            self._written.set()
