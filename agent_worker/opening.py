"""The first words of the call: the platform's opening, heard to its end, and the persona's greeting right behind it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from livekit.agents.voice import SpeechCreatedEvent, SpeechHandle

from .conversation import Conversation
from .voice import PlatformVoice, Recording, RenderingFailed, read_out, same_words

log = structlog.get_logger(__name__)

# The greeting is asked for so long before the opening ends: the model needs most of a second to its first sound, and
# what the callee says first («Estou?») is said before that, and takes the greeting's place.
GREETING_LEAD_S = 2.5
LOOKS_EVERY_S = 0.05
RENDERED_BY_NOW_S = 3.0
# A model that has made no sound by then is not waited for: the opening is spoken in the plain voice.
FIRST_SOUND_WITHIN_S = 6.0


@dataclass
class Spoken:
    """What the call records of its opening. `how`: stored, rendered, or model."""

    how: str
    heard_to_end: bool = False
    at_ms: int | None = None

    def began(self, after_s: float) -> None:
        self.at_ms = round(after_s * 1000)


class Greeting:
    """The persona's first sentence, made while the opening still plays, and taken back when the callee speaks meanwhile."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._response_id: str | None = None
        self._handle: SpeechHandle | None = None
        self._items: list[str] = []
        self.asked = False
        self.dropped = False
        conversation.session.on("speech_created", self._speech_created)
        conversation.model_session.on("openai_server_event_received", self._server_event)

    def ask(self) -> None:
        """A bare `response.create`: `generate_reply` would wait for the end of the opening before it asks."""
        self.asked = True
        self._conversation.model_session.send_event({"type": "response.create"})

    def drop(self) -> None:
        """The callee said something: the answer to it takes this place, and the model must not believe that it greeted."""
        self.dropped = True
        if self._handle is not None:
            self._handle.interrupt(force=True)
        for item_id in self._items:
            self._delete(item_id)

    def close(self) -> None:
        """Let it be spoken; it cannot be taken back any more."""
        if not self.dropped:
            self._conversation.session.off("speech_created", self._speech_created)
            self._conversation.model_session.off("openai_server_event_received", self._server_event)

    def _speech_created(self, event: SpeechCreatedEvent) -> None:
        # Nothing else can make the model speak by itself while it does not hear the callee.
        if self.asked and self._handle is None and not event.user_initiated:
            self._handle = event.speech_handle
            if self.dropped:
                self._handle.interrupt(force=True)

    def _server_event(self, event: dict[str, Any]) -> None:
        if event["type"] == "response.created" and self.asked and self._response_id is None:
            self._response_id = event["response"]["id"]
        elif event["type"] == "response.output_item.added" and event["response_id"] == self._response_id:
            self._items.append(event["item"]["id"])
            if self.dropped:
                self._delete(event["item"]["id"])

    def _delete(self, item_id: str) -> None:
        self._conversation.model_session.send_event({"type": "conversation.item.delete", "item_id": item_id})


class Opening:
    """Speaks the opening of one call. `prepare` runs while the phone rings, `speak` when it is picked up."""

    def __init__(self, text: str, voice: PlatformVoice) -> None:
        self.text = text
        self._voice = voice
        self.spoken: Spoken | None = None
        self._over = asyncio.Event()
        self._prepared: asyncio.Task[Recording | None] | None = None

    def prepare(self) -> None:
        self._prepared = asyncio.create_task(self._prepare(), name="opening")

    async def over(self) -> None:
        """Return when no recording of the opening is being played: at once, unless one is."""
        if self.spoken is not None and self.spoken.how != "model":
            await self._over.wait()

    async def aclose(self) -> None:
        if self._prepared is not None:
            self._prepared.cancel()
            await asyncio.wait([self._prepared])

    async def speak(self, conversation: Conversation) -> Spoken:
        """Speak it now. What the callee says meanwhile is kept, and heard by the model when it is over."""
        answered_at = time.monotonic()
        conversation.ear.hold()
        conversation.watchdogs.pause()
        conversation.opening_is_spoken = True
        try:
            recording = self._prepared.result() if self._prepared and self._prepared.done() else None
            self.spoken = spoken = Spoken(recording.how if recording else "model")
            conversation.first_sound.add_done_callback(lambda sound: spoken.began(sound.result() - answered_at))
            await (self._play(conversation, recording, spoken) if recording else self._have_it_spoken(conversation, spoken))
            conversation.opening_is_spoken = False
        finally:
            self._over.set()
            conversation.watchdogs.resume(time.monotonic())
            conversation.ear.let_go()
        conversation.watchdogs.greeting_expected(time.monotonic())
        return spoken

    async def _prepare(self) -> Recording | None:
        try:
            return await self._voice.ready(self.text)
        except RenderingFailed as failure:
            log.warning("opening could not be rendered", why=failure.why)
            return None

    async def _play(self, conversation: Conversation, recording: Recording, spoken: Spoken) -> None:
        handle = conversation.session.say(recording.text, audio=recording.frames())
        ends_at = time.monotonic() + recording.duration_s
        await self._with_greeting(conversation, handle, lambda: time.monotonic() >= ends_at - GREETING_LEAD_S, lambda: True)
        spoken.heard_to_end = not handle.interrupted

    async def _have_it_spoken(self, conversation: Conversation, spoken: Spoken) -> None:
        """There is no recording yet: the model says it, told to do so word for word, and what it said is compared."""
        log.info("opening is spoken by the model")
        handle = conversation.session.generate_reply(instructions=read_out(self.text), tool_choice="none")
        begun_at = time.monotonic()

        def as_written() -> bool:
            return same_words(conversation.last_words, self.text)

        def look() -> bool:
            if not conversation.first_sound.done() and time.monotonic() > begun_at + FIRST_SOUND_WITHIN_S and not handle.interrupted:
                handle.interrupt(force=True)
            # The model is done with it long before the callee has heard it, and free for the greeting.
            return as_written()

        await self._with_greeting(conversation, handle, look, as_written)
        if not handle.interrupted and same_words(conversation.opening_text, self.text):
            spoken.heard_to_end = True
            return
        log.warning("opening was not spoken as it is written")
        # Never without it: in the plain voice, where the model cannot say it.
        recording = await self._recording_soon() or await self._voice.without_model(self.text)
        spoken.how = recording.how
        await self._play(conversation, recording, spoken)

    async def _with_greeting(
        self, conversation: Conversation, handle: SpeechHandle, is_time: Callable[[], bool], was_spoken: Callable[[], bool]
    ) -> None:
        """Until the opening is over; the greeting is asked for when it `is_time`, unless the callee speaks, and only behind an opening."""
        greeting = Greeting(conversation)
        while not await conversation.opening_over(handle, LOOKS_EVERY_S):
            if conversation.ear.heard_speech:
                is_time()
                if greeting.asked and not greeting.dropped:
                    greeting.drop()
            elif not greeting.asked and is_time():
                greeting.ask()
        if was_spoken() and not (greeting.asked or conversation.ear.heard_speech):
            greeting.ask()
        greeting.close()

    async def _recording_soon(self) -> Recording | None:
        if self._prepared is None:
            return None
        await asyncio.wait([self._prepared], timeout=RENDERED_BY_NOW_S)
        return self._prepared.result() if self._prepared.done() else None
