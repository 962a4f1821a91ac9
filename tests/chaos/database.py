"""The product's database as the rig sees it: rows polled every few milliseconds, and locks that hold a process at its next statement."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

POLL_S = 0.004
WITHIN_S = 60.0


class NotReached(Exception):
    """The step was not reached: {what}."""

    def __init__(self, what: str) -> None:
        super().__init__((self.__doc__ or "").format(what=what))


async def until(holds: Callable[[], Awaitable[bool]], what: str, *, within_s: float = WITHIN_S, every_s: float = POLL_S) -> None:
    """Return as soon as it holds. Raises NotReached."""
    deadline = time.monotonic() + within_s
    while not await holds():
        if time.monotonic() > deadline:
            raise NotReached(what)
        await asyncio.sleep(every_s)


@dataclass(frozen=True)
class Row:
    """A call's row."""

    id: str
    status: str


class Lock:
    """A row lock that the rig holds; who needs the row waits, until it is let go or the database dies."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self.pid = connection.info.backend_pid

    def let_go(self) -> None:
        """Hang up on the database, which rolls back: also one that stands still just now is not waited for."""
        self._connection.pgconn.finish()


class Database:
    """Looks without ever being in anybody's way; a connection that broke is made anew."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgres://", "postgresql://", 1)
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def aclose(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Raises psycopg.Error while the database is away."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5)
            return await (await self._connection.execute(query, values)).fetchall()
        except psycopg.Error:
            if self._connection is not None:
                await self._connection.close()
            raise

    async def calls(self, tags: list[str]) -> dict[str, list[Row]]:
        """The rows of the planned calls, by their tags; a retry bears its first call's tag, and comes behind it."""
        rows = await self.ask(
            "SELECT metadata->>'chaos', id::text, status FROM calls_call WHERE metadata->>'chaos' = ANY(%s) ORDER BY created_at", tags
        )
        found: dict[str, list[Row]] = {tag: [] for tag in tags}
        for tag, call_id, status in rows:
            found[tag].append(Row(call_id, status))
        return found

    async def requests(self, tag: str) -> int:
        """How many requests stand there as having made this call (R14); a replay is a request of its own, with another code."""
        query = (
            "SELECT count(*) FROM calls_callrequest r JOIN calls_call c ON c.id = r.call_id"
            " WHERE c.metadata->>'chaos' = %s AND c.retry_of_id IS NULL AND r.code = 'accepted'"
        )
        return int((await self.ask(query, tag))[0][0])

    async def has_tool(self, call_id: str) -> bool:
        """Whether a tool of the call has begun."""
        return bool(await self.ask("SELECT 1 FROM calls_turn WHERE call_id = %s AND role = 'tool' LIMIT 1", call_id))

    async def ports_of(self, call_id: str) -> list[int]:
        """The clients' ports of the connections on which somebody last asked for this call, the newest first: a job's beats name it."""
        query = (
            "SELECT client_port FROM pg_stat_activity WHERE query LIKE %s AND pid <> pg_backend_pid() AND client_port > 0"
            " ORDER BY query_start DESC"
        )
        return [port for (port,) in await self.ask(query, f"%{call_id}%")]

    async def waits_for(self, lock: Lock) -> bool:
        """Whether some process stands at the lock."""
        return bool(await self.ask("SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))", lock.pid))

    @asynccontextmanager
    async def locked(self, query: str, *values: Any) -> AsyncIterator[Lock]:
        """The rows of a `SELECT … FOR UPDATE`, held until the block ends at the latest."""
        connection = await psycopg.AsyncConnection.connect(self._url, connect_timeout=5)
        lock = Lock(connection)
        try:
            await connection.execute(query, values)
            yield lock
        finally:
            lock.let_go()
