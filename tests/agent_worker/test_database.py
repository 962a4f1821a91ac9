"""The database is waited for as long as a call can wait, and no longer."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection, connections

from agent_worker import database
from agent_worker.database import DatabaseAway, DatabaseSilent, in_database, in_database_before, in_database_within
from tests.agent_worker.outages import Outage


@pytest.fixture(autouse=True)
async def connection_of_the_thread(transactional_db: None) -> AsyncIterator[None]:
    """It is closed when its test is over: PostgreSQL drops no database that somebody is connected to."""
    yield
    await sync_to_async(connections.close_all)()


def ask(question: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


def soon(seconds: float = 5) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_a_database_that_does_not_answer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "ANSWERS_WITHIN_S", 0.01)
    with pytest.raises(DatabaseAway):
        await in_database_before(soon(0.05), time.sleep, 0.1)


async def test_a_database_that_is_back_in_time_is_asked_again(outage: Outage) -> None:
    outage.away = True
    answer = asyncio.create_task(in_database_before(soon(), ask, "SELECT 1"))
    async with asyncio.timeout(5):
        while not outage.failed:  # noqa: ASYNC110  # the wire tells nobody
            await asyncio.sleep(0.01)
    outage.away = False
    assert await answer == 1


async def test_a_silent_database_is_an_error_of_the_database() -> None:
    assert issubclass(DatabaseSilent, DatabaseError)


async def test_what_the_function_raises_is_its_own() -> None:
    def runs_out_of_time() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await in_database(runs_out_of_time)


async def test_all_of_it_runs_in_the_one_thread_that_owns_the_connection() -> None:
    threads = {await in_database(threading.get_ident) for _ in range(3)}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


async def test_a_statement_that_hangs_does_not_hang_the_thread() -> None:
    """PostgreSQL's kernel answers for a server that stands still: only whoever waits can give up."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite is no server that could fall silent")
    began = time.monotonic()
    with pytest.raises(DatabaseSilent):
        await in_database_within(0.3, ask, "SELECT pg_sleep(20)")
    assert await in_database(ask, "SELECT 7") == 7
    assert time.monotonic() - began < 5
    # The server has not noticed yet that nobody waits for it.
    assert await in_database(ask, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)'")


def test_the_connection_notices_a_server_that_is_gone() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection")
    told = {name: connection.settings_dict["OPTIONS"][name] for name in ("connect_timeout", "keepalives_idle", "tcp_user_timeout")}
    assert told == {"connect_timeout": 5, "keepalives_idle": 10, "tcp_user_timeout": 20_000}
