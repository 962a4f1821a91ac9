"""What a call does about what its watchdogs notice, and about a model that fails."""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog
from livekit.agents.voice import ErrorEvent

from calls.states import EndedBy, Reason

from .controller import CallController, NotOursAnyMore
from .endings import after_answer
from .realtime_model import failure_of
from .watchdogs import Due, Watchdogs

if TYPE_CHECKING:
    from .conversation import Conversation

log = structlog.get_logger(__name__)

LOOKS_EVERY_S = 0.25


class Attention:
    """Acts on what is due. Who ends the call, and why, the controller decides."""

    def __init__(self, controller: CallController, watchdogs: Watchdogs, notices: Mapping[str, str]) -> None:
        self._controller, self._watchdogs, self._notices = controller, watchdogs, notices
        self.conversation: Conversation

    async def watch(self) -> None:
        """Look, a few times a second, until cancelled or until the call has ended."""
        while not self._controller.ended.done():
            await asyncio.sleep(LOOKS_EVERY_S)
            try:
                await self._controller.confirm()
            except NotOursAnyMore:
                return
            if due := self._watchdogs.due(time.monotonic()):
                log.info("watchdog", due=due.name)
                await self._act(due)

    def model_stumbles(self, event: ErrorEvent) -> None:
        """An error from which the library means to recover. It does so for ever, if it is let."""
        error = getattr(event.error, "error", None)
        log.warning("model stumbles", error=type(error).__name__)
        if self._watchdogs.error(time.monotonic()):
            self.model_failed(error)

    def model_failed(self, error: Exception | None) -> None:
        """The model will not speak on this call any more. Before the answer the phone must not go on ringing for nothing."""
        failure = failure_of(error, was_ready=self.conversation.model_was_ready)
        log.error("model failed", reason=failure.reason, error=type(error).__name__)
        self._controller.finish(self._controller.failed(failure.reason, failure.fault))
        self._controller.start(self.conversation.let_model_go())

    async def _act(self, due: Due) -> None:
        controller, conversation = self._controller, self.conversation
        match due:
            case Due.NUDGE:
                await conversation.nudge()
            case Due.MODEL_IS_LOST:
                self.model_failed(None)
            case Due.ASK_WHETHER_THERE:
                conversation.ask(self._notices["silence_first"])
            case Due.SAY_GOODBYE:
                conversation.ask(self._notices["silence_last"])
            case Due.ANNOUNCE_END:
                await conversation.ask_now(self._notices["time_nearly_up"])
            case Due.END_FOR_SILENCE:
                controller.finish(after_answer(Reason.LIMIT_SILENCE, EndedBy.PLATFORM))
            case Due.END_FOR_TIME:
                controller.finish(after_answer(Reason.LIMIT_MAX_DURATION, EndedBy.PLATFORM))
