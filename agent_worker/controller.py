"""Who decides about one call in this process: how it ends (the first to say is believed), and whether it is still ours."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from django.db import Error
from django.utils import timezone

from calls import heartbeats, lifecycle
from calls.callbacks import Wish, book
from calls.models import Call
from calls.states import EndedBy, Fault, Outcome, Reason, Status
from contacts.models import SuppressionReason

from .database import DatabaseAway, in_database_before, in_database_within
from .endings import NOT_OURS, Ending, after_answer, before_answer, suppress_callee

log = structlog.get_logger(__name__)

# After this long without having run, a job does not know any more whether the call is its own (design: rule 4).
STALL_S = 4.0
CLOCK_S = 0.5
# LiveKit's words for a callee who is gone without having hung up (facts of the SIP service: media time-out, broken trunk).
LOST_BY_THE_CARRIER = frozenset({"UNKNOWN_REASON", "MEDIA_FAILURE", "CONNECTION_TIMEOUT", "SIGNAL_CLOSE", "SIP_TRUNK_FAILURE"})
LOST_BY_LIVEKIT = frozenset(
    {"LINE_LOST", "SERVER_SHUTDOWN", "STATE_MISMATCH", "DUPLICATE_IDENTITY", "ROOM_CLOSED", "JOIN_FAILURE", "MIGRATION"}
)
# What a callback that was asked for is the reason of: the ways in which people part. An error or a transfer stays what it is.
PARTINGS = frozenset({Reason.CALLEE_HANGUP, Reason.ASSISTANT_END_CALL, Reason.ASSISTANT_GOAL_REACHED})
NOTE_WRITTEN_WITHIN_S = 60.0


class NotOursAnyMore(Exception):
    """Another process has taken the call, or ended it."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class CallController:
    """Owns the outcome of the call. Everything that can end it says so here, and one task closes it."""

    def __init__(self, call: Call, *, worker: str) -> None:
        self.call, self.worker = call, worker
        self.call_id, self.claim = str(call.pk), call.claim
        self.is_answered = False
        self.answered_at: datetime | None = None
        self.is_transferring = False
        self.callee_gone = asyncio.Event()
        self._left_because = ""
        self.ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        # What the database does not know yet.
        self.to_suppress: SuppressionReason | None = None
        self.to_call_back: Wish | None = None
        self.unwritten_answer = ""
        self.is_anothers = False
        self.is_called_back = False
        self.has_opted_out = False
        self._because: Reason | None = None
        self._seen_at = time.monotonic()
        self._stalled = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._states: asyncio.Queue[Callable[[], bool]] = asyncio.Queue()
        self._state_writer: asyncio.Task[None] | None = None

    # -- the outcome ------------------------------------------------------------------------------------------------

    def finish(self, ending: Ending) -> bool:
        """End the call so; the first to say is believed, False means that somebody was."""
        if self.ended.done():
            return False
        if self._because is not None and self.is_answered and not ending.quiet:
            ending = replace(ending, reason=self._because)
        elif self.is_called_back and ending.reason in PARTINGS:
            ending = replace(ending, reason=Reason.CALLEE_REQUESTED_CALLBACK)
        log.info("call ends", reason=ending.reason, by=ending.ended_by, quiet=ending.quiet)
        self.ended.set_result(ending)
        return True

    def decided(self, reason: Reason) -> None:
        """The callee said why this call ends (opt-out, wrong number): that stands, whoever hangs up afterwards."""
        self._because = self._because or reason

    def callee_left(self, why: str) -> None:
        """The callee is gone, for whatever reason."""
        self.callee_gone.set()
        self._left_because = why
        if not self.is_answered or self.is_transferring:
            # The dial's own answer says what it means, and the transfer's: who was put through is gone too.
            return
        if why in LOST_BY_THE_CARRIER:
            self.finish(after_answer(Reason.ERROR_CARRIER_MEDIA, EndedBy.CARRIER, fault=Fault.CARRIER))
        elif why in LOST_BY_LIVEKIT:
            self.finish(after_answer(Reason.ERROR_PLATFORM_INTERNAL, EndedBy.PLATFORM, fault=Fault.PLATFORM))
        elif why == "ROOM_DELETED":
            self.start(self._room_was_deleted())
        else:
            self.finish(after_answer(Reason.CALLEE_HANGUP, EndedBy.CALLEE))

    async def _room_was_deleted(self) -> None:
        """Whoever deletes a room writes the end after it. What this job says is for the case that they did not."""
        await self.look_for_orders()
        self.finish(self.failed(Reason.ERROR_PLATFORM_INTERNAL, Fault.PLATFORM).with_columns(note="The room was deleted."))

    def canceled(self) -> None:
        reason = Reason(self.call.cancel_reason or Reason.STAFF_CANCELED)
        ended_by = EndedBy.CLIENT if reason is Reason.API_CANCELED else EndedBy.STAFF
        if self.is_answered:
            self.finish(after_answer(reason, ended_by))
        else:
            self.finish(Ending(outcome=Outcome.CANCELED, reason=reason, ended_by=ended_by))

    def suppressed(self) -> None:
        if self._because is not None:
            return  # by this very call
        if self.is_answered:
            self.finish(Ending(outcome=Outcome.ANSWERED, reason="policy.do_not_call", ended_by=EndedBy.PLATFORM))
        else:
            self.finish(before_answer("policy.do_not_call", outcome=Outcome.BLOCKED))

    def suppress(self, why: SuppressionReason) -> asyncio.Task[Any]:
        """Have the callee's number left in peace. Goes on until it is written; what is not when the call closes is spooled."""
        self.to_suppress = why
        self.has_opted_out = True
        # It is not to be booked any more; what was booked, the suppression takes back.
        self.to_call_back, self.is_called_back = None, False

        async def write() -> None:
            await in_database_before(float("inf"), suppress_callee, self.call_id, why)
            self.to_suppress = None

        return self.start(write())

    def call_back(self, wish: Wish) -> asyncio.Task[Any]:
        """Have the callee called again as they wish, in the place of what they wished before. `is_called_back` tells whether they will be.

        Goes on until it is written, or taken back by an opt-out; what is not when the call closes is spooled.
        """
        self.to_call_back, self.is_called_back = wish, True
        return self.start(in_database_before(float("inf"), self._book))

    def _book(self) -> None:
        wish = self.to_call_back
        if wish is None:
            return
        booked = book(self.call_id, wish)
        if self.to_call_back is wish:
            self.to_call_back, self.is_called_back = None, booked

    # -- is it still ours? ------------------------------------------------------------------------------------------

    async def beat(self) -> None:
        """Show that this job lives, and obey what it is told, every two seconds until cancelled."""
        while True:
            await self.look_for_orders()
            await asyncio.sleep(heartbeats.BEAT_EVERY_S)

    async def look_for_orders(self) -> None:
        """One beat. A database that is away gives no orders."""
        try:
            orders = await in_database_within(heartbeats.STALE_AFTER_S, self._beat)
        except Error as error:
            log.warning("no sign of life could be given", error=type(error).__name__)
            return
        if orders.gone:
            self.is_anothers = True
            self.finish(NOT_OURS)
        elif orders.cancel:
            self.canceled()
        elif orders.suppressed:
            self.suppressed()

    def _beat(self) -> heartbeats.Orders:
        orders = heartbeats.beat(call_id=self.call_id, claim=self.claim)
        if orders.cancel:
            self.call.refresh_from_db(fields=["cancel_reason"])
        return orders

    async def watch_the_clock(self) -> None:
        """Notice when this process stood still, until cancelled."""
        while True:
            self._look_at_the_clock()
            await asyncio.sleep(CLOCK_S)

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        self._stalled = self._stalled or now - self._seen_at > STALL_S
        self._seen_at = now

    async def confirm(self) -> None:
        """Before dialling, speaking or running a tool: after a stall, read the claim again. Raises NotOursAnyMore.

        While the database is away nobody can take the call either: it goes on.
        """
        await self._read_after_a_stall()
        if self.ended.done():
            raise NotOursAnyMore

    async def is_still_ours(self) -> bool:
        """The same for the last sentence of a call that has ended for this job: False when another process has it."""
        await self._read_after_a_stall()
        return not self.is_anothers

    async def _read_after_a_stall(self) -> None:
        self._look_at_the_clock()
        if self._stalled:
            log.warning("process stood still, reading the claim again")
            await self.look_for_orders()
            self._stalled = False

    # -- states -----------------------------------------------------------------------------------------------------

    def rings(self) -> None:
        if not self.is_answered:
            self._states.put_nowait(lambda: self.call.status == Status.RINGING or lifecycle.ringing(self.call, by=self.worker))

    def answered(self, **columns: Any) -> None:
        at = timezone.now()
        self.is_answered, self.answered_at, self.unwritten_answer = True, at, at.isoformat()

        def write() -> bool:
            # It may be written much later than it happened.
            moved = lifecycle.answered(self.call, by=self.worker, at=at, **columns)
            self.unwritten_answer = ""
            return moved

        self._states.put_nowait(write)
        if self.callee_gone.is_set():
            # Picked up and hung up at once: the room told of the one before LiveKit told of the other.
            self.callee_left(self._left_because)

    def transferring(self) -> None:
        self.is_transferring = True
        self._states.put_nowait(lambda: lifecycle.transferring(self.call, by=self.worker))

    def back_from_transfer(self, why: str) -> None:
        self.is_transferring = False
        self._states.put_nowait(lambda: lifecycle.back_from_transfer(self.call, by=self.worker, why=why))
        if self.callee_gone.is_set():
            self.callee_left(self._left_because)

    def open(self) -> None:
        """Begin to write states."""
        self._state_writer = self.start(self._write_states())

    def take_up_again(self) -> None:
        """Go on with what was cancelled: a process that loses its worker has all of its tasks cancelled, and ends its call all the same."""
        if self._state_writer is None or self._state_writer.done():
            self.open()
        if self.to_suppress is not None:
            self.suppress(self.to_suppress)

    async def _write_states(self) -> None:
        """In their order, off the path of the call, until cancelled."""
        while True:
            step = await self._states.get()
            try:
                moved = await in_database_before(float("inf"), step)
            finally:
                self._states.task_done()
            if not moved:
                log.info("somebody else moved the call")

    async def states_written(self, deadline: float) -> None:
        """Return when all states are in the database, or the loop's clock shows `deadline`."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._states.join()
        except TimeoutError:
            log.warning("states could not be written")

    def note(self, kind: str, *, why: str = "", facts: dict[str, Any] | None = None) -> None:
        """Leave an entry in the call's timeline, without waiting for it. Ids, codes and figures only."""

        async def write() -> None:
            deadline = asyncio.get_running_loop().time() + NOTE_WRITTEN_WITHIN_S
            await in_database_before(deadline, lifecycle.note_event, self.call, kind, by=self.worker, why=why, facts=facts or {})

        self.start(write())

    # -- tasks ------------------------------------------------------------------------------------------------------

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` beside the call. What goes wrong in it that nobody expected ends the call, it is never silent."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_is_done)
        return task

    def _task_is_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None or isinstance(error, NotOursAnyMore | DatabaseAway):
            return
        log.error("call failed", exc_info=error)
        self.finish(self.failed(Reason.ERROR_PLATFORM_INTERNAL, Fault.PLATFORM))

    def failed(self, reason: Reason, fault: Fault) -> Ending:
        """The end of this call when something of ours, or the model, fails now."""
        if self.is_answered:
            return after_answer(reason, EndedBy.PLATFORM, fault=fault, sentence="technical_failure")
        return before_answer(reason, fault=fault)

    async def stop_tasks(self) -> None:
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
