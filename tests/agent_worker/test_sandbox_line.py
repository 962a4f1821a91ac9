"""The sandbox line, with a session of livekit-agents on it and the emulator as the model."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, get_job_context
from livekit.plugins import openai

from agent_worker.job_context import job_without_a_worker
from agent_worker.lines.base import TransferFailed
from agent_worker.lines.sandbox import Callee, Handset, SandboxLine
from agent_worker.realtime_emulator import Emulator, speech
from agent_worker.session import build_session
from calls.exceptions import DialFailed
from calls.models import Call
from tests.agent_worker.waiting import until

CALL = Call()


class Person(Callee):
    """Does what a test tells it, and then hangs up."""

    def __init__(self, does: Callable[[Handset], Awaitable[None]]) -> None:
        self._does = does

    async def converse(self, handset: Handset) -> None:
        await self._does(handset)


async def waits_for_ever(_handset: Handset) -> None:
    await asyncio.Event().wait()


class Log:
    """What the line tells the call."""

    def __init__(self, line: SandboxLine) -> None:
        self.said: list[str] = []
        line.on_ringing(lambda: self.said.append("rings"))
        line.on_digit(lambda digit: self.said.append(f"digit {digit}"))
        line.on_callee_left(lambda why: self.said.append(f"left: {why}"))


def line_to(does: Callable[[Handset], Awaitable[None]] = waits_for_ever, **options: Any) -> tuple[SandboxLine, Log]:
    line = SandboxLine(Person(does), **options)
    return line, Log(line)


@asynccontextmanager
async def conversation(line: SandboxLine, script: dict[str, Any]) -> AsyncIterator[AgentSession[Any]]:
    async with Emulator(scripts={}) as emulator, job_without_a_worker(CALL):
        emulator.configure(script=script)
        session = build_session(openai.realtime.RealtimeModel(base_url=emulator.url, api_key="sk-emu-test"))
        try:
            await line.attach(session, Agent(instructions="Fala."))
            yield session
        finally:
            await session.aclose()
            await line.hang_up()
            await line.aclose()


def words(session: AgentSession[Any]) -> list[tuple[str, str, bool]]:
    return [(item.role, item.text_content or "", item.interrupted) for item in session.history.items if item.type == "message"]


async def test_it_rings_and_is_answered() -> None:
    line, log = line_to()
    answer = await line.dial(CALL)
    assert (answer.participant_id, answer.sip_call_id) == ("callee", "")
    assert log.said == ["rings"]
    await line.aclose()


async def test_hanging_up_while_it_rings_ends_the_dial_without_an_answer() -> None:
    line, log = line_to()
    dialling = asyncio.create_task(line.dial(CALL))
    await until(lambda: log.said == ["rings"])
    await line.hang_up()
    with pytest.raises(DialFailed):
        await dialling
    assert log.said == ["rings", "left: hung up"]
    await line.aclose()


async def test_the_line_closes_once_however_often_it_is_hung_up() -> None:
    line, log = line_to()
    await line.dial(CALL)
    await line.hang_up()
    await line.hang_up()
    await line.aclose()
    assert log.said == ["rings", "left: hung up"]


async def test_a_callee_who_returns_has_hung_up() -> None:
    async def presses_nine(handset: Handset) -> None:
        handset.press("9")

    line, log = line_to(presses_nine)
    await line.dial(CALL)
    await until(lambda: len(log.said) == 3)
    assert log.said == ["rings", "digit 9", "left: callee hung up"]
    await line.aclose()


async def test_a_transfer_takes_the_callee_away() -> None:
    line, log = line_to()
    await line.dial(CALL)
    await line.transfer("+351910000001")
    assert log.said == ["rings", "left: transferred"]
    with pytest.raises(TransferFailed):
        await line.transfer("+351910000001")
    await line.aclose()


async def test_after_a_refused_transfer_the_callee_is_still_there() -> None:
    line, log = line_to(transfer_refused_with=486)
    await line.dial(CALL)
    with pytest.raises(TransferFailed) as refused:
        await line.transfer("+351910000001")
    assert (refused.value.sip_status_code, refused.value.sip_status) == (486, "simulated")
    assert log.said == ["rings"]
    await line.aclose()


async def test_both_sides_hear_each_other() -> None:
    heard: list[str] = []

    async def asks(handset: Handset) -> None:
        await handset.speak(await speech.speak("Boa tarde, a que horas abrem?", locale="pt-PT", voice="caller"))
        heard.append("asked")
        await handset.heard_something()
        heard.append("answer began")
        await handset.heard_nothing_for(0.3)
        heard.append("answer ended")

    line, log = line_to(asks)
    script = {"turns": [{"user": "A que horas abrem?"}, {"assistant": "Abrimos às nove."}]}
    async with conversation(line, script) as session:
        await line.dial(CALL)
        await until(lambda: "left: callee hung up" in log.said, within_s=15)
        await until(lambda: len(words(session)) == 2)
    assert heard == ["asked", "answer began", "answer ended"]
    assert words(session) == [("user", "A que horas abrem?", False), ("assistant", "Abrimos às nove.", False)]


async def test_a_callee_who_speaks_over_the_persona_silences_it_and_the_transcript_ends_there() -> None:
    long = "Temos peixe grelhado, carne de porco à alentejana, arroz de marisco, e para sobremesa leite-creme, arroz doce e mousse."

    async def interrupts(handset: Handset) -> None:
        await handset.heard_something()
        await asyncio.sleep(1)
        await handset.speak(await speech.speak("Desculpe, desculpe, só um momento.", locale="pt-PT", voice="caller"))
        await handset.heard_nothing_for(0.2)

    line, _ = line_to(interrupts)
    script = {"turns": [{"assistant": long}, {"user": "Desculpe."}, {"assistant": "Diga."}]}
    async with conversation(line, script) as session:
        await line.dial(CALL)
        session.generate_reply()
        await until(lambda: any(interrupted for _, _, interrupted in words(session)), within_s=15)
        said = next(text for _, text, interrupted in words(session) if interrupted)
    assert 0 < len(said) < len(long) / 2
    assert long.startswith(said.strip())


async def test_code_of_the_library_finds_a_job_and_its_folder_goes_away_with_it() -> None:
    # Pins the one private method of livekit-agents that the sandbox calls: JobContext._on_cleanup.
    async with job_without_a_worker(CALL) as context:
        assert get_job_context() is context
        folder = context.session_directory
        assert folder.is_dir()
        assert context.job.id == f"sandbox-{CALL.pk}"
    assert not folder.exists()
    assert get_job_context(required=False) is None
