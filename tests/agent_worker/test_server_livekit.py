"""The worker at a real livekit-server: what the fake of its wire says, said by the thing itself."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from calls.gateway import Gateway
from tests.agent_worker.agent_process import Agent, Bench, with_livekit
from tests.agent_worker.waiting import until
from tests.servers import LiveKitServer, livekit_server, redis_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
def livekit() -> Iterator[LiveKitServer]:
    with redis_server() as redis, livekit_server(redis) as server:
        yield server


@pytest.fixture
def agent(migrated: Path, livekit: LiveKitServer) -> Iterator[Agent]:
    settings = with_livekit(livekit.url, LIVEKIT_API_KEY=livekit.api_key, LIVEKIT_API_SECRET=livekit.api_secret)
    with Bench(migrated, environment=settings).agent("--idle=1", "--max-calls=10") as running:
        yield running


async def test_ten_dispatches_at_once_start_ten_jobs(agent: Agent, livekit: LiveKitServer) -> None:
    rooms = [f"call_restaurante_{number}" for number in range(10)]
    async with Gateway(url=livekit.url, api_key=livekit.api_key, api_secret=livekit.api_secret) as gateway:
        await asyncio.gather(*(gateway.open_room(room, metadata={}, agent_name="chamada") for room in rooms))
        await until(lambda: len(agent.said("dispatch names no call")) == 10, within_s=30)
    assert sorted(line["room"] for line in agent.said("received job request")) == rooms


async def test_a_key_that_livekit_does_not_know_is_said_in_one_sentence(migrated: Path, livekit: LiveKitServer) -> None:
    settings = with_livekit(livekit.url, LIVEKIT_API_KEY=livekit.api_key, LIVEKIT_API_SECRET="another-secret-another-secret-another-secret")
    done = await asyncio.to_thread(Bench(migrated, environment=settings).run_agent)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("CommandError: LiveKit cannot be used: it refuses the key.")
