"""What waits for the database while it is away: on disk, so that nobody's death loses it, and from there to the database."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import structlog
from django.db import Error

from . import spool
from .database import in_database
from .endings import Ending
from .spool import Page, SpoolFile

log = structlog.get_logger(__name__)

LOOKS_EVERY_S = 0.5
# What the database takes at once never sees the disk.
KEPT_AFTER_S = 1.0
REPLAYS_EVERY_S = 3.0


class Backlog:
    """Keeps on disk what one running call could not write within a moment. `unwritten` says what that is, whenever it is asked."""

    def __init__(self, call_id: str, unwritten: Callable[[], Page]) -> None:
        self._unwritten = unwritten
        self._file = SpoolFile(call_id)
        self._on_disk: Page | None = None
        self._waits_since: float | None = None
        self._putting = asyncio.Lock()
        # One thread, made when there is something to write: off the path of the sound, and in the order in which it was asked.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")

    async def watch(self) -> None:
        """Look, twice a second, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOKS_EVERY_S)

    async def look(self) -> None:
        """Write to disk what has waited too long; take away what the database has."""
        page = self._unwritten()
        if page.is_blank:
            self._waits_since = None
            await self._put(None)
            return
        now = asyncio.get_running_loop().time()
        self._waits_since = self._waits_since or now
        if self._on_disk is not None or now - self._waits_since >= KEPT_AFTER_S:
            await self._put(page)

    async def catch_up(self) -> None:
        """Before the database gets a turn, what is on disk has to be as new: it may be written once more, over that turn."""
        if self._on_disk is not None:
            await self._put(self._unwritten())

    async def close(self, ending: Ending | None) -> None:
        """The call is over: leave to others what could not be written; `ending`, where that could not either."""
        page = replace(self._unwritten(), ending=ending)
        await self._put(None if page.is_blank else page)
        if self._on_disk is not None:
            log.warning("journal kept on disk", turns=len(page.turns), with_end=ending is not None)
            await self._in_thread(self._file.let_go)
        self._writer.shutdown(wait=False)

    async def _put(self, page: Page | None) -> None:
        async with self._putting:
            if page == self._on_disk:
                return
            try:
                await self._in_thread(self._file.remove if page is None else partial(self._file.write, page))
            except OSError as error:
                log.error("journal cannot be kept on disk", error=type(error).__name__)
                page = None
            self._on_disk = page

    async def _in_thread(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, work)


async def replay() -> int:
    """Write to the database what calls left on this machine; how many files were. A database that is away gets them the next time."""
    done = 0
    try:
        for path in await asyncio.to_thread(spool.waiting):
            done += await in_database(spool.replay, path)
    except (Error, OSError) as error:
        log.warning("journal stays on disk", error=type(error).__name__)
    return done


async def replay_for_ever() -> None:
    """Until cancelled. A file may come at any time: of a job that died, or of a call that ended while the database was away."""
    while True:
        await replay()
        await asyncio.sleep(REPLAYS_EVERY_S)
