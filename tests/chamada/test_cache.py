"""The cache's client of Redis is made once, and not for every command."""

from typing import Any, cast

from chamada.cache import StandingRedisCache

ONE, OTHER = "redis://127.0.0.1:9/0", "redis://127.0.0.1:9/1"


def clients(*servers: str) -> Any:
    return cast("Any", StandingRedisCache(list(servers), {}))._cache


def test_every_command_is_sent_by_the_same_client() -> None:
    cache = clients(ONE)
    assert cache.get_client("a", write=True) is cache.get_client("b")


def test_each_server_has_a_client_of_its_own() -> None:
    cache = clients(ONE, OTHER)
    writing, reading = cache.get_client("a", write=True), cache.get_client("a")
    assert [client.connection_pool.connection_kwargs["db"] for client in (writing, reading)] == [0, 1]
