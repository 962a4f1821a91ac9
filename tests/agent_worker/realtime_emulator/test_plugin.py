"""The emulator through the library that the product speaks to the service with: nothing between the two is replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, APIConnectOptions, ErrorEvent, RunContext, function_tool
from livekit.agents.metrics import LLMModelUsage
from livekit.agents.voice import ConversationItemAddedEvent, UserInputTranscribedEvent
from livekit.plugins.openai import realtime

from agent_worker.lines.audio import Loudspeaker, Microphone
from agent_worker.realtime_emulator import Emulator, Session
from agent_worker.realtime_emulator.connection import Connection
from agent_worker.realtime_emulator.speech import speak

from ..waiting import until
from .client import INSTRUCTIONS, QUICK, quick

GREETING = "Olá, fala a Taberna. Quer mesa?"
PARKING = "Há um parque público a duzentos metros."
SOON = APIConnectOptions(max_retry=1, retry_interval=0.05, timeout=5.0)


class Taberna(Agent):
    def __init__(self) -> None:
        super().__init__(instructions=INSTRUCTIONS)
        self.asked: list[str] = []

    @function_tool
    async def lookup_information(self, context: RunContext[Any], question: str) -> str:
        """Looks something up."""
        self.asked.append(question)
        return PARKING


class Talk:
    """A session with an ear, a mouth, and notes of what happened."""

    def __init__(self, emulator: Emulator, script: str) -> None:
        self.emulator, self.key = emulator, f"sk-emu-{script}.talk"
        self.model = realtime.RealtimeModel(base_url=emulator.url, api_key=self.key, conn_options=SOON)
        self.agent, self.microphone, self.loudspeaker = Taberna(), Microphone(), Loudspeaker()
        self.session: AgentSession[None] = AgentSession(llm=self.model, aec_warmup_duration=None)
        self.session.input.audio, self.session.output.audio = self.microphone, self.loudspeaker
        self.said: list[tuple[str, str]] = []
        self.heard: list[str] = []
        self.errors: list[ErrorEvent] = []
        self.session.on("conversation_item_added", self._added)
        self.session.on("user_input_transcribed", self._transcribed)
        self.session.on("error", self.errors.append)

    def _added(self, event: ConversationItemAddedEvent) -> None:
        if event.item.type == "message":
            self.said.append((event.item.role, event.item.text_content or ""))

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            self.heard.append(event.transcript)

    @property
    def line(self) -> Session:
        return self.emulator.find(key=self.key)[-1]

    async def speak(self, text: str) -> None:
        self.emulator.declare(text, key=self.key)
        await self.microphone.speak(await speak(text, locale="pt-PT", voice="caller", max_pause_ms=150))


@asynccontextmanager
async def talk(emulator: Emulator, script: str = "quick") -> AsyncIterator[Talk]:
    conversation = Talk(emulator, script)
    await conversation.session.start(conversation.agent)
    try:
        yield conversation
    finally:
        conversation.microphone.close()
        # After a fatal error the library raises it again from here; the error was seen before.
        await asyncio.gather(conversation.session.aclose(), conversation.model.aclose(), return_exceptions=True)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(scripts={"quick": quick()}, strict=True) as running:
        yield running


async def test_the_agent_greets(emulator: Emulator) -> None:
    async with talk(emulator) as call:
        await call.session.generate_reply(instructions="Cumprimenta a pessoa.")
        assert call.said == [("assistant", GREETING)]
        assert (call.line.model, call.line.instructions, len(call.line.tools)) == ("gpt-realtime", INSTRUCTIONS, 1)
        usage = call.session.usage.model_usage[0]
        assert isinstance(usage, LLMModelUsage)
        assert usage.output_audio_tokens > 0


async def test_a_spoken_question_is_looked_up_and_answered(emulator: Emulator) -> None:
    async with talk(emulator) as call:
        await call.session.generate_reply(instructions="Cumprimenta a pessoa.")
        await call.speak("Há onde estacionar?")
        await until(lambda: len(call.said) == 3, within_s=15)
        assert (call.heard, call.agent.asked) == (["Há onde estacionar?"], ["Há onde estacionar?"])
        assert call.said[1:] == [("user", "Há onde estacionar?"), ("assistant", f"{PARKING} Quer saber mais alguma coisa?")]
        journal = call.line.journal
        output = next(entry for entry in journal.of("conversation.item.create", "client") if "output" in entry.event["item"])
        reply = journal.of("response.created")[-1]
        assert reply.at - output.at < 1.0  # the library waits 5 s for an item that nobody acknowledges
        assert journal.of("error") == []


async def test_typed_text_is_answered(emulator: Emulator) -> None:
    async with talk(emulator) as call:
        await call.session.generate_reply(user_input="É um robô?")
        assert call.said[-1][1].startswith("Sim, sou uma inteligência artificial")


async def test_the_caller_cuts_in_and_the_speech_is_truncated_where_it_was_heard(emulator: Emulator) -> None:
    long = "Temos bacalhau, polvo, robalo, arroz de marisco, bitoque, secretos, cabrito, açorda, caril, e ainda muitas sobremesas."
    emulator.configure(key="sk-emu-quick.talk", script={**QUICK, "turns": [{"assistant": long}]})
    async with talk(emulator) as call:
        call.session.generate_reply(instructions="Diz a ementa.")
        await call.loudspeaker.heard_something()
        await call.speak("Espere, é um robô?")
        truncated = await call.line.journal.wait_for("conversation.item.truncated")
        spoken = next(item for item in call.line.conversation if item.id == truncated.event["item_id"])
        assert spoken.audio_ms == truncated.event["audio_end_ms"] < 4000
        assert (long.startswith(spoken.text), len(spoken.text) < len(long) // 2) == (True, True)
        await until(lambda: call.said[-1][1].startswith("Sim, sou uma inteligência artificial"), within_s=15)
        # The library cancels what it believes is still made; the service says so too when it was over.
        assert {entry.event["error"]["code"] for entry in call.line.journal.of("error")} <= {"response_cancel_not_active"}


async def test_a_cut_connection_comes_back_with_its_history(emulator: Emulator) -> None:
    emulator.configure(key="sk-emu-quick.talk", script=quick(), faults=[{"kind": "drop", "response": 2, "times": 1}])
    async with talk(emulator) as call:
        await call.session.generate_reply(instructions="Cumprimenta a pessoa.")
        call.session.generate_reply(user_input="É um robô?")
        await until(lambda: len(emulator.find(key=call.key)) == 2)
        # Whatever is asked next tells that the new session has the old one's items, in their order.
        await call.line.journal.wait_for("conversation.item.done", count=2)
        assert [item.text for item in call.line.conversation] == [GREETING, "É um robô?"]
        assert call.line.instructions == INSTRUCTIONS


@pytest.mark.parametrize("script", ["bad_key", "forbidden", "unavailable", "refused_key", "no_credit"])
async def test_a_fault_at_the_connection_is_final(emulator: Emulator, script: str) -> None:
    async with talk(emulator, script) as call:
        await until(lambda: bool(call.errors) and not call.errors[-1].error.recoverable)
        assert call.said == []


async def test_credit_that_ends_in_mid_call_is_final_and_a_rate_limit_is_not(emulator: Emulator) -> None:
    for code, recoverable in (("rate_limit_exceeded", True), ("insufficient_quota", False)):
        emulator.configure(script=quick(), faults=[{"kind": "fail", "code": code, "response": 2}])
        async with talk(emulator) as call:
            await call.session.generate_reply(instructions="Cumprimenta a pessoa.")
            call.session.generate_reply(user_input="É um robô?")
            await until(lambda call=call: bool(call.errors))  # type: ignore[misc]
            assert call.errors[0].error.recoverable is recoverable


Emit = Any


def without(event_type: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that forgets: no event of this type, or, with a key, none of that in its response."""
    emit: Emit = Connection.emit

    def forgetful(self: Connection, kind: str, **body: Any) -> None:
        if kind == event_type and key:
            body = {**body, "response": {**body["response"], key: None}}
        elif kind == event_type and body["item"]["type"] == "function_call_output":
            return
        emit(self, kind, **body)

    monkeypatch.setattr(Connection, "emit", forgetful)


async def test_the_library_gives_up_on_a_reply_whose_metadata_is_not_echoed(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    without("response.created", "metadata", monkeypatch)
    async with talk(emulator) as call:
        handle = call.session.generate_reply(instructions="Cumprimenta a pessoa.")
        await asyncio.wait_for(asyncio.shield(handle), 15)
        assert "timed out" in str(handle.exception())


async def test_the_library_waits_five_seconds_for_an_item_that_is_not_acknowledged(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    without("conversation.item.added", "", monkeypatch)
    async with talk(emulator) as call:
        await call.session.generate_reply(user_input="Há onde estacionar?")
        journal = call.line.journal
        output = journal.of("conversation.item.create", "client")[-1]
        assert 4.5 < journal.of("response.created")[-1].at - output.at < 6.0
