"""Runs the calls of the sandbox line, in the worker's own process: no LiveKit, no room, and without a key no OpenAI either."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import urlsplit

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections

from agent_worker import metrics
from agent_worker.caller import run_call
from agent_worker.database import in_database
from agent_worker.job_context import job_without_a_worker
from agent_worker.lines.base import Endpoint
from agent_worker.lines.sandbox import SandboxLine
from agent_worker.realtime_emulator import Emulator
from agent_worker.scripted_callee import ScriptedCallee, voice_beside
from calls import dialer, lifecycle
from calls.doorbell import Doorbell
from calls.models import Call, LineKind

log = structlog.get_logger(__name__)

LOOKS_EVERY_S = 0.5


class SandboxRunner:
    """Claims queued sandbox calls and runs each to its end, at most `max_calls` at once.

    Without `emulator` the model is the settings' own.
    """

    def __init__(self, *, worker: str, max_calls: int, emulator: Emulator | None) -> None:
        self.max_calls = max_calls
        self._able = True
        self._worker = worker
        self._emulator = emulator
        self._running: set[asyncio.Task[None]] = set()
        self._stopped = threading.Event()
        self._doorbell = Doorbell(self._stopped)
        self._listener = ThreadPoolExecutor(max_workers=1, thread_name_prefix="doorbell")
        metrics.CAPACITY.labels(line=LineKind.SANDBOX).set(max_calls)
        metrics.ACTIVE.labels(line=LineKind.SANDBOX).set_function(lambda: self.active)

    @property
    def active(self) -> int:
        return len(self._running)

    async def able(self) -> bool:
        """Whether it could look for calls when it last tried."""
        return self._able

    async def run(self) -> None:
        """Take calls until `stop_taking`; those that run then go on."""
        loop = asyncio.get_running_loop()
        while not self._stopped.is_set():
            try:
                await self.take_what_waits()
                self._able = True
            except DatabaseError as error:
                if self._able:
                    log.warning("sandbox calls cannot be claimed", error=type(error).__name__)
                self._able = False
            await loop.run_in_executor(self._listener, self._doorbell.wait, LOOKS_EVERY_S)
        await loop.run_in_executor(self._listener, self._doorbell.close)
        self._listener.shutdown()

    def stop_taking(self) -> None:
        self._stopped.set()

    async def drain(self, timeout_s: float) -> bool:
        """Once `run` has returned: let the running calls end. Returns whether they did within `timeout_s`; else they are broken off."""
        if not self._running:
            return True
        _, late = await asyncio.wait(set(self._running), timeout=timeout_s)
        if late:
            log.warning("sandbox calls are broken off", calls=len(late), after_s=timeout_s)
            await self.break_off()
        return not late

    async def break_off(self) -> None:
        """End the running calls now, and write that they were."""
        tasks = set(self._running)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def take_what_waits(self) -> bool:
        """Claim as many queued calls as there are free places, and start them. Returns whether there were any."""
        free = self.max_calls - self.active
        if free < 1:
            return False
        calls = await sync_to_async(self._claim)(free)
        for call in calls:
            task = asyncio.create_task(self._carry(call), name=f"sandbox call {call.pk}")
            self._running.add(task)
            task.add_done_callback(self._let_go)
        return bool(calls)

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sandbox call broke", task=task.get_name(), exc_info=error)

    def _claim(self, free: int) -> list[Call]:
        close_old_connections()
        return dialer.claim_sandbox(worker=self._worker, free=free)

    async def _carry(self, call: Call) -> None:
        endpoint: Endpoint | None = None
        declare: Callable[[str], None] | None = None
        if self._emulator is not None:
            endpoint = Endpoint(base_url=self._emulator.url, api_key=f"sk-emu-mind.{call.pk}", simulated=True)
            declare = partial(self._emulator.declare, key=endpoint.api_key)
        await self._say_what_answers(call, "service" if endpoint is None else "script")
        version = call.persona_version
        callee = ScriptedCallee(version.sample_call, locale=version.locale, voice=voice_beside(version.voice), declare=declare)
        async with job_without_a_worker(call):
            await run_call(call_id=str(call.pk), claim=call.claim, line=SandboxLine(callee), worker=self._worker, endpoint=endpoint)
        await metrics.count_end(line=LineKind.SANDBOX, room=call.room)

    async def _say_what_answers(self, call: Call, what: str) -> None:
        """On the call's timeline: the real service, or a script that stands in for it."""
        facts = {"host": urlsplit(settings.OPENAI_BASE_URL).hostname} if what == "service" else {}
        try:
            await in_database(lifecycle.note_event, call, "model", by=self._worker, why=what, facts=facts)
        except DatabaseError as error:
            log.warning("what answers a sandbox call could not be noted", error=type(error).__name__)
