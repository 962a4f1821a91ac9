"""A process that can die and come back as what it was: the same program, ports and data."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..servers.ports import LOOPBACK, answers
from ..servers.process import Process, find

LOOKS_EVERY_S = 0.1
# As a service manager does it; a PostgreSQL whose children are not gone yet needs it more than once.
STARTS_AGAIN_AFTER_S = 0.5
BACK_WITHIN_S = 120.0


@dataclass
class Part:
    """One of the rig's processes. `ready` says, at once, whether it does its work."""

    process: Process
    ready: Callable[[], bool]
    wanted: bool = True
    # How often it ended although nobody had killed it, and was started again.
    fell: int = 0
    # Who stopped it, for a moment or for long: it goes on when all have let it go.
    _stops: int = 0
    _stopped: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.process.name

    def kill(self) -> None:
        """SIGKILL, to this one process: what becomes of its children is its own affair, as on a server."""
        self.wanted = False
        self._stops, self._stopped = 0, []
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.popen.wait(10)

    def freeze(self) -> None:
        """SIGSTOP to it and all its children."""
        self._stops += 1
        self._stopped = [self.process.pid, *descendants(self.process.pid)]
        send(signal.SIGSTOP, self._stopped)

    def thaw(self) -> None:
        self._stops -= 1
        if self._stops <= 0:
            send(signal.SIGCONT, self._stopped)
            self._stops, self._stopped = 0, []

    def start(self) -> None:
        """Start the same program again; from the thread that is to outlive it (see Program)."""
        self.process = Process(self.process.program, self.process.log)
        self.wanted = True

    def look_after(self) -> None:
        """Start it again where it ended by itself, as a service manager does."""
        if self.wanted and self.process.popen.poll() is not None:
            self.fell += 1
            self.start()

    async def until_ready(self) -> None:
        """Raises NotReady."""
        deadline = time.monotonic() + BACK_WITHIN_S
        while not self.ready():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} did not come back:\n{self.process.tail()}")
            await asyncio.sleep(LOOKS_EVERY_S)


async def look_after(parts: Iterable[Part]) -> None:
    """Look after all of them, until cancelled."""
    while True:
        for part in parts:
            part.look_after()
        await asyncio.sleep(STARTS_AGAIN_AFTER_S)


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def descendants(pid: int) -> list[int]:
    """All children, and theirs."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, children.read_text().split()):
                found += [child, *descendants(child)]
    return found


def holder_of_port(port: int, among: Iterable[int]) -> int | None:
    """Which of the processes has the socket whose own end is this loopback port."""
    address = f"{int.from_bytes(socket.inet_aton(LOOPBACK), 'little'):08X}:{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    sockets = {f"socket:[{fields[9]}]" for fields in map(str.split, lines) if fields[1] == address}
    for pid in among:
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) in sockets:
                        return pid
    return None


def http_ready(port: int, path: str) -> Callable[[], bool]:
    request = f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode()
    return lambda: answers(port, request, b"200 OK")


def postgres_ready(port: int) -> Callable[[], bool]:
    command = [find("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
    return lambda: subprocess.run(command, check=False, timeout=10).returncode == 0
