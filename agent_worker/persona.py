"""The persona of one call: its voice, its tools, its session, put together from the call's briefing."""

from typing import Any

import structlog
from django.conf import settings

from calls.briefing import Briefing
from calls.models import Call
from contacts.models import SuppressionReason

from .attention import Attention
from .controller import CallController
from .conversation import Conversation
from .hearing import Ear
from .journal import Journal
from .lines.base import Endpoint, Line
from .opening import Opening
from .opt_out import asks_not_to_be_called
from .realtime_model import PersonaModel
from .session import build_agent, build_session
from .tools import CallTools
from .voice import PlatformVoice, RenderingFailed
from .watchdogs import Patience, Watchdogs

log = structlog.get_logger(__name__)


class Persona:
    """What speaks on one call. Made while the phone begins to ring; nothing is connected yet."""

    def __init__(
        self,
        briefing: Briefing,
        *,
        endpoint: Endpoint,
        call: Call,
        controller: CallController,
        line: Line,
        journal: Journal,
        patience: Patience,
    ) -> None:
        version = call.persona_version
        self.briefing = briefing
        self.voice = PlatformVoice(
            locale=version.locale, voice=version.voice, model=briefing.model, speed=float(version.speed), endpoint=endpoint
        )
        self.opening = Opening(briefing.opening, self.voice)
        watchdogs = Watchdogs(max_duration_s=call.max_duration_s, patience=patience)
        self.attention = Attention(controller, watchdogs, briefing.words.notices)
        ear = Ear()
        model = PersonaModel(
            version,
            model=briefing.model,
            transcription_model=settings.TRANSCRIPTION_MODEL,
            endpoint=endpoint,
            ear=ear,
            on_failure=self.attention.model_failed,
        )
        self.tools = CallTools(controller, line, briefing.words, briefing.facts, briefing.transfer_number, version.locale)
        self.conversation = Conversation(
            session=build_session(model),
            agent=build_agent(briefing.instructions, self.tools.build(briefing.tools)),
            ear=ear,
            journal=journal,
            watchdogs=watchdogs,
            model_stumbles=self.attention.model_stumbles,
            callee_said=self._callee_said,
        )
        self.tools.conversation = self.attention.conversation = self.conversation

    @property
    def figures(self) -> dict[str, Any]:
        """The call's columns that only its persona can fill."""
        measured = self.conversation.figures
        spoken = self.opening.spoken
        opening = (
            {"opening_spoken": spoken.how, "opening_heard_to_end": spoken.heard_to_end, "opening_at_ms": spoken.at_ms} if spoken else {}
        )
        return {"usage": measured.usage, "latency": measured.latency, **opening}

    def _callee_said(self, text: str) -> None:
        if asks_not_to_be_called(text, opening=self.briefing.opening):
            log.info("callee asked not to be called again")
            self.tools.note_opt_out(SuppressionReason.OPT_OUT_ON_CALL)

    async def aclose(self) -> None:
        await self.conversation.close()
        await self.opening.aclose()

    async def prepare_sentences(self) -> None:
        """Have the sentences for a call without a model read out while there is one: the next call has them in this voice."""
        for text in self.briefing.words.spoken_without_model.values():
            try:
                await self.voice.ready(text)
            except RenderingFailed as failure:
                log.info("sentence could not be rendered", why=failure.why)
