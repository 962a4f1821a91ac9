"""One call, from the claim to its true end, on whatever line."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import structlog
from django.conf import settings

from calls.briefing import brief
from calls.dial_results import result_of
from calls.exceptions import DialFailed
from calls.gateway import Answer
from calls.lifecycle import claim_for_dial
from calls.models import Call
from calls.states import EndedBy, Fault, Reason
from contacts.models import SuppressionReason
from personas.exceptions import PersonaError

from . import spool
from .controller import CallController, NotOursAnyMore
from .endings import Ending, after_answer, write_end
from .journal import DatabaseAway, Journal, in_database, in_database_before
from .lines.base import Endpoint, Line, LineLost
from .persona import Persona
from .watchdogs import Patience

log = structlog.get_logger(__name__)

# The whole of a call's end, with the database away: then what is left goes to disk.
CLOSED_WITHIN_S = 45.0
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
        call = await in_database(claim_for_dial, call_id=call_id, claim=claim, by=worker, worker=worker)
        if call is None:
            log.info("call is not this job's")
            await line.hang_up()
            await line.aclose()
            return
        endpoint = endpoint or Endpoint(base_url=settings.OPENAI_BASE_URL, api_key=settings.OPENAI_API_KEY)
        await _Run(call, line, worker, endpoint, patience or Patience()).to_the_end()


class _Run:
    """The parts of one call, and the order in which they act."""

    def __init__(self, call: Call, line: Line, worker: str, endpoint: Endpoint, patience: Patience) -> None:
        self.call, self.line, self.endpoint, self.patience = call, line, endpoint, patience
        self.controller = CallController(call, worker=worker)
        self.journal = Journal(self.controller.call_id)
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.persona: Persona | None = None
        self._work: list[asyncio.Task[Any]] = []
        line.on_callee_left(self._callee_left)
        line.on_ringing(self.controller.rings)
        line.on_digit(self._digit)

    async def to_the_end(self) -> None:
        """Dial, talk, end. A job that is cancelled (its worker is forced to stop) still ends its call."""
        controller = self.controller
        self.journal.open()
        controller.start(controller.write_states())
        controller.start(controller.beat())
        controller.start(controller.watch_the_clock())
        if self.endpoint.api_key:
            self._work = [controller.start(self._dial()), controller.start(self._talk())]
        else:
            # Nobody's phone rings for a voice that cannot speak.
            controller.finish(controller.failed(Reason.ERROR_CONFIGURATION_KEY, Fault.CONFIGURATION))
        try:
            await asyncio.shield(controller.ended)
        except asyncio.CancelledError:
            log.warning("job was cancelled")
            controller.finish(controller.failed(Reason.ERROR_PLATFORM_WORKER_LOST, Fault.PLATFORM))
            await asyncio.shield(asyncio.ensure_future(self._close(controller.ended.result())))
            raise
        await self._close(controller.ended.result())

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

    async def _dial_failed(self, failure: DialFailed) -> None:
        log.info("dial failed", kind=failure.kind, sip_status_code=failure.sip_status_code)
        # Who cancels a call deletes its room first: then the dial's failure is not what ended it.
        await self.controller.look_for_orders()
        result = result_of(failure)
        ending = Ending(outcome=result.outcome, reason=result.reason, ended_by=result.ended_by, fault=result.fault)
        self.controller.finish(
            ending.with_columns(retryable=result.retryable, sip_status_code=failure.sip_status_code, sip_status=failure.sip_status)
        )

    async def _talk(self) -> None:
        controller = self.controller
        try:
            briefing = await in_database(brief, self.call)
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
        try:
            if ending.sentence and self.persona is not None:
                await self._stop_working()
                await self._say(self.persona, ending.sentence)
        finally:
            await self.line.hang_up()
        await self._stop_working()
        if self.persona is not None:
            await self.persona.aclose()
            ending = ending.with_columns(**self.persona.figures)
        await self._write(ending)
        await self.controller.stop_tasks()
        await self.line.aclose()

    async def _stop_working(self) -> None:
        for task in self._work:
            task.cancel()
        if self._work:
            await asyncio.wait(self._work)

    async def _say(self, persona: Persona, sentence: str) -> None:
        recording = await persona.voice.without_model(persona.briefing.words.spoken_without_model[sentence])
        said = asyncio.ensure_future(persona.conversation.say(recording))
        gone = asyncio.ensure_future(self.controller.callee_gone.wait())
        await asyncio.wait([said, gone], return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        await said

    async def _write(self, ending: Ending) -> None:
        controller = self.controller
        deadline = asyncio.get_running_loop().time() + CLOSED_WITHIN_S
        await controller.states_written(deadline)
        turns = await self.journal.close(deadline)
        if controller.answered_at is not None:
            ending = replace(ending, answered_at=controller.answered_at.isoformat())
        unwritten: Ending | None = None
        try:
            await in_database_before(
                max(deadline, asyncio.get_running_loop().time() + 1.0),
                write_end,
                controller.call_id,
                ending,
                claim=controller.claim,
                by=controller.worker,
            )
        except DatabaseAway:
            unwritten = ending
        if turns or unwritten or controller.to_suppress:
            spool.keep(controller.call_id, claim=controller.claim, turns=turns, ending=unwritten, suppression=controller.to_suppress)
