"""Sound without a room: a microphone that never stops, and a loudspeaker that behaves as a sound card does.

Both run in real time, in pcm16 mono at 24 kHz. A telephone line gives the agent just this: sound without a gap, silence included, and
an ear that hears at the speed of speech and says what it has heard.
"""

import asyncio
import time

from livekit import rtc
from livekit.agents.voice import io

SAMPLE_RATE = 24_000
FRAME_S = 0.02
FRAME_BYTES = int(SAMPLE_RATE * FRAME_S) * 2
# A process that stood still for longer has lost the time: sound cards do not play catch-up either.
OVERRUN_S = 0.2


def _seconds(pcm: bytes | bytearray) -> float:
    return len(pcm) / 2 / SAMPLE_RATE


class Microphone(io.AudioInput):
    """What the callee's side sounds like to the agent: queued speech, else silence, a frame every 20 ms."""

    def __init__(self) -> None:
        super().__init__(label="sandbox microphone")
        self._queued = bytearray()
        self._said = asyncio.Event()
        self._said.set()
        self._next_at = 0.0
        self._closed = False

    async def speak(self, pcm: bytes) -> None:
        """Say it after what is queued; returns when its last sample has gone to the agent, or the microphone was closed."""
        if self._closed:
            return
        self._queued += pcm
        if self._queued:
            self._said.clear()
        await self._said.wait()

    def close(self) -> None:
        """The agent's input ends, and whoever still speaks is released."""
        self._closed = True
        self._queued.clear()
        self._said.set()

    async def __anext__(self) -> rtc.AudioFrame:
        now = time.monotonic()
        if now - self._next_at > OVERRUN_S:
            self._next_at = now
        self._next_at += FRAME_S
        await asyncio.sleep(self._next_at - now)
        if self._closed:
            raise StopAsyncIteration
        piece = bytes(self._queued[:FRAME_BYTES])
        del self._queued[:FRAME_BYTES]
        if not self._queued:
            self._said.set()
        return rtc.AudioFrame(piece.ljust(FRAME_BYTES, b"\0"), SAMPLE_RATE, 1, FRAME_BYTES // 2)


class Loudspeaker(io.AudioOutput):
    """The callee's ear. Frames come faster than real time, as the model sends them; they are heard at the speed of speech.

    A segment is what lies between two flushes. The session counts them: each that got a frame ends with exactly one
    `playback_finished`, or `wait_for_playout` never returns.
    """

    def __init__(self) -> None:
        super().__init__(label="sandbox loudspeaker", capabilities=io.AudioOutputCapabilities(pause=True), sample_rate=SAMPLE_RATE)
        self._queued = bytearray()
        self._playing: asyncio.Task[None] | None = None
        self._flushed = False
        self._heard_s = 0.0
        self._more = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self._audible, self._silent = asyncio.Event(), asyncio.Event()
        self._silent.set()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        while self._flushed and self._playing is not None:
            await asyncio.wait([self._playing])
        await super().capture_frame(frame)
        self._queued += bytes(frame.data)
        self._more.set()
        if self._playing is None:
            self._heard_s = 0.0
            self._playing = asyncio.create_task(self._play(), name="loudspeaker")

    def flush(self) -> None:
        super().flush()
        if self._playing is not None:
            self._flushed = True
            self._more.set()

    def clear_buffer(self) -> None:
        """Fall silent at once; the segment ends where it was cut."""
        if self._playing is None:
            return
        super().flush()
        self._playing.cancel()
        self._finish(interrupted=True)

    def pause(self) -> None:
        super().pause()
        self._running.clear()

    def resume(self) -> None:
        super().resume()
        self._running.set()

    async def heard_something(self) -> None:
        """Return while the agent can be heard: at once, or when it speaks next."""
        await self._audible.wait()

    async def heard_nothing_for(self, seconds: float) -> None:
        """Return when the agent has been silent for so long."""
        while True:
            await self._silent.wait()
            try:
                async with asyncio.timeout(seconds):
                    await self._audible.wait()
            except TimeoutError:
                return

    async def _play(self) -> None:
        next_at = 0.0
        while self._queued or not self._flushed:
            if not self._queued or not self._running.is_set():
                self._hush()
                await self._wait_for_more()
                continue
            if self._silent.is_set():
                next_at = time.monotonic()
                self._sound()
            piece = bytes(self._queued[:FRAME_BYTES])
            del self._queued[:FRAME_BYTES]
            next_at += _seconds(piece)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
            self._heard_s += _seconds(piece)
        self._finish(interrupted=False)

    async def _wait_for_more(self) -> None:
        await self._running.wait()
        if not self._queued and not self._flushed:
            self._more.clear()
            await self._more.wait()

    def _sound(self) -> None:
        self._silent.clear()
        self._audible.set()
        if self._heard_s == 0.0:
            self.on_playback_started(created_at=time.time())

    def _hush(self) -> None:
        self._audible.clear()
        self._silent.set()

    def _finish(self, *, interrupted: bool) -> None:
        self._hush()
        self._queued.clear()
        self._playing, self._flushed = None, False
        self.on_playback_finished(playback_position=self._heard_s, interrupted=interrupted)
