"""Real servers and a telephone network for every test here, one set a session, all on one event loop."""

import itertools
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent_worker.realtime_emulator import Emulator

from ..numbers import pt_mobile
from ..servers import LiveKitServer, PostgresServer, RedisServer, livekit_server, postgres_server, process, redis_server
from ..servers.ports import free_port
from .phone_network import NetworkUnavailable, PhoneNetwork, StandIn
from .phone_network.real_sip import RealSip
from .phone_network.trunks import make_trunk
from .rig import Product, Rig, environment, webhook_url

HERE = Path(__file__).parent
_numbers = itertools.count(1)
_databases = itertools.count(1)


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
def web_port() -> int:
    """Where the product's site is going to be: livekit-server is told before there is one."""
    return free_port()


@pytest.fixture(scope="session")
def livekit(redis: RedisServer, web_port: int) -> Iterator[LiveKitServer]:
    with livekit_server(redis, webhook_url(web_port)) as server:
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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def emulator() -> AsyncIterator[Emulator]:
    """OpenAI's place; every event that it sends is held against the service's own models."""
    async with Emulator(strict=True) as one:
        yield one


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """PostgreSQL; a file of SQLite when E2E_DATABASE says sqlite."""
    if os.environ.get("E2E_DATABASE", "postgresql") == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('database') / 'db.sqlite3'}"
    postgres: PostgresServer = request.getfixturevalue("postgres")
    return postgres.create_database(f"chamada_{next(_databases)}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def standing_rig(
    network: PhoneNetwork,
    emulator: Emulator,
    livekit: LiveKitServer,
    redis: RedisServer,
    database_url: str,
    web_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Rig]:
    """The product's processes, once for all scenarios on one network."""
    folder = tmp_path_factory.mktemp("product")
    trunk = await make_trunk(livekit, network.address)
    variables = environment(livekit=livekit, database_url=database_url, redis=redis, trunk=trunk, emulator=emulator, folder=folder)
    product = Product(variables, folder, port=web_port)
    with product.running():
        rig = Rig(product, network, emulator, livekit)
        yield rig
        rig.close()


@pytest_asyncio.fixture(loop_scope="session")
async def rig(standing_rig: Rig) -> AsyncIterator[Rig]:
    """The rig, without calls, and with a model that has forgotten what the last test told it."""
    yield standing_rig
    await standing_rig.end_all()
    standing_rig.emulator.reset()


@pytest.fixture
def number() -> str:
    """A number that no other test calls: the product's limits are per number."""
    return pt_mobile(next(_numbers))


@pytest.fixture
def numbers() -> list[str]:
    """Ten of them."""
    return [pt_mobile(next(_numbers)) for _ in range(10)]
