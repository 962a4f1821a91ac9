"""The platform's sentences as sound."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent_worker.lines.base import Endpoint
from agent_worker.realtime_emulator import Emulator, speech
from agent_worker.voice import SAMPLE_RATE, PlatformVoice, RenderingFailed, same_words
from calls import openings

TEXT = "Olá, fala a assistente virtual. Basta dizer «não me liguem mais»."


@pytest.fixture
async def emulator(transactional_db: None) -> Any:
    async with Emulator() as emulator:
        yield emulator


@asynccontextmanager
async def reader_that_says(words: str) -> AsyncIterator[str]:
    """A model that does not read what it is given."""

    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "response.output_audio.delta", "delta": base64.b64encode(b"\0\0").decode()})
        await socket.send_json({"type": "response.output_audio_transcript.delta", "delta": words})
        await socket.send_json({"type": "response.done", "response": {"status": "completed"}})
        return socket

    app = web.Application()
    app.add_routes([web.get("/v1/realtime", answer)])
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


def voice(emulator: Emulator, **other: Any) -> PlatformVoice:
    endpoint = Endpoint(base_url=other.pop("base_url", emulator.url), api_key="sk-emu-mind.voice")
    return PlatformVoice(**{"locale": "pt-PT", "voice": "marin", "model": "gpt-realtime-2.1", "speed": 1.0, "endpoint": endpoint, **other})


async def test_a_sentence_is_rendered_once_and_then_played_from_the_store(emulator: Emulator) -> None:
    first = await voice(emulator).ready(TEXT)
    again = await voice(emulator).ready(TEXT)
    assert (first.how, again.how, len(emulator.sessions)) == ("rendered", "stored", 1)
    assert first.pcm == again.pcm
    assert abs(first.duration_s - len(speech.synthesize(TEXT, locale="pt-PT", voice="marin")) / 2 / SAMPLE_RATE) < 0.1


async def test_a_reading_is_no_part_of_any_conversation(emulator: Emulator) -> None:
    await voice(emulator).ready(TEXT)
    (asked,) = emulator.sessions[0].journal.of("response.create")
    assert (asked.event["response"]["conversation"], asked.event["response"]["input"]) == ("none", [])


@pytest.mark.parametrize("other", [{"voice": "cedar"}, {"speed": 1.2}, {"model": "gpt-realtime"}])
async def test_another_voice_model_or_speed_is_another_rendering(emulator: Emulator, other: dict[str, Any]) -> None:
    await voice(emulator).ready(TEXT)
    assert (await voice(emulator, **other).ready(TEXT)).how == "rendered"


async def test_the_voice_of_one_endpoint_is_never_played_at_another(emulator: Emulator) -> None:
    await voice(emulator).ready(TEXT)
    async with Emulator() as elsewhere:
        assert (await voice(emulator, base_url=elsewhere.url).ready(TEXT)).how == "rendered"


async def test_a_reading_in_other_words_is_not_kept(transactional_db: None) -> None:
    async with reader_that_says("Olá, sou a Ana.") as url:
        endpoint = Endpoint(base_url=url, api_key="sk-test")
        free_spoken = PlatformVoice(locale="pt-PT", voice="marin", model="gpt-realtime-2.1", speed=1.0, endpoint=endpoint)
        for _ in range(2):
            with pytest.raises(RenderingFailed) as failed:
                await free_spoken.ready(TEXT)
            assert failed.value.why == "other words"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "http", "status": 401},
        {"kind": "refuse", "code": "insufficient_quota"},
        {"kind": "fail", "code": "rate_limit_exceeded"},
        {"kind": "close"},
    ],
)
async def test_a_model_that_cannot_read_it_out_leaves_nothing_behind(emulator: Emulator, fault: dict[str, Any]) -> None:
    emulator.configure(faults=[fault])
    with pytest.raises(RenderingFailed):
        await voice(emulator).ready(TEXT)
    emulator.configure(faults=[])
    assert (await voice(emulator).ready(TEXT)).how == "rendered"


async def test_a_model_that_never_answers_is_not_waited_for(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.voice.RENDERING_S", 0.3)
    emulator.configure(faults=[{"kind": "stall"}])
    with pytest.raises(RenderingFailed):
        await voice(emulator).ready(TEXT)


async def test_without_a_model_a_plain_voice_says_it(emulator: Emulator) -> None:
    recording = await voice(emulator).without_model(TEXT)
    assert (recording.how, len(emulator.sessions)) == ("plain", 0)
    assert recording.duration_s > 2


async def test_without_a_model_a_stored_rendering_is_preferred(emulator: Emulator) -> None:
    await voice(emulator).ready(TEXT)
    assert (await voice(emulator).without_model(TEXT)).how == "stored"


async def test_a_store_that_is_away_does_not_silence_the_platform(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_key: str) -> bytes | None:
        raise OSError("mount point is gone")

    monkeypatch.setattr(openings, "find", away)
    assert (await voice(emulator).without_model(TEXT)).how == "plain"


async def test_the_frames_are_the_whole_sound(emulator: Emulator) -> None:
    recording = await voice(emulator).without_model("Olá.")
    assert b"".join([bytes(frame.data) async for frame in recording.frames()]) == recording.pcm


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Diga «não me liguem mais».", "diga não me liguem mais", True),
        ("Olá, fala a Ana.", "Olá fala a Ana", True),
        ("Fala a assistente.", "Fala o assistente.", False),
        ("É uma IA.", "É uma.", False),
    ],
)
def test_punctuation_and_case_are_not_spoken(one: str, other: str, same: bool) -> None:
    assert same_words(one, other) is same
