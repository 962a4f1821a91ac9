"""One conversation: the session's events on their way to the journal and the watchdogs, and what the platform has said in it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from livekit.agents import Agent, AgentSession
from livekit.agents.llm import ChatMessage, InputSpeechStoppedEvent
from livekit.agents.voice import (
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    SpeechHandle,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)

from calls.models import TurnRole
from calls.transcripts import TurnDraft

from .figures import Figures
from .hearing import Ear
from .journal import Journal
from .voice import Recording
from .watchdogs import Watchdogs

log = structlog.get_logger(__name__)

# How long a sentence of the platform may take beyond its own length.
SENTENCE_SLACK_S = 3.0
# What the callee said last is still being transcribed when they hang up: so long is waited for it, with the line closed.
LAST_WORDS_S = 2.0
UNINTELLIGIBLE = "[…]"


class Conversation:
    """Wires a session to the journal and the watchdogs. Used from the event loop of the call."""

    def __init__(
        self,
        *,
        session: AgentSession[Any],
        agent: Agent,
        ear: Ear,
        journal: Journal,
        watchdogs: Watchdogs,
        model_stumbles: Callable[[ErrorEvent], None],
        callee_said: Callable[[str], None],
    ) -> None:
        self.session, self.agent, self.ear, self.journal, self.watchdogs = session, agent, ear, journal, watchdogs
        self.figures = Figures()
        self.model_was_ready = False
        self._model_is_there = False
        # Of the latest response, as the model made them; the callee hears them later.
        self.last_words = ""
        self.assistant_spoke_last = False
        self.opening_is_spoken = False
        self.opening_text = ""
        self._opening_was_spoken = asyncio.Event()
        self.first_sound: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._model_stumbles, self._callee_said = model_stumbles, callee_said
        self._half_heard: dict[str, TurnDraft] = {}
        self._unheard: set[str] = set()
        self._nothing_unheard = asyncio.Event()
        self._nothing_unheard.set()
        self._cut_by_the_network = False
        self._listeners: list[tuple[str, Callable[[Any], None]]] = [
            ("conversation_item_added", self._item_added),
            ("user_input_transcribed", self._transcribed),
            ("agent_state_changed", self._agent_state),
            ("user_state_changed", self._user_state),
            ("error", self._model_stumbles),
        ]
        for event, listener in self._listeners:
            session.on(event, listener)  # type: ignore[arg-type]  # the library's literal types

    # -- the connection to the model --------------------------------------------------------------------------------

    @property
    def model_session(self) -> Any:
        """The connection to the model; only between the session's start and its end."""
        return self.agent.realtime_llm_session

    async def let_model_go(self) -> None:
        """Close the connection to the model, which else is tried again for ever. The session keeps its sound."""
        if self._model_is_there:
            await self.model_session.aclose()

    def listen_to_the_model(self) -> None:
        """To be called once the session runs: what the session itself does not pass on."""
        self._model_is_there = True
        self.model_session.on("openai_server_event_received", self._server_event)
        self.model_session.on("session_reconnected", self._reconnected)

    def _server_event(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "session.updated":
            self.model_was_ready = True
        elif kind == "response.done":
            self._response_done(event["response"])
        elif kind == "input_audio_buffer.speech_started":
            self._unheard.add(event["item_id"])
            self._nothing_unheard.clear()
        elif kind == "conversation.item.input_audio_transcription.completed":
            self._heard(event["item_id"])
        elif kind == "conversation.item.input_audio_transcription.failed":
            # The library lets such a turn disappear: that something was said is kept.
            self._half_heard.pop(event["item_id"], None)
            self._heard(event["item_id"])
            self.journal.write(TurnDraft(item_id=event["item_id"], role=TurnRole.USER, text=UNINTELLIGIBLE, started_at=datetime.now(UTC)))

    def _response_done(self, response: dict[str, Any]) -> None:
        parts = (part for item in response["output"] for part in item.get("content", ()))
        self.last_words = " ".join(part.get("transcript") or "" for part in parts)
        if response["status"] == "failed":
            self.watchdogs.model_lost_the_answer(time.monotonic())
        elif response["status"] == "completed" and not any(item["type"] == "function_call" for item in response["output"]):
            self.watchdogs.model_answered(time.monotonic())

    def _heard(self, item_id: str) -> None:
        self._unheard.discard(item_id)
        if not self._unheard:
            self._nothing_unheard.set()

    def _reconnected(self, _event: object) -> None:
        """The connection was lost and is back: what was being said is over, and nobody but us takes it up again."""
        log.warning("connection to the model was lost and is back")
        speaks = self.session.agent_state == "speaking"
        self._cut_by_the_network = speaks
        if self.session.user_state == "speaking":
            # No end of that speech will be announced any more; the session would wait for it before it speaks.
            self.model_session.emit("input_speech_stopped", InputSpeechStoppedEvent(user_transcription_enabled=False))
        for item_id in list(self._unheard):
            self._heard(item_id)
        if speaks or self.session.agent_state == "thinking" or not self.assistant_spoke_last:
            self.watchdogs.model_lost_the_answer(time.monotonic())

    # -- speaking ---------------------------------------------------------------------------------------------------

    async def nudge(self) -> None:
        """Ask the model for what it owes: the greeting, an answer, or the rest of a sentence that the network cut."""
        if self.model_session.has_active_generation:
            return  # it has begun, and a second request would be refused
        # What the callee heard of a cut sentence is not in the model's memory until it is told.
        await self.agent.update_chat_ctx(self.agent.chat_ctx)
        self.session.generate_reply()

    def ask(self, notice: str) -> SpeechHandle:
        """Have the model act on what the platform noticed."""
        return self.session.generate_reply(instructions=notice)

    async def ask_now(self, notice: str) -> None:
        """The same, also into the persona's own words: it would go on for longer than there is time."""
        if self.session.agent_state == "speaking" or self.session.current_speech is not None:
            await self.session.interrupt(force=True)
        self.ask(notice)

    async def say(self, recording: Recording) -> bool:
        """Speak a sentence of the platform; True when it was heard to its end. Works without a model.

        The callee cannot interrupt it, and whatever is being said stops.
        """
        self.ear.hold()
        if self.session.user_state == "speaking":
            self.model_session.emit("input_speech_stopped", InputSpeechStoppedEvent(user_transcription_enabled=False))
        started_at = datetime.now(UTC)
        try:
            async with asyncio.timeout(recording.duration_s + SENTENCE_SLACK_S):
                await self.session.interrupt(force=True)
                handle = self.session.say(recording.text, audio=recording.frames(), add_to_chat_ctx=False)
                await handle.wait_for_playout()
        except (TimeoutError, RuntimeError) as error:
            # RuntimeError is the library's word for a session that closes.
            log.warning("sentence could not be spoken", error=type(error).__name__)
            return False
        self.journal.write(
            TurnDraft(
                item_id=handle.id, role=TurnRole.ASSISTANT, text=recording.text, started_at=started_at, interrupted=handle.interrupted
            )
        )
        return not handle.interrupted

    async def opening_over(self, handle: SpeechHandle, within_s: float) -> bool:
        """Wait a moment for the opening's last sound. `handle` itself ends later: when the model knows what was said."""
        if handle.done():
            return True
        try:
            async with asyncio.timeout(within_s):
                await self._opening_was_spoken.wait()
        except TimeoutError:
            return handle.done()
        self._opening_was_spoken.clear()
        return True

    # -- the session's events ---------------------------------------------------------------------------------------

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage) or not (text := (item.text_content or "").strip()):
            return
        self._half_heard.pop(item.id, None)
        is_user = item.role == "user"
        if is_user:
            self._callee_said(text)
        is_opening = self.opening_is_spoken and not is_user
        if is_opening:
            self.opening_text = text
            self._opening_was_spoken.set()
        self.journal.write(
            TurnDraft(
                item_id=item.id,
                role=TurnRole.USER if is_user else TurnRole.ASSISTANT,
                text=text,
                started_at=datetime.fromtimestamp(item.created_at, UTC),
                interrupted=item.interrupted or (not is_user and self._cut_by_the_network),
                latency_ms=None if is_user or is_opening else self.figures.take_latency(),
                is_opening=is_opening,
            )
        )
        if not is_user:
            self._cut_by_the_network = False

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final or not event.transcript or not event.item_id:
            return
        begun = self._half_heard.get(event.item_id)
        self._half_heard[event.item_id] = TurnDraft(
            item_id=event.item_id,
            role=TurnRole.USER,
            text=event.transcript,
            started_at=begun.started_at if begun else datetime.now(UTC),
            interrupted=True,
        )

    def _agent_state(self, event: AgentStateChangedEvent) -> None:
        now = time.monotonic()
        speaks = event.new_state == "speaking"
        if speaks:
            self.assistant_spoke_last = True
            self.figures.assistant_began(now)
            if not self.first_sound.done():
                self.first_sound.set_result(now)
        if speaks or event.old_state == "speaking":
            self.watchdogs.agent_spoke(speaks=speaks, now=now)

    def _user_state(self, event: UserStateChangedEvent) -> None:
        now = time.monotonic()
        speaks = event.new_state == "speaking"
        if speaks:
            self.assistant_spoke_last = False
            self.figures.callee_began()
        else:
            self.figures.callee_ended(now)
        self.watchdogs.callee_spoke(speaks=speaks, now=now)

    def cut(self) -> None:
        """Nobody listens any more: what is being said ends here, in the transcript too."""
        if self._model_is_there and self.session.current_speech is not None:
            self.session.interrupt(force=True)

    # -- the end ----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Stop speaking, hear the last words to their end, close the session, and give the journal all that is left."""
        self.figures.take_usage(self.session)
        if self.session.current_speech is not None:
            await self._fall_silent()
        await self._wait_for_last_words()
        self.figures.take_usage(self.session)
        await self.session.aclose()
        for turn in self._half_heard.values():
            self.journal.write(turn)
        for event, listener in self._listeners:
            self.session.off(event, listener)  # type: ignore[arg-type]  # the library's literal types

    async def _fall_silent(self) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self.session.interrupt(force=True)
        except (TimeoutError, RuntimeError) as error:
            log.warning("session did not fall silent", error=type(error).__name__)

    async def _wait_for_last_words(self) -> None:
        if not self._unheard:
            return
        if self.session.user_state == "speaking":
            # The callee left in mid-sentence: no silence will come that ends the turn.
            self.model_session.commit_audio()
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self._nothing_unheard.wait()
        except TimeoutError:
            log.info("last words were not transcribed")
