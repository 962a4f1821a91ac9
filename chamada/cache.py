"""The cache: Redis where one is configured, else this process's memory."""

from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis import ConnectionPool, Redis


class OneProcessCache(LocMemCache):
    """Django's local-memory cache, under a name that the rate limiter's check accepts.

    The embedded default serves from one web process, where its `add` and `incr` are atomic under the cache's lock.
    With more web processes REDIS_URL is needed, and the system checks say so.
    """


class StandingClients(RedisCacheClient):
    """Django's client, which keeps the redis-py client of each server instead of making one for every command."""

    def __init__(self, servers: list[str], **options: Any) -> None:
        super().__init__(servers, **options)
        self._clients: dict[ConnectionPool, Redis] = {}

    def get_client(self, key: Any = None, *, write: bool = False) -> Redis:  # noqa: ARG002  # the parent's signature
        # A client has no connection of its own: it takes one of the pool's for each command, in whichever thread.
        pool: ConnectionPool = self._get_connection_pool(write)  # type: ignore[attr-defined]  # unknown to the stubs
        if pool not in self._clients:
            self._clients[pool] = Redis(connection_pool=pool)
        return self._clients[pool]


class StandingRedisCache(RedisCache):
    """Django's Redis cache, by standing clients: each request to the API sends several commands."""

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = StandingClients
