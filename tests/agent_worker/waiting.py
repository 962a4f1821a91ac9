"""Waiting for what another task does, with an end."""

import asyncio
from collections.abc import Callable


async def until(true: Callable[[], bool], within_s: float = 5) -> None:
    """Return as soon as it is true. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)
