"""Redis, without persistence unless asked for."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .ports import LOOPBACK, answers, free_port
from .process import Process, Program, find, started


@dataclass(frozen=True)
class RedisServer:
    port: int
    process: Process | None = None  # None: another process started it

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://{self.address}/0"


@contextmanager
def redis_server(*, keeps: bool = False) -> Iterator[RedisServer]:
    """A Redis that has answered PING. With `keeps` what it was told is there again when it is killed and started anew."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="chamada-redis-") as folder:
        command = [find("redis-server"), "--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "yes" if keeps else "no"]
        with started(Program(name="redis", command=command, folder=Path(folder))) as process:
            process.wait_until(lambda: answers(port, b"PING\r\n", b"+PONG"))
            yield RedisServer(port, process)
