"""Real servers and a telephone network for every test here, one set a session, all on one event loop."""

import itertools
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from ..numbers import pt_mobile
from ..servers import LiveKitServer, PostgresServer, RedisServer, livekit_server, postgres_server, process, redis_server
from .phone_network import NetworkUnavailable, PhoneNetwork, StandIn
from .phone_network.real_sip import RealSip

HERE = Path(__file__).parent
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the servers, and lives on the session's loop, where the phones are."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the last lines of each server's log."""
    report = yield
    if report.failed and HERE in item.path.parents:
        report.sections += [(f"{server.name} wrote", server.tail()) for server in process.running]
    return report


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def livekit(redis: RedisServer) -> Iterator[LiveKitServer]:
    with livekit_server(redis) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=[StandIn, RealSip], ids=lambda network: network.name)
async def network(request: pytest.FixtureRequest, livekit: LiveKitServer, redis: RedisServer) -> AsyncIterator[PhoneNetwork]:
    """The stand-in, then the real SIP service where there is one. Never both: two services on one Redis share the calls."""
    try:
        one: PhoneNetwork = request.param(livekit, redis)
    except NetworkUnavailable as missing:
        pytest.skip(str(missing))
    async with one:
        yield one


@pytest.fixture
def number() -> str:
    """A number that no other test calls: the product's limits are per number."""
    return pt_mobile(next(_numbers))
