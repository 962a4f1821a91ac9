"""The phone line's half of the worker: livekit-agents' server, by its public API, with the capacity counted in calls."""

import asyncio
import time

import structlog
from django.conf import settings
from django.db import Error
from livekit.agents import AgentServer, JobExecutorType, JobRequest

from agent_worker import entrypoint, metrics
from agent_worker.database import in_database
from agent_worker.endings import end_broken_off
from agent_worker.health import LOOPBACK
from agent_worker.job_process import PRELOAD
from agent_worker.preflight import ConnectionLost, NotRegistered
from calls.exceptions import GatewayError
from calls.gateway import Gateway
from calls.models import LineKind

log = structlog.get_logger(__name__)

REGISTERS_WITHIN_S = 10.0
JOB_MEMORY_LIMIT_MB = 600
# A busy machine needs its time; a process that is broken was found before.
JOB_READY_WITHIN_S = 60.0
# For a job that is told to stop: its last turns and its outcome are written in this time.
JOB_ENDS_WITHIN_S = 60.0
# LiveKit gives no job to a worker whose load is 0.7 or more (its agents.target_load).
BUSY = 0.69
FOLLOWS_EVERY_S = 1.0
LOOKS_FOR_JOBS_EVERY_S = 0.1
PROBE_HOLDS_S = 5.0


class PhoneServer:
    """Takes calls that LiveKit dispatches, each in a process of its own, at most `max_calls` at once."""

    def __init__(self, *, worker: str, gateway: Gateway, max_calls: int, idle: int, drain_timeout_s: int) -> None:
        self.max_calls = max_calls
        self._name = worker
        self._gateway = gateway
        self._drain_timeout_s = drain_timeout_s
        self._taking: set[str] = set()
        self._followers: set[asyncio.Task[None]] = set()
        self._registered = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._probed_at, self._livekit_answers = 0.0, False
        self._server = AgentServer(
            job_executor_type=JobExecutorType.PROCESS,
            multiprocessing_context="forkserver",
            preload_modules=PRELOAD,
            setup_fnc=entrypoint.prewarm,
            num_idle_processes=idle,
            initialize_process_timeout=JOB_READY_WITHIN_S,
            session_end_timeout=JOB_ENDS_WITHIN_S,
            job_memory_limit_mb=JOB_MEMORY_LIMIT_MB,
            drain_timeout=drain_timeout_s,
            load_fnc=self.load,
            # `take` counts calls itself: with a threshold the library lets a burst through only as fast as idle processes are there.
            load_threshold=float("inf"),
            ws_url=settings.LIVEKIT_URL,
            api_key=settings.LIVEKIT_API_KEY,
            api_secret=settings.LIVEKIT_API_SECRET,
            # Its own pages: they cannot be turned off, and say 200 without a connection. Ours are in health.py.
            host=LOOPBACK,
            port=0,
        )
        self._server.rtc_session(
            entrypoint.entrypoint, agent_name=settings.AGENT_NAME, on_request=self.take, on_session_end=entrypoint.on_session_end
        )
        self._server.on("worker_registered", lambda *_: self._registered.set())
        metrics.CAPACITY.labels(line=LineKind.PHONE).set(max_calls)

    @property
    def active(self) -> int:
        return len(self._jobs())

    async def start(self) -> None:
        """Register with LiveKit. Raises NotRegistered or ConnectionLost."""
        self._running = asyncio.create_task(self._server.run(), name="agent server")
        registered = asyncio.create_task(self._registered.wait())
        await asyncio.wait({self._running, registered}, timeout=REGISTERS_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        registered.cancel()
        if self._running.done():
            await self.ended()
        if not self._registered.is_set():
            raise NotRegistered(seconds=REGISTERS_WITHIN_S)
        metrics.ACTIVE.labels(line=LineKind.PHONE).set_function(lambda: self.active)

    async def ended(self) -> None:
        """Return when the server was closed. Raises ConnectionLost when it gave LiveKit up."""
        assert self._running is not None
        try:
            await asyncio.shield(self._running)
        except RuntimeError as error:
            raise ConnectionLost(reason=error) from error

    async def drain(self) -> bool:
        """Take no job any more and let the running ones end. Returns whether they did in time."""
        try:
            await self._server.drain()
        except TimeoutError:
            log.warning("calls are broken off", active=self.active, after_s=self._drain_timeout_s)
            return False
        return True

    async def break_off(self) -> None:
        """Let every callee go, and say how their calls ended; then wait until the jobs have written what was said. To be cancelled
        when that takes too long. A room that LiveKit does not delete is left to the reconciler."""
        rooms = {job.job.room.name for job in self._server.active_jobs}
        await asyncio.gather(*(self._end(room) for room in rooms))
        # The library tells nobody that a job has ended.
        while self._jobs():  # noqa: ASYNC110
            await asyncio.sleep(LOOKS_FOR_JOBS_EVERY_S)

    async def _end(self, room: str) -> None:
        try:
            await self._gateway.delete_room(room)
            # The job hears of it, too, and has more to write before it comes to the end.
            await in_database(end_broken_off, room, by=self._name)
        except (GatewayError, Error) as error:
            log.error("call could not be broken off", room=room, error=type(error).__name__)

    async def aclose(self) -> None:
        await self._server.aclose()
        for task in self._followers:
            task.cancel()

    async def able(self) -> bool:
        """Whether LiveKit can give this worker a job: it is registered, and LiveKit answered within the last seconds."""
        if self._running is None or self._running.done() or not self._registered.is_set():
            return False
        if time.monotonic() - self._probed_at > PROBE_HOLDS_S:
            try:
                await self._gateway.check_connection()
                self._livekit_answers = True
            except GatewayError:
                self._livekit_answers = False
            self._probed_at = time.monotonic()
        return self._livekit_answers

    def load(self) -> float:
        """0 when idle, 1 when full, and below LiveKit's threshold as long as there is one free place."""
        active = self.active
        return 1.0 if active >= self.max_calls else BUSY * active / self.max_calls

    async def take(self, request: JobRequest) -> None:
        """Accept the job if there is a place for it; another worker may have one if not."""
        if self._server.draining or len(self._jobs() | self._taking) >= self.max_calls:
            log.info("job refused", job_id=request.id, room=request.room.name, active=self.active)
            await request.reject(terminate=False)
            return
        asked_at = time.monotonic()
        self._taking.add(request.id)
        try:
            await request.accept()
        finally:
            self._taking.discard(request.id)
        metrics.JOB_START.observe(time.monotonic() - asked_at)
        task = asyncio.create_task(self._follow(request.id, request.room.name), name=f"job {request.id}")
        self._followers.add(task)
        task.add_done_callback(self._followers.discard)

    def _jobs(self) -> set[str]:
        return {job.job.id for job in self._server.active_jobs}

    async def _follow(self, job_id: str, room: str) -> None:
        # The library tells nobody that a job has ended: there is no event to wait for.
        while job_id in self._jobs():  # noqa: ASYNC110
            await asyncio.sleep(FOLLOWS_EVERY_S)
        await metrics.count_end(line=LineKind.PHONE, room=room)
