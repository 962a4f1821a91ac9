"""LiveKit's own SIP service, and a SIP callee behind it: for machines where LIVEKIT_SIP_BIN names the service's binary."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from ...servers import LiveKitServer, Process, Program, RedisServer
from ...servers.ports import LOOPBACK, free_port
from ...servers.process import REPOSITORY
from .network import NetworkUnavailable, PhoneNetwork
from .sip_callee import SipCallee

PRODUCTION = REPOSITORY / "deploy/livekit/sip.yaml"
# livekit-sip logs it when its SIP sockets are open; its health port opens a little earlier.
READY = "service ready"
RTP_PORTS = 2000


def configuration(*, livekit: LiveKitServer, redis: RedisServer, sip_port: int) -> dict[str, Any]:
    """The production configuration, on loopback and fit for many short calls on a busy machine.

    `nat_1_to_1_ip` names the loopback address, which the service skips when it looks for its own; without the draining settings each
    closed RTP port stays bound for 30 s; a test machine may be busier than the 90 % at which the service refuses calls.
    """
    config: dict[str, Any] = yaml.safe_load(PRODUCTION.read_text())
    first_rtp_port = 20000 + os.getpid() % 6 * RTP_PORTS
    config |= {
        "api_key": livekit.api_key,
        "api_secret": livekit.api_secret,
        "ws_url": livekit.url,
        "redis": {"address": redis.address},
        "health_port": free_port(),
        "prometheus_port": free_port(),
        "sip_port": sip_port,
        "listen_ip": LOOPBACK,
        "use_external_ip": False,
        "nat_1_to_1_ip": LOOPBACK,
        "rtp_port": f"{first_rtp_port}-{first_rtp_port + RTP_PORTS - 1}",
        "rtp_draining_idle_timeout": "-1s",
        "rtp_draining_duration": "-1s",
        "max_cpu_utilization": 1.0,
        "logging": {"level": "debug", "json": True},
    }
    return config


class RealSip(PhoneNetwork):
    """What it cannot show: a set delay of the line (it has its own), and which of the trunk's errors livekit-server made up."""

    name = "livekit-sip"

    def __init__(self, livekit: LiveKitServer, redis: RedisServer) -> None:
        super().__init__()
        binary = os.environ.get("LIVEKIT_SIP_BIN", "")
        if not binary:
            raise NetworkUnavailable("LIVEKIT_SIP_BIN names no livekit-sip binary")
        self._callee = SipCallee(self.phones)
        self.address = self._callee.address
        self._folder = tempfile.TemporaryDirectory(prefix="chamada-sip-")
        folder = Path(self._folder.name)
        file = folder / "sip.yaml"
        file.write_text(yaml.safe_dump(configuration(livekit=livekit, redis=redis, sip_port=free_port())))
        # SIGTERM waits for the running calls, SIGINT ends them.
        command = [binary, "--config", str(file)]
        self._program = Program(name="livekit-sip", command=command, folder=folder, stop_signal=signal.SIGINT)
        self._process: Process | None = None

    async def start(self) -> None:
        await self._callee.start()
        await self._start_service()

    async def stop(self) -> None:
        await self._stop_service()
        await self._callee.stop()
        self._folder.cleanup()

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        await self._stop_service()
        try:
            yield
        finally:
            await self._start_service()

    async def _start_service(self) -> None:
        log = self._program.folder / "livekit-sip.log"
        log.unlink(missing_ok=True)
        # Started here, not in a thread: the kernel ends it with the thread that started it.
        process = self._process = Process(self._program, log)
        await asyncio.to_thread(process.wait_until, lambda: READY in log.read_text(errors="replace"))

    async def _stop_service(self) -> None:
        if self._process is not None:
            await asyncio.to_thread(self._process.stop)
            self._process = None
