"""Many kills on one stage, one after the other."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from .database import Database
from .kill import CALLS_PER_KILL, Result, one_kill
from .stage import stage


async def kills(seeds: Iterable[int], *, folder: Path | None = None, hurry: bool = False) -> AsyncIterator[Result]:
    """Make the kill of each seed, on servers that are started once."""
    async with stage(folder) as one:
        one.remember_trunks()
        database = Database(one.product.environment["DATABASE_URL"])
        try:
            for position, seed in enumerate(seeds):
                yield await one_kill(one, database, seed, number_from=position * CALLS_PER_KILL, hurry=hurry)
        finally:
            await database.aclose()
