"""The scripted callee: polite, and sure to hang up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from livekit import rtc

from agent_worker import scripted_callee
from agent_worker.lines.audio import SAMPLE_RATE, Loudspeaker, Microphone
from agent_worker.lines.sandbox import Handset, SandboxLine
from agent_worker.realtime_emulator import speech
from agent_worker.scripted_callee import ScriptedCallee, voice_beside

SENTENCES = ["Boa tarde.", "Obrigada. Até amanhã!"]


class Persona:
    """Speaks into the callee's ear, and hears through its microphone."""

    def __init__(self) -> None:
        self.microphone, self.loudspeaker = Microphone(), Loudspeaker()
        self.handset = Handset(SandboxLine(ScriptedCallee([], locale="pt-PT", voice="caller")), self.microphone, self.loudspeaker)
        self.turns_heard = 0

    async def says(self, seconds: float = 0.2) -> None:
        samples = int(SAMPLE_RATE * seconds)
        await self.loudspeaker.capture_frame(rtc.AudioFrame(b"\1\1" * samples, SAMPLE_RATE, 1, samples))
        self.loudspeaker.flush()
        await self.loudspeaker.wait_for_playout()

    async def hears_a_turn(self) -> None:
        """Until the callee has said something and has been silent for 200 ms."""
        loud = quiet = 0
        async for frame in self.microphone:
            silent = not any(bytes(frame.data))
            quiet = quiet + 1 if silent else 0
            loud += not silent
            if loud and quiet >= 10:
                self.turns_heard += 1
                return


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripted_callee, "TURN_S", 0.15)
    monkeypatch.setattr(scripted_callee, "PATIENCE_S", 0.4)
    monkeypatch.setattr(scripted_callee, "LINGER_S", 0.2)


@asynccontextmanager
async def called(callee: ScriptedCallee) -> AsyncIterator[tuple[Persona, "asyncio.Task[None]"]]:
    persona = Persona()
    conversing = asyncio.create_task(callee.converse(persona.handset))
    yield persona, conversing
    conversing.cancel()


async def test_it_says_its_sentences_in_turn_each_declared_first_and_hangs_up() -> None:
    declared: list[str] = []
    async with called(ScriptedCallee(SENTENCES, locale="pt-PT", voice="caller", declare=declared.append)) as (persona, conversing):
        for count in (1, 2):
            await persona.says()
            await persona.says()  # a breath between opening and greeting is not the end of the turn
            await asyncio.wait_for(persona.hears_a_turn(), 10)
            assert declared == SENTENCES[:count]
        await persona.says()
        await asyncio.wait_for(conversing, 5)
    assert persona.turns_heard == 2


async def test_it_hangs_up_on_a_persona_that_never_speaks() -> None:
    async with called(ScriptedCallee([], locale="pt-PT", voice="caller")) as (_, conversing):
        await asyncio.wait_for(conversing, 5)


async def test_it_hangs_up_on_a_persona_that_never_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripted_callee, "LONGEST_S", 0.5)
    async with called(ScriptedCallee(SENTENCES, locale="pt-PT", voice="caller")) as (persona, conversing):
        monologue = asyncio.create_task(persona.says(30))
        await asyncio.wait_for(conversing, 5)
        monologue.cancel()
        persona.loudspeaker.clear_buffer()


@pytest.mark.parametrize("persona_voice", ["marin", "cedar", "caller", "coral", "a voice of next year"])
def test_its_voice_is_never_the_personas(persona_voice: str) -> None:
    assert speech.VARIANTS[voice_beside(persona_voice)] != speech.VARIANTS.get(persona_voice)
