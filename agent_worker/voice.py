"""The platform's own sentences as sound: in the persona's voice where the model has read them out, else in a plain one.

They are fixed texts, so they need not wait for the model, and one of them is for when there is no model.
"""

import asyncio
import base64
import json
import re
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from livekit import rtc

from calls import openings
from personas.opening import opening_key

from .lines.base import Endpoint
from .realtime_emulator import speech

log = structlog.get_logger(__name__)

SAMPLE_RATE = 24_000
FRAME_S = 0.05
TIMES_REAL_TIME = 5
RENDERING_S = 20.0
STORE_ANSWERS_WITHIN_S = 2.0


class RenderingFailed(Exception):
    """The model did not read the text out as it is written."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(self.__doc__)


@dataclass(frozen=True)
class Recording:
    """A sentence as sound: pcm16 mono at 24 kHz. `how` says where it is from: stored, rendered, or plain."""

    text: str
    pcm: bytes
    how: str

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / 2 / SAMPLE_RATE

    async def frames(self) -> AsyncIterator[rtc.AudioFrame]:
        """The sound, a little ahead of the ear. All at once would keep the first frame waiting: the words are timed by the sound."""
        size = int(SAMPLE_RATE * FRAME_S) * 2
        for start in range(0, len(self.pcm), size):
            piece = self.pcm[start : start + size]
            yield rtc.AudioFrame(piece, SAMPLE_RATE, 1, len(piece) // 2)
            await asyncio.sleep(FRAME_S / TIMES_REAL_TIME)


def read_out(text: str) -> str:
    """What a model is told so that it says `text` and nothing else."""
    return (
        f"Read aloud exactly what stands between the tags, word for word, in its own language, and say nothing else.\n<read>{text}</read>"
    )


def same_words(one: str, other: str) -> bool:
    """Do both say the same, word by word? Case, punctuation and quotation marks are not spoken."""
    return _words(one) == _words(other)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


class PlatformVoice:
    """The sentences of one call's platform, in the voice of its persona."""

    def __init__(self, *, locale: str, voice: str, model: str, speed: float, endpoint: Endpoint) -> None:
        self._locale, self._voice, self._model, self._speed, self._endpoint = locale, voice, model, speed, endpoint

    async def ready(self, text: str) -> Recording:
        """`text` from the store; else rendered now, checked, and kept. Raises RenderingFailed."""
        key = self._key(text)
        if (pcm := await self._stored(key)) is not None:
            return Recording(text, pcm, "stored")
        pcm = await self._render(text)
        try:
            await asyncio.to_thread(openings.keep, key, pcm)
        except OSError as error:
            log.warning("recording could not be kept", error=type(error).__name__)
        return Recording(text, pcm, "rendered")

    async def without_model(self, text: str) -> Recording:
        """`text` from the store, else in a plain voice: for when no model can speak. Does not fail for want of the store."""
        if (pcm := await self._stored(self._key(text))) is not None:
            return Recording(text, pcm, "stored")
        return Recording(text, await speech.speak(text, locale=self._locale, voice=self._voice), "plain")

    async def _stored(self, key: str) -> bytes | None:
        """The store's recording. A store that is away, or that does not answer, has none: the call goes on without it."""
        try:
            async with asyncio.timeout(STORE_ANSWERS_WITHIN_S):
                return await asyncio.to_thread(openings.find, key)
        except OSError as error:
            log.warning("store of recordings is away", error=type(error).__name__)
            return None

    def _key(self, text: str) -> str:
        return opening_key(text=text, voice=self._voice, model=self._model, speed=self._speed, endpoint=self._endpoint.base_url)

    async def _render(self, text: str) -> bytes:
        try:
            async with asyncio.timeout(RENDERING_S), aiohttp.ClientSession() as http:
                pcm, transcript = await self._read_by_model(http, text)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RenderingFailed(type(error).__name__) from error
        if not same_words(transcript, text):
            raise RenderingFailed("other words")
        return pcm

    async def _read_by_model(self, http: aiohttp.ClientSession, text: str) -> tuple[bytes, str]:
        url = f"{self._endpoint.base_url.rstrip('/')}/realtime"
        headers = {"Authorization": f"Bearer {self._endpoint.api_key}"}
        async with http.ws_connect(url, params={"model": self._model}, headers=headers, max_msg_size=0) as socket:
            for event in self._asks_for(text):
                await socket.send_json(event)
            pcm, transcript = bytearray(), ""
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                event = json.loads(message.data)
                if event["type"] == "response.output_audio.delta":
                    pcm += base64.b64decode(event["delta"])
                elif event["type"] == "response.output_audio_transcript.delta":
                    transcript += event["delta"]
                elif event["type"] == "response.done" and event["response"]["status"] == "completed":
                    return bytes(pcm), transcript
                elif event["type"] in ("response.done", "error"):
                    break
        raise RenderingFailed("the model gave up")

    def _asks_for(self, text: str) -> list[dict[str, Any]]:
        sound = {"format": {"type": "audio/pcm", "rate": SAMPLE_RATE}, "voice": self._voice, "speed": self._speed}
        session = {"type": "realtime", "model": self._model, "output_modalities": ["audio"], "audio": {"output": sound}}
        # Outside any conversation: nothing but the text itself can find its way into the reading.
        response = {"conversation": "none", "input": [], "instructions": read_out(text)}
        return [{"type": "session.update", "session": session}, {"type": "response.create", "response": response}]
