"""What claims sandbox calls: how many, on whose model, and what it does when one of them breaks."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agent_worker import sandbox_runner
from agent_worker.realtime_emulator import Emulator
from agent_worker.sandbox_runner import SandboxRunner
from calls.models import Call, CallEvent, LineKind
from calls.requests import CallOrder, ConsentClaim, Requester, request_call
from personas.models import PersonaVersion
from tests.agent_worker.waiting import until
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ask(persona_version: PersonaVersion) -> Callable[[int], Call]:
    """Ask for the sandbox call number n."""

    def ask(number: int) -> Call:
        consent = ConsentClaim(purpose="transactional", basis="contact form", obtained_at=timezone.now(), text_version="2026-11")
        order = CallOrder(phone_number=pt_mobile(number), persona=persona_version.slug, line=LineKind.SANDBOX, consent=consent)
        return request_call(organization=persona_version.persona.organization, by=Requester(user=None), order=order).call

    return ask


class Calls:
    """In the place of `run_call`: calls that last until they are told to end. What is tried here is who is let in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[dict[str, Any]] = []
        self.end = asyncio.Event()
        self.broken: Exception | None = None
        monkeypatch.setattr(sandbox_runner, "run_call", self._run)

    async def _run(self, **told: Any) -> None:
        self.begun.append(told)
        if self.broken is not None:
            raise self.broken
        await self.end.wait()


async def events(call: Call, kind: str) -> list[tuple[str, dict[str, Any]]]:
    return [(event.why, event.facts) async for event in CallEvent.objects.filter(call=call, kind=kind)]


async def test_calls_beyond_the_places_wait_for_one(monkeypatch: pytest.MonkeyPatch, ask: Callable[[int], Call]) -> None:
    calls = Calls(monkeypatch)
    for number in range(3):
        await sync_to_async(ask)(number)
    runner = SandboxRunner(worker="agent:test", max_calls=2, emulator=None)
    assert await runner.take_what_waits()
    assert not await runner.take_what_waits()
    await until(lambda: len(calls.begun) == 2)
    assert runner.active == 2
    calls.end.set()
    await until(lambda: runner.active == 0)
    assert await runner.take_what_waits()
    await until(lambda: len(calls.begun) == 3)
    assert await runner.drain(timeout_s=5)
    assert not await runner.take_what_waits()


async def test_with_a_key_the_real_service_answers_and_the_timeline_says_so(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[int], Call]
) -> None:
    calls = Calls(monkeypatch)
    calls.end.set()
    call = await sync_to_async(ask)(1)
    runner = SandboxRunner(worker="agent:test", max_calls=1, emulator=None)
    await runner.take_what_waits()
    assert await runner.drain(timeout_s=5)
    assert [told["endpoint"] for told in calls.begun] == [None]
    assert await events(call, "model") == [("service", {"host": "api.openai.com"})]


async def test_without_a_key_each_call_has_its_own_session_at_the_emulator(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[int], Call]
) -> None:
    calls = Calls(monkeypatch)
    calls.end.set()
    call = await sync_to_async(ask)(1)
    async with Emulator() as emulator:
        runner = SandboxRunner(worker="agent:test", max_calls=1, emulator=emulator)
        await runner.take_what_waits()
        assert await runner.drain(timeout_s=5)
        ((endpoint),) = [told["endpoint"] for told in calls.begun]
        assert (endpoint.base_url, endpoint.api_key, endpoint.simulated) == (emulator.url, f"sk-emu-mind.{call.pk}", True)
    assert await events(call, "model") == [("script", {})]


async def test_a_call_that_breaks_is_told_and_gives_its_place_back(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[int], Call], caplog: pytest.LogCaptureFixture
) -> None:
    calls = Calls(monkeypatch)
    calls.broken = ValueError("a mistake of ours")
    await sync_to_async(ask)(1)
    runner = SandboxRunner(worker="agent:test", max_calls=1, emulator=None)
    await runner.take_what_waits()
    await until(lambda: runner.active == 0)
    told = [dict(record.msg) for record in caplog.records if record.name == "agent_worker.sandbox_runner"]  # type: ignore[arg-type]
    assert [(line["event"], line["exc_info"]) for line in told] == [("sandbox call broke", calls.broken)]
