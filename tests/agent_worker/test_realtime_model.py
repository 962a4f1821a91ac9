"""The model's connection: what it is told, and what becomes of a call when it breaks."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIError
from livekit.agents.utils import http_context
from yarl import URL

from agent_worker.hearing import Ear
from agent_worker.lines.base import Endpoint
from agent_worker.realtime_emulator import Emulator
from agent_worker.realtime_model import PersonaModel, PersonaRealtimeSession, failure_of
from agent_worker.session import build_agent, build_session
from calls.states import Fault, Reason
from personas.models import PersonaVersion
from tests.agent_worker.waiting import until

VERSION = PersonaVersion(voice="cedar", speed="1.1", locale="pt-BR", reasoning_effort="low", temperature="0.6")
CONFIGURATION, AI = Fault.CONFIGURATION, Fault.AI_PROVIDER


def error_event(code: str, kind: str = "") -> APIError:
    return APIError("OpenAI returned an error", body=SimpleNamespace(code=code, type=kind), retryable=False)


def refused(status: int) -> APIConnectionError:
    request = aiohttp.RequestInfo(URL("ws://x"), "GET", {}, URL("ws://x"))  # type: ignore[arg-type]
    error = APIConnectionError("connection error")
    error.__cause__ = aiohttp.WSServerHandshakeError(request, (), status=status)
    return error


@pytest.mark.parametrize(
    ("error", "was_ready", "reason", "fault"),
    [
        (error_event("invalid_api_key"), False, Reason.ERROR_CONFIGURATION_KEY, CONFIGURATION),
        (error_event("account_deactivated"), True, Reason.ERROR_CONFIGURATION_KEY, CONFIGURATION),
        (error_event("model_not_found"), False, Reason.ERROR_CONFIGURATION_MODEL, CONFIGURATION),
        (error_event("insufficient_quota"), True, Reason.ERROR_AI_QUOTA, AI),
        (error_event("", "insufficient_quota"), True, Reason.ERROR_AI_QUOTA, AI),
        (error_event("credit_balance_exhausted"), True, Reason.ERROR_AI_QUOTA, AI),
        (error_event("rate_limit_exceeded"), True, Reason.ERROR_AI_RATE_LIMITED, AI),
        (refused(401), False, Reason.ERROR_CONFIGURATION_KEY, CONFIGURATION),
        (refused(403), False, Reason.ERROR_CONFIGURATION_KEY, CONFIGURATION),
        (refused(404), False, Reason.ERROR_CONFIGURATION_MODEL, CONFIGURATION),
        (refused(429), False, Reason.ERROR_AI_RATE_LIMITED, AI),
        (refused(503), False, Reason.ERROR_AI_CONNECT, AI),
        (refused(503), True, Reason.ERROR_AI_LOST, AI),
        (error_event("server_error"), True, Reason.ERROR_AI_LOST, AI),
        (None, False, Reason.ERROR_AI_CONNECT, AI),
        (None, True, Reason.ERROR_AI_LOST, AI),
    ],
)
def test_the_error_says_whose_fault_it_is(error: Exception | None, was_ready: bool, reason: Reason, fault: Fault) -> None:
    failure = failure_of(error, was_ready=was_ready)
    assert (failure.reason, failure.fault) == (reason, fault)


class Model:
    """A session of the library on our model, and what the model reported."""

    def __init__(self, emulator: Emulator) -> None:
        self.failures: list[Exception] = []
        self.closed: list[str] = []
        self.errors: list[bool] = []
        endpoint = Endpoint(base_url=emulator.url, api_key="sk-emu-mind.test")
        self.ear = Ear()
        model = PersonaModel(
            VERSION,
            model="gpt-realtime-2.1",
            transcription_model="gpt-4o-mini-transcribe",
            endpoint=endpoint,
            ear=self.ear,
            on_failure=self.failures.append,
        )
        self.session = build_session(model)
        self.session.on("close", lambda event: self.closed.append(event.reason.value))
        self.session.on("error", lambda event: self.errors.append(event.error.recoverable))
        self.agent = build_agent("Fala.", [])

    async def __aenter__(self) -> "Model":
        await self.session.start(self.agent, record=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(5):
            await self.session.aclose()

    @property
    def connection(self) -> PersonaRealtimeSession:
        connection = self.agent.realtime_llm_session
        assert isinstance(connection, PersonaRealtimeSession)
        return connection


@pytest.fixture
async def emulator() -> Any:
    async with Emulator() as emulator, http_context.open():
        yield emulator


async def test_the_model_is_told_all_that_the_persona_says_and_no_temperature(emulator: Emulator) -> None:
    async with Model(emulator):
        await until(lambda: bool(emulator.sessions) and len(emulator.sessions[0].journal.of("session.update")) >= 2)
        told = emulator.sessions[0].journal.of("session.update")[0].event["session"]
    assert told["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "speed": 1.1, "voice": "cedar"}
    heard = told["audio"]["input"]
    assert heard["transcription"] == {"model": "gpt-4o-mini-transcribe", "language": "pt"}
    assert heard["turn_detection"] == {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}
    assert heard["noise_reduction"] == {"type": "near_field"}
    assert told["reasoning"] == {"effort": "low"}
    assert "temperature" not in told


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "refuse", "code": "invalid_api_key"},
        {"kind": "http", "status": 401},
        {"kind": "error", "code": "insufficient_quota", "after_s": 0.3},
    ],
)
async def test_a_fatal_error_is_told_to_the_call_and_leaves_the_session_its_sound(emulator: Emulator, fault: dict[str, Any]) -> None:
    emulator.configure(faults=[fault])
    async with Model(emulator) as model:
        await until(lambda: bool(model.failures))
        assert (model.closed, False in model.errors, len(model.failures)) == ([], False, 1)
    # The library's own close would have raised half-way, and said nothing to anybody.
    assert model.closed == ["user_initiated"]


async def test_what_the_callee_says_while_the_ear_is_held_reaches_the_model_afterwards(emulator: Emulator) -> None:
    async with Model(emulator) as model:
        loud = rtc.AudioFrame(b"\x00\x10\x00\xf0" * 600, 24_000, 1, 1200)
        sent: list[str] = []
        model.connection.on("openai_client_event_queued", lambda event: sent.append(event["type"]))
        model.ear.hold()
        for _ in range(8):
            model.connection.push_audio(loud)
        model.ear.let_go()
        model.connection.push_audio(loud)
        # The model gets a tenth of a second at a time.
        await until(lambda: sent.count("input_audio_buffer.append") == 4)
