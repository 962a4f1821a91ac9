"""What the persona can do beside speaking. The model gets sentences; it never decides money, identity or consent.

No tool takes a number, of whatever kind. The descriptions are read by the model.
"""

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from django.utils import timezone
from livekit.agents import RunContext, StopResponse, function_tool
from livekit.agents.llm import Tool

from calls.callbacks import Wish, agreed_time
from calls.exceptions import CallbackImpossible
from calls.models import TurnRole
from calls.states import EndedBy, Outcome, Reason
from calls.transcripts import TurnDraft
from contacts.models import SuppressionReason
from contacts.numbers import parse
from personas.facts import lookup
from personas.moments import spoken
from personas.platform import PlatformWords
from personas.templating import render

from .controller import CallController, NotOursAnyMore
from .conversation import Conversation
from .endings import Ending, after_answer
from .lines.base import Line, TransferFailed

# An opt-out is kept even when the database is away for a while; the callee need not wait for that.
WAITS_FOR_DATABASE_S = 2.0

EndReason = Literal["goal_reached", "goodbye", "voicemail", "minor", "silence", "abuse", "language"]
END_REASONS = get_args(EndReason)


def ending_for(reason: str) -> Ending:
    """How a call ends that the persona ended, by the reason it gave."""
    if reason == "voicemail":
        return Ending(outcome=Outcome.VOICEMAIL, reason=Reason.VOICEMAIL_REACHED, ended_by=EndedBy.ASSISTANT)
    of_reason = {"goal_reached": Reason.ASSISTANT_GOAL_REACHED, "silence": Reason.LIMIT_SILENCE}
    return after_answer(of_reason.get(reason, Reason.ASSISTANT_END_CALL), EndedBy.ASSISTANT)


@dataclass
class CallTools:
    """The tools of one call. Each is a method of its name; `build` gives those that can work on this call."""

    controller: CallController
    line: Line
    words: PlatformWords
    facts: list[dict[str, Any]]
    transfer_to: str
    locale: str

    def __post_init__(self) -> None:
        # Set before the session starts: the tools belong to the agent, the agent to the conversation.
        self.conversation: Conversation
        self._sent_back: set[str] = set()

    def build(self, names: list[str]) -> list[Tool]:
        """The tools of these names, in their order; one that cannot work on this call is left out."""
        possible = [name for name in names if name != "transfer_to_human" or self.transfer_to]
        return [function_tool(self._kept(getattr(self, name)), name=name) for name in possible]

    def _kept(self, tool: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
        """`tool`, checked against a stall before it runs, out of the silence's count, and written into the journal."""

        signature = inspect.signature(tool)

        @functools.wraps(tool)  # the library reads parameters and description from here
        async def run(context: RunContext[Any], *values: Any, **named: Any) -> str:
            call = context.function_call
            arguments = signature.bind(context, *values, **named).arguments
            del arguments["context"]
            turn = TurnDraft(
                item_id=call.call_id, role=TurnRole.TOOL, text="", started_at=datetime.now(UTC), tool=call.name, arguments=arguments
            )
            journal, watchdogs = self.conversation.journal, self.conversation.watchdogs
            journal.write(turn)
            watchdogs.pause()
            try:
                await self.controller.confirm()
                answer = await tool(context, *values, **named)
            except NotOursAnyMore:
                raise StopResponse from None
            finally:
                watchdogs.resume(time.monotonic())
            self.controller.note("tool", why=call.name)
            journal.write(replace(turn, text=answer))
            return answer

        return run

    # -- the tools --------------------------------------------------------------------------------------------------

    async def end_call(self, context: RunContext[Any], reason: EndReason) -> str:
        """Hang up. Only after the goodbye was said, in the same turn. Say nothing after it.

        Args:
            reason: goal_reached (all was settled), goodbye, voicemail, minor, silence, abuse, or language.
        """
        # From here on the callee cannot cut the goodbye off; it was made before the tool was called.
        self.conversation.ear.hold()
        await context.wait_for_playout()
        if not self._was_announced("end_call") and reason != "voicemail":
            self.conversation.ear.let_go()
            return self.words.tool_answers["goodbye_first"]
        self.controller.finish(ending_for(reason))
        raise StopResponse

    async def transfer_to_human(self, context: RunContext[Any]) -> str:
        """Put the call through to a person. Only after telling the callee so, in the same turn."""
        await context.wait_for_playout()
        if not self._was_announced("transfer_to_human"):
            return self.words.tool_answers["announce_first"]
        # The announcement took its time: this dials.
        await self.controller.confirm()
        self.controller.transferring()
        self.conversation.ear.hold()
        try:
            await self.line.transfer(self.transfer_to)
        except TransferFailed as failed:
            self.conversation.ear.let_go()
            self.controller.back_from_transfer(f"sip {failed.sip_status_code}" if failed.sip_status_code else "failed")
            return self.words.tool_answers["transfer_failed"]
        self.controller.finish(after_answer(Reason.TRANSFER_COMPLETED, EndedBy.ASSISTANT))
        return self.words.tool_answers["transfer_started"]

    async def lookup_information(self, context: RunContext[Any], question: str) -> str:  # noqa: ARG002  # all are called alike
        """Look up a fact of the business: prices, opening hours, addresses, conditions, names.

        Args:
            question: What the callee wants to know, in a few words of their language.
        """
        found = lookup(self.facts, question)
        return "\n".join(fact["value"] for fact in found) or self.words.tool_answers["lookup_not_found"]

    async def request_callback(self, context: RunContext[Any], date: str, time: str) -> str:  # noqa: ARG002
        """Have the callee called again at another time. Only when they ask for it, with the day and the hour that they said.

        Args:
            date: The day by the callee's calendar, as YYYY-MM-DD.
            time: The hour by the callee's clock, as HH:MM from 00:00 to 23:59.
        """
        answers = self.words.tool_answers
        if self.controller.has_opted_out:
            return answers["callback_refused"]
        now = timezone.now()
        try:
            at = agreed_time(parse(self.controller.call.number), date=date, time=time, now=now)
        except CallbackImpossible as impossible:
            return answers[impossible.code]
        await asyncio.wait([self.controller.call_back(Wish(at=at, asked_at=now))], timeout=WAITS_FOR_DATABASE_S)
        if not self.controller.is_called_back:
            return answers["callback_refused"]
        return render(answers["callback_done"], {"when": spoken(at, self.locale)})

    async def register_opt_out(self, context: RunContext[Any]) -> str:  # noqa: ARG002
        """The callee does not want to be called any more. Call this at once, without asking why."""
        await self.opt_out(SuppressionReason.OPT_OUT_ON_CALL)
        return self.words.tool_answers["opt_out_done"]

    async def wrong_number(self, context: RunContext[Any]) -> str:  # noqa: ARG002
        """Whoever answered does not know the person who asked for this call, or asked for none."""
        await self.opt_out(SuppressionReason.WRONG_NUMBER)
        return self.words.tool_answers["wrong_number_done"]

    # -- what they have in common -----------------------------------------------------------------------------------

    def note_opt_out(self, why: SuppressionReason) -> asyncio.Task[Any]:
        """Have the number left in peace: from now on, whatever becomes of this call and of the database."""
        wrong = why is SuppressionReason.WRONG_NUMBER
        self.controller.decided(Reason.CALLEE_WRONG_NUMBER if wrong else Reason.CALLEE_REQUESTED_OPT_OUT)
        return self.controller.suppress(why)

    async def opt_out(self, why: SuppressionReason) -> None:
        """The same, and wait a moment for the database: the model is told that it is done."""
        await asyncio.wait([self.note_opt_out(why)], timeout=WAITS_FOR_DATABASE_S)

    def _was_announced(self, tool: str) -> bool:
        """Did the callee hear the persona before this? Else the model is sent back to say it, once."""
        if self.conversation.assistant_spoke_last or tool in self._sent_back:
            return True
        self._sent_back.add(tool)
        return False
