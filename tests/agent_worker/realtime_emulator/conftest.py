"""An emulator whose every event is held against the service's own models, and a client in a session of it."""

from collections.abc import AsyncIterator

import pytest

from agent_worker.realtime_emulator import Emulator

from .client import Client, connect, quick


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(default=quick(), strict=True) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[Client]:
    """In a session that has its instructions."""
    async with connect(emulator) as connected:
        await connected.configure()
        yield connected
