"""The sandbox line: no phone rings. Sound goes through the process; ringing, answer and transfer are simulated, and say so."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

import structlog
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import TranscriptSynchronizer

from calls.exceptions import DialFailed, FailureKind
from calls.gateway import Answer
from calls.models import Call

from ..session import NOTHING_RECORDED
from .audio import Loudspeaker, Microphone
from .base import Line, TransferFailed

log = structlog.get_logger(__name__)

RINGS_S = 0.3


class Handset:
    """What a callee holds in the hand: it speaks, listens and presses keys. Hanging up is returning from `converse`."""

    def __init__(self, line: "SandboxLine", microphone: Microphone, loudspeaker: Loudspeaker) -> None:
        self._line = line
        self._microphone = microphone
        self._loudspeaker = loudspeaker

    async def speak(self, pcm: bytes) -> None:
        """Say it (pcm16 mono, 24 kHz); returns when it has been said."""
        await self._microphone.speak(pcm)

    async def heard_something(self) -> None:
        """Return while the persona can be heard: at once, or when it speaks next."""
        await self._loudspeaker.heard_something()

    async def heard_nothing_for(self, seconds: float) -> None:
        """Return when the persona has been silent for so long."""
        await self._loudspeaker.heard_nothing_for(seconds)

    def press(self, digit: str) -> None:
        """Press a key of the telephone: "0"–"9", "*", "#"."""
        self._line.digit_pressed(digit)


class Callee(ABC):
    """Who is at the other end of the sandbox line."""

    @abstractmethod
    async def converse(self, handset: Handset) -> None:
        """From the moment of picking up; to return is to hang up. Cancelled when the line is closed from the other side."""


class SandboxLine(Line):
    """A call within the process. Nothing of it reaches a telephone, and everything that it writes is marked simulated."""

    simulated = True

    def __init__(self, callee: Callee, *, transfer_refused_with: int | None = None) -> None:
        """`transfer_refused_with` is the SIP status with which the simulated colleague refuses a transfer; None: they take it."""
        super().__init__()
        self._callee = callee
        self._transfer_refused_with = transfer_refused_with
        self._microphone, self._loudspeaker = Microphone(), Loudspeaker()
        self._synchronizer: TranscriptSynchronizer | None = None
        self._conversation: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()

    async def attach(self, session: AgentSession[Any], agent: Agent) -> None:
        # The synchronizer is what cuts an interrupted turn's text to what was heard; a room would bring its own.
        self._synchronizer = TranscriptSynchronizer(next_in_chain_audio=self._loudspeaker, next_in_chain_text=None)
        session.input.audio = self._microphone
        session.output.audio = self._synchronizer.audio_output
        session.output.transcription = self._synchronizer.text_output
        await session.start(agent, record=NOTHING_RECORDED)

    async def dial(self, call: Call) -> Answer:
        self.rings()
        try:
            async with asyncio.timeout(RINGS_S):
                await self._closed.wait()
        except TimeoutError:
            self._conversation = asyncio.create_task(self._converse(), name=f"callee of {call.pk}")
            return Answer(sip_call_id="", participant_id="callee")
        raise DialFailed(FailureKind.ROOM_GONE)

    async def hang_up(self) -> None:
        self._close("hung up")

    async def transfer(self, to: str) -> None:
        # Whom the persona would have called makes no difference: nobody is.
        del to
        if self._closed.is_set():
            raise TransferFailed
        if self._transfer_refused_with is not None:
            raise TransferFailed(sip_status_code=self._transfer_refused_with, sip_status="simulated")
        self._close("transferred")

    async def aclose(self) -> None:
        self._close("line closed")
        if self._conversation is not None:
            await asyncio.wait([self._conversation])
        if self._synchronizer is not None:
            await self._synchronizer.aclose()

    async def _converse(self) -> None:
        try:
            await self._callee.converse(Handset(self, self._microphone, self._loudspeaker))
        finally:
            self._close("callee hung up")

    def _close(self, why: str) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        self._microphone.close()
        self._loudspeaker.clear_buffer()
        if self._conversation is not None and self._conversation is not asyncio.current_task():
            self._conversation.cancel()
        log.info("sandbox line closed", why=why)
        self.callee_left(why)
