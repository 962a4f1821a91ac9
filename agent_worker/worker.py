"""The worker's process: what it checks, starts, waits for and ends, in which order."""

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings

from agent_worker import backlog, metrics, preflight
from agent_worker.health import Health, served
from agent_worker.realtime_emulator import Emulator
from agent_worker.sandbox_runner import SandboxRunner
from calls.gateway import Gateway
from calls.models import LineKind

if TYPE_CHECKING:
    from agent_worker.server import PhoneServer

log = structlog.get_logger(__name__)

FORCED = 1
# A service manager that stops by force waits about as long before it kills.
FORCED_WITHIN_S = 5.0


@dataclass(frozen=True)
class Options:
    """How much this worker carries, and where it answers. Ports are on 127.0.0.1; 0 takes a free one."""

    max_calls: int
    idle: int
    health_port: int
    metrics_port: int
    drain_timeout_s: int


class Worker:
    """Serves the sandbox line, and the phone line where LiveKit is configured, until it is told to stop."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._stop = asyncio.Event()
        self._name = f"agent:{socket.gethostname()}:{os.getpid()}"
        # Those that carry calls, as soon as there are any.
        self._sandbox: SandboxRunner | None = None
        self._line: PhoneServer | None = None
        self._forcing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Return when it was told to stop and the calls have ended. Raises CannotStart."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._asked_to_stop, number)
        health = Health()
        async with AsyncExitStack() as stack:
            options = self._options
            health_port = await stack.enter_async_context(served(health.routes, port=options.health_port, option="--health-port"))
            metrics_port = await stack.enter_async_context(served(metrics.ROUTES, port=options.metrics_port, option="--metrics-port"))
            gateway = await stack.enter_async_context(Gateway.from_settings()) if settings.LIVEKIT_URL else None
            await preflight.check(gateway=gateway)
            # What calls left on this machine, now and from time to time.
            replaying = asyncio.create_task(backlog.replay_for_ever(), name="replay")
            stack.callback(replaying.cancel)
            emulator = None if settings.OPENAI_API_KEY else await stack.enter_async_context(Emulator())
            sandbox = self._sandbox = SandboxRunner(worker=self._name, max_calls=settings.SANDBOX_MAX_CALLS, emulator=emulator)
            phone = self._line = await self._phone(stack, gateway)
            health.watch(LineKind.SANDBOX, sandbox.able)
            if phone is not None:
                health.watch(LineKind.PHONE, phone.able)
            log.info(
                "agent ready",
                **_by_line(sandbox.max_calls, phone.max_calls if phone else None),
                health_port=health_port,
                metrics_port=metrics_port,
            )
            await self._serve(health, sandbox, phone)
        log.info("agent stopped")

    async def _phone(self, stack: AsyncExitStack, gateway: Gateway | None) -> "PhoneServer | None":
        if gateway is None or self._stop.is_set():
            return None
        # Not before the check that a job process can import what this imports.
        from agent_worker.server import PhoneServer

        options = self._options
        phone = PhoneServer(
            worker=self._name,
            gateway=gateway,
            max_calls=options.max_calls,
            idle=options.idle,
            drain_timeout_s=options.drain_timeout_s,
        )
        stack.push_async_callback(phone.aclose)
        await phone.start()
        return phone

    async def _serve(self, health: Health, sandbox: SandboxRunner, phone: "PhoneServer | None") -> None:
        taking = asyncio.create_task(sandbox.run(), name="sandbox")
        running: set[asyncio.Task[Any]] = {taking, asyncio.create_task(self._stop.wait(), name="stop")}
        if phone is not None:
            running.add(asyncio.create_task(phone.ended(), name="phone"))
        done, rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        health.draining = True
        log.info("agent draining", **_by_line(sandbox.active, phone.active if phone else None))
        sandbox.stop_taking()
        await asyncio.wait({taking})
        await asyncio.gather(sandbox.drain(self._options.drain_timeout_s), *([phone.drain()] if phone else []))
        for task in rest - {taking}:
            task.cancel()
        for task in {*done, taking}:
            task.result()

    def _asked_to_stop(self, number: signal.Signals) -> None:
        if not self._stop.is_set():
            log.info("agent asked to stop", signal=number.name)
            self._stop.set()
        elif self._forcing is None:
            log.warning("agent forced to stop", signal=number.name)
            self._forcing = asyncio.create_task(self._break_off(), name="force")
        else:
            os._exit(FORCED)

    async def _break_off(self) -> None:
        """Let the callees go, and be gone: job processes are killed with this one, or end themselves when they see the closed pipe."""
        carriers = [carrier for carrier in (self._sandbox, self._line) if carrier is not None]
        try:
            async with asyncio.timeout(FORCED_WITHIN_S):
                await asyncio.gather(*(carrier.break_off() for carrier in carriers))
        except TimeoutError:
            log.error("calls were still ending when the agent stopped")
        finally:
            os._exit(FORCED)


def _by_line(sandbox: int, phone: int | None) -> dict[str, int]:
    """One field a line that is served."""
    return {LineKind.SANDBOX.value: sandbox} | ({} if phone is None else {LineKind.PHONE.value: phone})
