"""The real service, by hand: `OPENAI_API_KEY=sk-… python3 dev.py test --live` (some cents). What the emulator claims is held against it.

The tests' settings keep the environment's key under another name, so that nothing else in a test run can spend money.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from agent_worker.realtime_emulator.speech import synthesize
from tests.agent_worker.realtime_emulator.client import Client, called, said, silence, tool

KEY = os.environ.get("OPENAI_LIVE_KEY", "")
MODEL = os.environ.get("OPENAI_LIVE_MODEL", "gpt-realtime-2.1-mini")
BASE = os.environ.get("OPENAI_LIVE_BASE_URL", "https://api.openai.com/v1")
INSTRUCTIONS = "Falas só português de Portugal, em frases curtas. Usa lookup_information antes de dares qualquer facto."
OPENING = "Olá, fala a assistente virtual de inteligência artificial da Chamada.ai. Estou a ligar porque pediu esta chamada no nosso site."
TIMEOUT_S = 30.0

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not KEY, reason="needs OPENAI_API_KEY, a key of the real service"),
]


@asynccontextmanager
async def session(key: str = KEY, **configuration: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.ws_connect(f"{BASE}/realtime?model={MODEL}", max_msg_size=0) as socket:
        client = Client(socket)
        await client.until("session.created", timeout_s=TIMEOUT_S)
        await client.configure(instructions=INSTRUCTIONS, **configuration)
        yield client


async def ask(client: Client, **response: Any) -> dict[str, Any]:
    await client.send("response.create", response=response)
    done = await client.until("response.done", len(client.of("response.done")) + 1, TIMEOUT_S)
    return dict(done["response"])


def words(text: str) -> list[str]:
    return "".join(character if character.isalnum() else " " for character in text.lower()).split()


async def test_the_handshake_and_the_order_of_a_spoken_response() -> None:
    async with session() as client:
        await client.type_text("Diz só: olá.")
        response = await ask(client, metadata={"client_event_id": "live"})
        await client.until("rate_limits.updated", timeout_s=TIMEOUT_S)
    assert (response["status"], response["metadata"]) == ("completed", {"client_event_id": "live"})
    kinds = list(dict.fromkeys(client.types_since("response.created")))
    assert kinds[:4] == ["response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added"]
    assert client.of("response.content_part.added")[0]["part"]["type"] == "audio"
    assert kinds[-3:] == ["response.output_item.done", "response.done", "rate_limits.updated"]
    assert response["usage"]["output_token_details"]["audio_tokens"] > 0


async def test_a_voice_is_heard_and_answered() -> None:
    listening = {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": {"type": "semantic_vad"}}}
    async with session(audio=listening) as client:
        await client.append(synthesize("Bom dia, quanto é dois mais dois?", locale="pt-PT", voice="caller") + silence(3000))
        response = (await client.until("response.done", timeout_s=TIMEOUT_S))["response"]
        await client.until("conversation.item.input_audio_transcription.completed", timeout_s=TIMEOUT_S)
    order = [kind for kind in client.types if kind.startswith("input_audio_buffer")]
    assert order == ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    assert response["status"] == "completed"


async def test_a_tool_is_called_and_its_answer_is_spoken() -> None:
    async with session(tools=[tool("lookup_information", question={"type": "string"})]) as client:
        await client.type_text("Há onde estacionar?")
        asked = await ask(client)
        assert [name for name, _ in called(asked)] == ["lookup_information"]
        call_id = next(item["call_id"] for item in asked["output"] if item["type"] == "function_call")
        output = {"id": "item_live_output", "type": "function_call_output", "call_id": call_id, "output": "Há um parque a duzentos metros."}
        await client.send("conversation.item.create", item=output)
        answered = await ask(client)
    added = [event["item"]["id"] for event in client.of("conversation.item.added")]
    assert "item_live_output" in added
    assert "duzentos" in said(answered).lower()


async def test_an_opening_is_read_out_word_for_word_beside_the_conversation() -> None:
    instructions = f"Lê este texto em voz alta, palavra por palavra, e não digas mais nada: <read>{OPENING}</read>"
    async with session() as client:
        response = await ask(client, conversation="none", instructions=instructions, input=[])
    assert words(said(response)) == words(OPENING)
    assert (response["conversation_id"], client.of("conversation.item.added")) == (None, [])


async def refusal_of(key: str) -> int | None:
    """The status of the refused upgrade, or the code that an accepted socket is closed with."""
    try:
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(headers=headers) as http, http.ws_connect(f"{BASE}/realtime?model={MODEL}") as socket:
            return await Client(socket).until_closed()
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


async def test_a_bad_key_is_refused_in_one_of_the_two_ways_that_the_emulator_has() -> None:
    assert await refusal_of("sk-this-key-does-not-exist") in (401, 3000)
