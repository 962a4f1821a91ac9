"""A client of the Realtime API without any library between: what is sent is what the test says."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from agent_worker.realtime_emulator import Emulator, Script, Session
from agent_worker.realtime_emulator.speech import BYTES_PER_MS, synthesize

Json = dict[str, Any]
QUICK = {"first_audio_ms": 5, "transcription_ms": 1, "pace": 100.0}
"""Timing for tests that are not about timing."""
PACKET = 100 * BYTES_PER_MS
INSTRUCTIONS = "Falas SÓ português de Portugal.\nComeça logo pela saudação: «Olá, fala a Taberna. Quer mesa?»"


def quick(**changes: Any) -> Script:
    return Script.mind(**{**QUICK, **changes})


class Client:
    """One open session, and all that the server said in it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[Json] = []

    async def send(self, event_type: str, **body: Any) -> None:
        await self.socket.send_str(json.dumps({"type": event_type, **body}))

    async def until(self, event_type: str, count: int = 1, timeout_s: float = 10.0) -> Json:
        """The event number `count` of this type that the server sent, read as far as needed."""
        async with asyncio.timeout(timeout_s):
            while len(found := self.of(event_type)) < count:
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, f"{message.type} while waiting for {event_type}; got {self.types}"
                self.events.append(json.loads(message.data))
        return found[count - 1]

    async def until_closed(self) -> int | None:
        """Reads the rest; the code that the server closed with."""
        async with asyncio.timeout(10):
            while (message := await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                self.events.append(json.loads(message.data))
        return self.socket.close_code

    def of(self, event_type: str) -> list[Json]:
        return [event for event in self.events if event["type"] == event_type]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def types_since(self, event_type: str) -> list[str]:
        """Types from the last event of this type on, a run of equal ones as one."""
        start = len(self.types) - 1 - self.types[::-1].index(event_type)
        run = self.types[start:]
        return [each for each, before in zip(run, ["", *run], strict=False) if each != before]

    async def configure(self, **session: Any) -> None:
        await self.send("session.update", session={"type": "realtime", "instructions": INSTRUCTIONS, **session})
        await self.until("session.updated", len(self.of("session.updated")) + 1)

    async def type_text(self, text: str, role: str = "user") -> None:
        kind = {"user": "input_text", "system": "input_text", "assistant": "output_text"}[role]
        await self.send("conversation.item.create", item={"type": "message", "role": role, "content": [{"type": kind, "text": text}]})

    async def reply(self, **response: Any) -> Json:
        """Asks for a response and reads to its end."""
        await self.send("response.create", response=response)
        done = await self.until("response.done", len(self.of("response.done")) + 1)
        return dict(done["response"])

    async def append(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), PACKET):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(pcm[start : start + PACKET]).decode())

    async def say(self, text: str = "Boa tarde.", silence_ms: int = 1000) -> None:
        """Sends speech and the silence after it, at once: the server's clock is the audio's."""
        await self.append(synthesize(text, locale="pt-PT", voice="caller", max_pause_ms=100) + silence(silence_ms))


def silence(milliseconds: int) -> bytes:
    return bytes(milliseconds * BYTES_PER_MS)


def said(response: Json) -> str:
    """The words of a response."""
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return " ".join(part.get("transcript") or part.get("text") for part in parts)


def called(response: Json) -> list[tuple[str, Json]]:
    return [(item["name"], json.loads(item["arguments"])) for item in response["output"] if item["type"] == "function_call"]


def tool(name: str, **properties: Json) -> Json:
    """A function as a session declares it; all its parameters are required."""
    return {
        "type": "function",
        "name": name,
        "description": name,
        "parameters": {"type": "object", "properties": properties, "required": list(properties)},
    }


@asynccontextmanager
async def connect(emulator: Emulator, key: str = "sk-test") -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.ws_connect(f"{emulator.url}/realtime?model=gpt-realtime-2.1") as socket,
    ):
        yield Client(socket)


def session_of(emulator: Emulator) -> Session:
    return emulator.sessions[-1]
