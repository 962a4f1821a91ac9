"""The real servers of the tests: each a process of its own, on a free loopback port, ready when it is handed over and dead afterwards."""

from .livekit import LiveKitServer, livekit_server
from .postgres import PostgresServer, postgres_server
from .process import NotReady, Process, Program, ProgramMissing
from .redis import RedisServer, redis_server

__all__ = [
    "LiveKitServer",
    "NotReady",
    "PostgresServer",
    "Process",
    "Program",
    "ProgramMissing",
    "RedisServer",
    "livekit_server",
    "postgres_server",
    "redis_server",
]
