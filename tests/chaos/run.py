"""Many kills on one stage: while the calls of one come to their end, the first ones of the next are placed."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from .kill import NUMBERS_PER_KILL, Result, Round
from .stage import stage


async def kills(seeds: Iterable[int], *, folder: Path | None = None, hurry: bool = False) -> AsyncIterator[Result]:
    """Make the kill of each seed, on servers that are started once."""
    async with stage(folder) as one:
        one.remember_trunks()
        tasks: list[asyncio.Task[Result] | asyncio.Task[None]] = []
        settling: asyncio.Task[Result] | None = None
        try:
            for position, seed in enumerate(seeds):
                this, all_settled = Round(one, seed, position * NUMBERS_PER_KILL, hurry), asyncio.Event()
                striking = asyncio.create_task(this.strike(all_settled=all_settled))
                tasks.append(striking)
                if settling is not None:
                    yield await settling
                all_settled.set()
                await striking
                settling = asyncio.create_task(this.result())
                tasks.append(settling)
                if not this.may_be_overlapped:
                    yield await settling
                    settling = None
            if settling is not None:
                yield await settling
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
