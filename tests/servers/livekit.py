"""livekit-server, from the production configuration with everything on loopback."""

import secrets
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .ports import LOOPBACK, answers, free_port
from .process import REPOSITORY, Process, Program, find, started
from .redis import RedisServer

PRODUCTION = REPOSITORY / "deploy/livekit/livekit.yaml"


@dataclass(frozen=True)
class LiveKitServer:
    port: int
    api_key: str
    api_secret: str
    process: Process | None = None  # None: another process started it

    @property
    def url(self) -> str:
        return f"ws://{LOOPBACK}:{self.port}"

    @property
    def http_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


def configuration(*, redis: RedisServer, port: int, keys: dict[str, str], webhook_url: str | None) -> dict[str, Any]:
    """The production configuration, with what belongs to one machine and its network replaced.

    Of the rtc block nothing can be left out: without `node_ip` the server and its clients ask public STUN servers; with it but without the
    loopback candidate nothing listens where the candidates point; the dummy `stun_servers` are what clients are told instead of Google's.
    """
    config: dict[str, Any] = yaml.safe_load(PRODUCTION.read_text())
    config["port"] = port
    config["redis"] = {"address": redis.address}
    config["keys"] = keys
    config["rtc"] = {
        "udp_port": free_port(socket.SOCK_DGRAM),
        "tcp_port": 0,
        "use_external_ip": False,
        "node_ip": LOOPBACK,
        "enable_loopback_candidate": True,
        "ips": {"includes": [f"{LOOPBACK}/32"]},
        "stun_servers": [f"{LOOPBACK}:3478"],
    }
    config["webhook"] = {"api_key": next(iter(keys)), "urls": [webhook_url] if webhook_url else []}
    return config


@contextmanager
def livekit_server(redis: RedisServer, webhook_url: str | None = None) -> Iterator[LiveKitServer]:
    """A livekit-server whose API answers; its webhooks go to `webhook_url`."""
    port, key, secret = free_port(), "chamada-tests", secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="chamada-livekit-") as name:
        folder = Path(name)
        file = folder / "livekit.yaml"
        file.write_text(yaml.safe_dump(configuration(redis=redis, port=port, keys={key: secret}, webhook_url=webhook_url)))
        # Asked kindly it waits for its participants to leave; there is nothing in it to save.
        command = [find("livekit-server"), "--config", str(file)]
        program = Program(name="livekit-server", command=command, folder=folder, stop_signal=signal.SIGKILL)
        with started(program) as process:
            process.wait_until(lambda: answers(port, b"GET / HTTP/1.0\r\n\r\n", b"OK"))
            yield LiveKitServer(port, key, secret, process)
