"""One call, from the claim to its true end, on whatever line."""

import asyncio
import time
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from typing import Any

import structlog
from django.conf import settings
from django.db import Error

from calls.briefing import brief
from calls.dial_results import result_of, retry_reason
from calls.exceptions import DialFailed
from calls.gateway import Answer
from calls.lifecycle import claim_for_dial
from calls.models import Call
from calls.states import EndedBy, Fault, Reason, Status
from contacts.models import SuppressionReason
from personas.exceptions import PersonaError

from .backlog import Backlog
from .controller import CallController, NotOursAnyMore
from .database import DatabaseAway, in_database, in_database_before
from .endings import Ending, after_answer, write_end
from .journal import Journal
from .lines.base import Endpoint, Line, LineLost
from .persona import Persona
from .spool import Page
from .watchdogs import Patience, Watchdogs

log = structlog.get_logger(__name__)

# A database that is away at that moment is waited for so long; then nobody is dialled, and the call is the queue's again.
CLAIMED_WITHIN_S = 5.0
# With the database away, what is left of a call goes to disk after that. livekit-agents cancels a job 15 s after its room is gone.
CLOSED_WITHIN_S = 10.0
STOPPED_WITHIN_S = 3.0
SENTENCE_WITHIN_S = 25.0
SESSION_CLOSED_WITHIN_S = 10.0
BRIEFED_WITHIN_S = 10.0
# An answered call whose opening has not begun by then is over: nobody is left on a silent line.
SPEAKS_WITHIN_S = 15.0
OPT_OUT_KEY = "9"
SIP_OK = 200


async def run_call(
    *, call_id: str, claim: str, line: Line, worker: str, endpoint: Endpoint | None = None, patience: Patience | None = None
) -> None:
    """Run the call `call_id` on `line` to its end; returns when it has ended and everything said is written.

    `claim` is the dispatch's token: who does not get the call with it ends quietly. `worker` names this process ("job:AJ_1",
    "sandbox:…"). `endpoint` is where the voice model answers; None: the one of the settings. Never raises for what can happen
    to a call: that stands in the call's row.
    """
    with structlog.contextvars.bound_contextvars(call=call_id):
        call = await _claimed(call_id=call_id, claim=claim, worker=worker)
        if call is None:
            # Nobody else is in the room of a call that has ended. In another's people may be talking: a LiveKit that restarts dispatches
            # anew to every room that it finds.
            if await _is_over(call_id):
                await line.hang_up()
            await line.aclose()
            return
        endpoint = endpoint or Endpoint(base_url=settings.OPENAI_BASE_URL, api_key=settings.OPENAI_API_KEY)
        await _Run(call, line, worker, endpoint, patience or Patience()).to_the_end()


async def _claimed(*, call_id: str, claim: str, worker: str) -> Call | None:
    """The call, if it is this job's."""
    tried = False

    def take() -> Call | None:
        nonlocal tried
        again, tried = tried, True
        call = claim_for_dial(call_id=call_id, claim=claim, by=worker, worker=worker)
        if call is None and again:
            # The connection broke at the commit: it was done, and nobody was told.
            ours = Call.objects.for_briefing().filter(pk=call_id, claim=claim, worker=worker, status=Status.DIALING)
            return ours.first()
        return call

    try:
        call = await in_database_before(asyncio.get_running_loop().time() + CLAIMED_WITHIN_S, take)
    except DatabaseAway:
        log.warning("call could not be claimed, nobody is dialled")
        return None
    if call is None:
        log.info("call is not this job's")
    return call


async def _is_over(call_id: str) -> bool:
    try:
        return await in_database(Call.objects.filter(pk=call_id, status=Status.ENDED).exists)
    except Error:
        return False


class _Run:
    """The parts of one call, and the order in which they act."""

    def __init__(self, call: Call, line: Line, worker: str, endpoint: Endpoint, patience: Patience) -> None:
        self.call, self.line, self.endpoint, self.patience = call, line, endpoint, patience
        self.controller = CallController(call, worker=worker)
        self.journal = Journal(self.controller.call_id)
        self.backlog = Backlog(self.controller.call_id, self._unwritten)
        self.journal.before_writing = self.backlog.catch_up
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.persona: Persona | None = None
        self._work: list[asyncio.Task[Any]] = []
        self._held_still: Watchdogs | None = None
        line.on_callee_left(self._callee_left)
        line.on_ringing(self.controller.rings)
        line.on_digit(self._digit)
        line.on_outage(self._outage)

    async def to_the_end(self) -> None:
        """Dial, talk, end. A job that is cancelled (its worker is forced to stop) still ends its call."""
        controller = self.controller
        self.journal.open()
        controller.open()
        controller.start(self.backlog.watch())
        controller.start(controller.beat())
        controller.start(controller.watch_the_clock())
        if self.endpoint.api_key:
            self._work = [controller.start(self._dial()), controller.start(self._talk())]
        else:
            # Nobody's phone rings for a voice that cannot speak.
            controller.finish(controller.failed(Reason.ERROR_CONFIGURATION_KEY, Fault.CONFIGURATION))
        cancelled = False
        try:
            await asyncio.shield(controller.ended)
        except asyncio.CancelledError:
            cancelled = True
            log.warning("job was cancelled")
            # No last sentence: whoever cancels waits for seconds only, and the session may be cancelled as well.
            controller.finish(replace(controller.failed(Reason.ERROR_PLATFORM_WORKER_LOST, Fault.PLATFORM), sentence=""))
            controller.take_up_again()
        if await self._closed(controller.ended.result()) or cancelled:
            raise asyncio.CancelledError

    async def _closed(self, ending: Ending) -> bool:
        """Close the call; whether this job was cancelled meanwhile. With the room gone the library ends the job, with its worker gone
        it cancels every task: the callee is let go and what was said is written, or kept on disk, all the same."""
        closing = asyncio.create_task(self._close(ending))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing])
            if closing.cancelled():
                self.controller.take_up_again()
                closing = asyncio.create_task(self._close(replace(ending, sentence="")))
                await asyncio.wait([closing])
            closing.result()
            return True
        return False

    # -- the dial and the session, at the same time -----------------------------------------------------------------

    async def _dial(self) -> None:
        try:
            await self.controller.confirm()
            answer = await self.line.dial(self.call)
        except NotOursAnyMore:
            return
        except DialFailed as failure:
            await self._dial_failed(failure)
            return
        self.controller.answered(sip_call_id=answer.sip_call_id, **({} if self.line.simulated else {"sip_status_code": SIP_OK}))
        self.answer.set_result(answer)
        self._work.append(self.controller.start(self._must_speak()))

    async def _must_speak(self) -> None:
        """An answered call that stays silent, whatever holds its opening up, ends."""
        await asyncio.sleep(SPEAKS_WITHIN_S)
        if self.persona is None or not self.persona.conversation.first_sound.done():
            log.error("nothing was said after the answer")
            self.controller.finish(self.controller.failed(Reason.ERROR_PLATFORM_INTERNAL, Fault.PLATFORM))

    async def _dial_failed(self, failure: DialFailed) -> None:
        log.info("dial failed", kind=failure.kind, sip_status_code=failure.sip_status_code)
        # Who cancels a call deletes its room first: then the dial's failure is not what ended it.
        await self.controller.look_for_orders()
        result = result_of(failure)
        ending = Ending(
            outcome=result.outcome, reason=result.reason, ended_by=result.ended_by, fault=result.fault, retry=retry_reason(failure) or ""
        )
        self.controller.finish(
            ending.with_columns(retryable=result.retryable, sip_status_code=failure.sip_status_code, sip_status=failure.sip_status)
        )

    async def _talk(self) -> None:
        controller = self.controller
        try:
            briefing = await in_database_before(asyncio.get_running_loop().time() + BRIEFED_WITHIN_S, brief, self.call)
        except DatabaseAway:
            controller.finish(controller.failed(Reason.ERROR_PLATFORM_INTERNAL, Fault.PLATFORM))
            return
        except PersonaError as wrong:
            log.error("persona cannot be used", why=wrong.code)
            controller.finish(controller.failed(Reason.ERROR_CONFIGURATION_PERSONA, Fault.CONFIGURATION))
            return
        self.persona = persona = Persona(
            briefing,
            endpoint=self.endpoint,
            call=self.call,
            controller=controller,
            line=self.line,
            journal=self.journal,
            patience=self.patience,
        )
        persona.opening.prepare()
        try:
            await self.line.attach(persona.conversation.session, persona.conversation.agent)
        except LineLost:
            await controller.look_for_orders()
            controller.finish(controller.failed(Reason.ERROR_PLATFORM_INTERNAL, Fault.PLATFORM))
            return
        persona.conversation.listen_to_the_model()
        await self.answer
        persona.conversation.watchdogs.answered(time.monotonic())
        self._work.append(controller.start(persona.attention.watch()))
        try:
            await controller.confirm()
        except NotOursAnyMore:
            return
        spoken = await persona.opening.speak(persona.conversation)
        controller.note("opening", why=spoken.how, facts={"heard_to_end": spoken.heard_to_end, "at_ms": spoken.at_ms})
        await persona.prepare_sentences()

    def _callee_left(self, why: str) -> None:
        if self.persona is not None:
            self.persona.conversation.cut()
        self.controller.callee_left(why)

    def _outage(self, away: bool) -> None:
        """While nobody can be heard, silence is nobody's."""
        if away and self.persona is not None:
            self._held_still = self.persona.conversation.watchdogs
            self._held_still.pause()
        elif not away and self._held_still is not None:
            self._held_still.line_is_back(time.monotonic())
            self._held_still = None

    def _digit(self, digit: str) -> None:
        self.controller.note("digit", facts={"digit": digit})
        if digit == OPT_OUT_KEY and self.controller.is_answered:
            self.controller.decided(Reason.CALLEE_REQUESTED_OPT_OUT)
            self.controller.suppress(SuppressionReason.KEY_PRESSED)
            ending = after_answer(Reason.CALLEE_REQUESTED_OPT_OUT, EndedBy.CALLEE, sentence="opted_out_by_key")
            self.controller.finish(ending)

    # -- the end ----------------------------------------------------------------------------------------------------

    async def _close(self, ending: Ending) -> None:
        """The last sentence, the line, the session, the journal, and then the end in the database: in this order.

        The line is closed for the callee whatever else fails; the room is gone before `ended` is written (design: rule 4).
        """
        if ending.sentence and self.persona is not None and await self.controller.is_still_ours():
            await self._attempt(self._last_words(self.persona, ending.sentence), within_s=SENTENCE_WITHIN_S)
        await self.line.hang_up()
        await self._stop_working()
        if self.persona is not None:
            await self._attempt(self.persona.aclose(), within_s=SESSION_CLOSED_WITHIN_S)
            ending = ending.with_columns(**self.persona.figures)
        await self._write(ending)
        await self.controller.stop_tasks()
        await self.line.aclose()

    async def _attempt(self, step: Coroutine[Any, Any, None], *, within_s: float) -> None:
        """Do a step of the end that others must not depend on."""
        try:
            async with asyncio.timeout(within_s):
                await step
        except asyncio.CancelledError:
            if (this := asyncio.current_task()) is not None and this.cancelling():
                raise
            log.warning("a step of the call's end was cancelled")  # what it waited for was
        except Exception:  # Whatever fails in the last moments, the line is closed and the end is written.
            log.exception("a step of the call's end failed")

    async def _last_words(self, persona: Persona, sentence: str) -> None:
        # The opening is the callee's right: a model that fails while its recording plays does not cut it.
        await self._callee_gone_or(persona.opening.over())
        await self._stop_working()
        await self._say(persona, sentence)

    async def _stop_working(self) -> None:
        for task in self._work:
            task.cancel()
        if self._work:
            await asyncio.wait(self._work, timeout=STOPPED_WITHIN_S)

    async def _say(self, persona: Persona, sentence: str) -> None:
        recording = await persona.voice.without_model(persona.briefing.words.spoken_without_model[sentence])
        said = asyncio.ensure_future(persona.conversation.say(recording))
        await self._callee_gone_or(asyncio.shield(said))
        await said

    async def _callee_gone_or(self, event: Awaitable[object]) -> None:
        """Return when `event` has come, or nobody listens any more."""
        awaited = asyncio.ensure_future(event)
        gone = asyncio.ensure_future(self.controller.callee_gone.wait())
        await asyncio.wait([awaited, gone], return_when=asyncio.FIRST_COMPLETED)
        for task in (awaited, gone):
            task.cancel()

    async def _write(self, ending: Ending) -> None:
        controller = self.controller
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLOSED_WITHIN_S
        await controller.states_written(deadline)
        await self.journal.close(deadline)
        if controller.answered_at is not None:
            ending = replace(ending, answered_at=controller.answered_at.isoformat())
        unwritten: Ending | None = None
        deadline = max(deadline, loop.time() + 1.0)
        try:
            await in_database_before(deadline, write_end, controller.call_id, ending, claim=controller.claim, by=controller.worker)
            controller.unwritten_answer = ""
        except DatabaseAway:
            unwritten = ending
        await self.backlog.close(unwritten)

    def _unwritten(self) -> Page:
        """What the database does not know of this call now."""
        controller = self.controller
        return Page(
            call=controller.call_id,
            claim=controller.claim,
            turns=tuple(self.journal.waiting),
            answered_at=controller.unwritten_answer,
            suppression=controller.to_suppress,
            callback=controller.to_call_back,
        )
