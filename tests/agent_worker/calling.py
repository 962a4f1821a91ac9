"""Whole calls on the sandbox line: real rows, the real session, the emulator as the model, and a callee that a test tells what to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from asgiref.sync import sync_to_async
from django.utils import timezone

from agent_worker.caller import run_call
from agent_worker.job_context import job_without_a_worker
from agent_worker.lines.base import Endpoint
from agent_worker.lines.sandbox import Callee, Handset, SandboxLine
from agent_worker.realtime_emulator import Emulator, speech
from agent_worker.watchdogs import Patience
from calls import lifecycle
from calls.models import Call, LineKind, Turn
from calls.requests import CallOrder, ConsentClaim, Requester, request_call
from personas.models import PersonaVersion
from tests.numbers import pt_mobile

Does = Callable[["Caller"], Awaitable[None]]


class Caller:
    """The callee of a test: speaks sentences, and waits for the persona."""

    def __init__(self, handset: Handset, emulator: Emulator, key: str) -> None:
        self.handset, self._emulator, self._key = handset, emulator, key

    async def say(self, sentence: str) -> None:
        self._emulator.declare(sentence, key=self._key)
        await self.handset.speak(await speech.speak(sentence, locale="pt-PT", voice="caller", max_pause_ms=150))

    async def listen(self, quiet_s: float = 0.6) -> None:
        """Until the persona has spoken, and is silent."""
        await self.handset.heard_something()
        await self.handset.heard_nothing_for(quiet_s)

    async def stay(self) -> None:
        """On the line, for as long as it is there."""
        await asyncio.Event().wait()


class Person(Callee):
    def __init__(self, does: Does, emulator: Emulator, key: str) -> None:
        self._does, self._emulator, self._key = does, emulator, key

    async def converse(self, handset: Handset) -> None:
        await self._does(Caller(handset, self._emulator, self._key))


@dataclass
class Rig:
    """One call that waits to be run, and what it is run with."""

    call: Call
    emulator: Emulator
    key: str
    patience: Patience = field(default_factory=Patience)
    line: SandboxLine | None = None

    def impatient(self, **patience: float) -> None:
        self.patience = replace(self.patience, **patience)  # type: ignore[arg-type]

    def make_line(self, does: Does, kind: type[SandboxLine] = SandboxLine, **options: Any) -> SandboxLine:
        self.line = kind(Person(does, self.emulator, self.key), **options)
        return self.line

    async def run(self, does: Does, *, within_s: float = 60, **options: Any) -> Call:
        """Run the call with a callee that `does` this; returns the call as it ended."""
        return await self.run_on(self.make_line(does, **options), within_s=within_s)

    async def run_on(self, line: SandboxLine, *, within_s: float = 60) -> Call:
        endpoint = Endpoint(base_url=self.emulator.url, api_key=self.key, simulated=True)
        async with asyncio.timeout(within_s), job_without_a_worker(self.call):
            await run_call(
                call_id=str(self.call.pk), claim=self.call.claim, line=line, worker="job:test", endpoint=endpoint, patience=self.patience
            )
        return await self.ended()

    def seconds_of(self, text: str) -> float:
        """How long the persona speaks that."""
        version = self.call.persona_version
        return len(speech.synthesize(text, locale=version.locale, voice=version.voice)) / speech.SAMPLE_RATE / 2

    async def ended(self) -> Call:
        return await sync_to_async(Call.objects.get)(pk=self.call.pk)

    async def turns(self) -> list[Turn]:
        return await sync_to_async(lambda: list(self.call.turns.all()))()

    async def said(self) -> list[tuple[str, str]]:
        return [(turn.role, turn.tool or turn.text) for turn in await self.turns()]

    async def events(self, kind: str = "status") -> list[str]:
        return await sync_to_async(lambda: [each.new or each.why for each in self.call.events.filter(kind=kind)])()


def dispatched_call(version: PersonaVersion, *, line: LineKind = LineKind.SANDBOX, opening: str = "", **order: Any) -> Call:
    """A call that was asked for and given to a job. `opening`: a shorter one than the platform's, where the test is about what follows."""
    organization = version.persona.organization
    requester = Requester(user=organization.memberships.get().user, channel="api")
    consent = ConsentClaim(purpose="transactional", basis="contact form", obtained_at=timezone.now(), text_version="2026-11")
    asked = CallOrder(**{"phone_number": pt_mobile(1), "persona": version.slug, "line": line, "consent": consent, **order})
    call = request_call(organization=organization, by=requester, order=asked).call
    if opening:
        call.opening_text = opening
        call.save(update_fields=["opening_text"])
    assert lifecycle.claim_for_dispatch(call, by="dialer")
    # Whole: a test cannot read on from within its event loop.
    return Call.objects.select_related("persona_version", "organization").get(pk=call.pk)


@asynccontextmanager
async def rig_for(call: Call, script: dict[str, Any] | None = None, faults: list[dict[str, Any]] | None = None) -> AsyncIterator[Rig]:
    key = f"sk-emu-mind.{call.pk}"
    async with Emulator() as emulator:
        emulator.configure(key=key, script=script, faults=faults)
        yield Rig(call, emulator, key)
