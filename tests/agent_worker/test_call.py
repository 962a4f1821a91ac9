"""Whole calls on the sandbox line, and how each of them ends."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone
from livekit.agents import Agent, AgentSession

from agent_worker import caller
from agent_worker.caller import run_call
from agent_worker.lines.base import LineLost
from agent_worker.lines.sandbox import SandboxLine
from calls import cancellation, lifecycle
from calls.exceptions import DialFailed, FailureKind
from calls.gateway import Answer
from calls.models import Call
from contacts.models import Suppression
from personas.models import PersonaVersion
from tests.agent_worker.calling import Caller, dispatched_call, rig_for
from tests.agent_worker.outages import Outage
from tests.agent_worker.waiting import until
from tests.factories import MembershipFactory, published_version

OPENING = "Olá, fala uma assistente de inteligência artificial."
GREETING = "Em que posso ajudar?"
SORRY = "Peço desculpa, tivemos um problema técnico e vou ter de terminar a chamada. Agradeço a sua paciência."
GOODBYE = {"assistant": "Obrigada e até breve!", "tool": {"name": "end_call", "arguments": {"reason": "goodbye"}}}


@pytest.fixture
def version(transactional_db: None) -> PersonaVersion:
    organization = MembershipFactory(organization__name="Casa Azul").organization
    return published_version(organization=organization, slug="restaurante", transfer_number="+351210000001")


@pytest.fixture
def call(version: PersonaVersion) -> Call:
    return dispatched_call(version, opening=OPENING)


async def stays(callee: Caller) -> None:
    await callee.stay()


def how(call: Call) -> tuple[str, str, str, str]:
    return call.outcome, call.ended_reason, call.ended_by, call.fault


async def test_a_call_goes_from_the_opening_to_the_goodbye(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.listen()
        await callee.say("A que horas abrem?")
        await callee.listen()
        await callee.say("Obrigado, adeus!")
        await callee.stay()

    async with rig_for(call, {"turns": [{"assistant": GREETING}, {"assistant": "Às nove da manhã."}, GOODBYE]}) as rig:
        ended = await rig.run(does)
        assert how(ended) == ("answered", "assistant.end_call", "assistant", "none")
        assert await rig.events() == ["queued", "dispatched", "dialing", "ringing", "in_progress", "ended"]
        assert await rig.said() == [
            ("assistant", OPENING),
            ("assistant", GREETING),
            ("user", "A que horas abrem?"),
            ("assistant", "Às nove da manhã."),
            ("user", "Obrigado, adeus!"),
            ("assistant", "Obrigada e até breve!"),
            ("tool", "end_call"),
        ]
        assert [turn.is_opening for turn in await rig.turns()] == [True, False, False, False, False, False, False]
        assert (ended.opening_heard_to_end, ended.latency["count"]) == (True, 2)
        assert ended.usage["model"]["output_audio_tokens"] > 0
        assert ended.usage["transcription"]["input_audio_tokens"] > 0


async def test_a_job_with_another_claim_ends_quietly(call: Call) -> None:
    async with rig_for(call) as rig:
        rig.call.claim = "somebody else's"
        left = await rig.run(stays)
        assert (left.status, rig.emulator.sessions) == ("dispatched", [])


class QuietLine(SandboxLine):
    """Knows how often it was asked to dial, and whether it was closed."""

    dials = closings = 0

    async def dial(self, call: Call) -> Answer:
        self.dials += 1
        return await super().dial(call)

    async def hang_up(self) -> None:
        self.closings += 1
        await super().hang_up()


async def test_a_call_that_cannot_be_claimed_is_left_to_the_queue_and_nobody_is_dialled(
    call: Call, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "CLAIMED_WITHIN_S", 0.3)
    async with rig_for(call) as rig:
        line = rig.make_line(stays, QuietLine)
        outage.away = True
        await run_call(call_id=str(call.pk), claim=call.claim, line=line, worker="job:test")
        outage.away = False
        assert isinstance(line, QuietLine)
        # Nor is the room deleted: whose it is, nobody can say now.
        assert (line.dials, line.closings, rig.emulator.sessions) == (0, 0, [])
        assert (await rig.ended()).status == "dispatched"


async def test_a_job_that_is_dispatched_to_a_room_where_people_talk_leaves_them_alone(call: Call) -> None:
    """A LiveKit that restarts dispatches anew to every room that it finds."""
    async with rig_for(call) as rig:
        first = await sync_to_async(lifecycle.claim_for_dial)(call_id=call.pk, claim=call.claim, by="job:1", worker="job:1")
        assert first is not None
        line = rig.make_line(stays, QuietLine)
        assert isinstance(line, QuietLine)
        assert (await rig.run_on(line)).status == "dialing"
        assert (line.dials, line.closings) == (0, 0)


async def test_the_room_of_a_call_that_was_canceled_before_the_dial_is_closed(call: Call) -> None:
    await Call.objects.filter(pk=call.pk).aupdate(cancel_requested_at=timezone.now(), cancel_reason="api.canceled")
    async with rig_for(call) as rig:
        line = rig.make_line(stays, QuietLine)
        assert isinstance(line, QuietLine)
        assert how(await rig.run_on(line)) == ("canceled", "api.canceled", "client", "none")
        assert (line.dials, line.closings) == (0, 1)


async def test_a_database_that_is_back_in_a_moment_is_waited_for_with_the_claim(
    call: Call, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_worker.lines.sandbox.RINGS_S", 0.0)
    async with rig_for(call) as rig:
        outage.away = True
        running = asyncio.create_task(rig.run(hangs_up))
        await until(lambda: outage.failed >= 1)
        outage.away = False
        assert (await running).outcome == "answered"


async def hangs_up(callee: Caller) -> None:
    await callee.handset.heard_something()


async def test_a_claim_whose_commit_was_not_confirmed_is_this_jobs_claim(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    claim_for_dial, tries = caller.claim_for_dial, []

    def committed_and_lost(**names: Any) -> Call | None:
        taken = claim_for_dial(**names)
        tries.append(taken)
        if len(tries) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return taken

    monkeypatch.setattr(caller, "claim_for_dial", committed_and_lost)
    async with rig_for(call) as rig:
        ended = await rig.run(hangs_up)
        assert (len(tries), tries[1], ended.outcome) == (2, None, "answered")
        assert (await rig.events()).count("dialing") == 1


async def test_a_callee_who_hangs_up_in_mid_sentence_leaves_what_they_heard(call: Call) -> None:
    long = "Temos bacalhau à Brás, polvo à lagareiro, robalo grelhado, arroz de marisco e ainda uma sopa de peixe muito boa."

    async def does(callee: Caller) -> None:
        await callee.handset.heard_something()
        await asyncio.sleep(rig.seconds_of(OPENING) + 2)  # there is no gap between the opening and what follows

    async with rig_for(call, {"turns": [{"assistant": long}]}) as rig:
        ended = await rig.run(does)
        assert how(ended) == ("answered", "callee.hangup", "callee", "none")
        opening, greeting = await rig.turns()
        assert (opening.text, opening.interrupted, greeting.interrupted) == (OPENING, False, True)
        assert long.startswith(greeting.text)
        assert 0 < len(greeting.text) < len(long)


class BusyLine(SandboxLine):
    async def dial(self, call: Call) -> Answer:
        self.rings()
        raise DialFailed(FailureKind.SIP, sip_status_code=486, sip_status="Busy Here")


class LostLine(SandboxLine):
    async def attach(self, session: AgentSession[Any], agent: Agent) -> None:
        raise LineLost


async def test_a_busy_callee_is_not_called_again(call: Call) -> None:
    async with rig_for(call) as rig:
        ended = await rig.run(stays, kind=BusyLine)
        assert how(ended) == ("busy", "dial.busy", "callee", "none")
        assert (ended.sip_status_code, ended.sip_status, ended.retryable) == (486, "Busy Here", True)


async def test_a_line_without_sound_is_our_fault_and_nobody_is_kept_waiting(call: Call) -> None:
    async with rig_for(call) as rig:
        assert how(await rig.run(stays, kind=LostLine)) == ("failed", "error.platform.internal", "platform", "platform")


async def test_a_dial_that_failed_because_the_call_was_canceled_was_canceled(call: Call) -> None:
    await Call.objects.filter(pk=call.pk).aupdate(expires_at=timezone.now() + timedelta(minutes=5))

    class CanceledLine(SandboxLine):
        async def dial(self, call: Call) -> Answer:
            await Call.objects.filter(pk=call.pk).aupdate(cancel_requested_at=timezone.now(), cancel_reason="api.canceled")
            raise DialFailed(FailureKind.ROOM_GONE)

    async with rig_for(call) as rig:
        assert how(await rig.run(stays, kind=CanceledLine)) == ("canceled", "api.canceled", "client", "none")


async def test_without_a_key_for_the_model_nobodys_phone_rings(call: Call) -> None:
    async with rig_for(call) as rig:
        rig.key = ""
        ended = await rig.run(stays)
        assert how(ended) == ("failed", "error.configuration.key", "platform", "configuration")
        assert "ringing" not in await rig.events()


@pytest.mark.parametrize(
    ("fault", "reason", "whose"),
    [
        ({"kind": "http", "status": 401}, "error.configuration.key", "configuration"),
        ({"kind": "http", "status": 429}, "error.ai.rate_limited", "ai_provider"),
        ({"kind": "http", "status": 503}, "error.ai.connect", "ai_provider"),
        ({"kind": "refuse", "code": "invalid_api_key"}, "error.configuration.key", "configuration"),
        ({"kind": "refuse", "code": "insufficient_quota"}, "error.ai.quota", "ai_provider"),
    ],
)
async def test_a_model_that_cannot_be_had_stops_the_ringing(
    call: Call, fault: dict[str, Any], reason: str, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_worker.lines.sandbox.RINGS_S", 20)
    async with rig_for(call, faults=[fault]) as rig:
        ended = await rig.run(stays)
        assert how(ended) == ("failed", reason, "platform", whose)
        assert "in_progress" not in await rig.events()


async def test_a_persona_that_makes_no_prompt_is_the_fault_of_its_configuration(call: Call) -> None:
    await sync_to_async(PersonaVersion.objects.update)(instructions="{{ prato }}")
    async with rig_for(call) as rig:
        ended = await rig.run(stays)
        assert how(ended) == ("failed", "error.configuration.persona", "platform", "configuration")
        assert (ended.answered_at, rig.emulator.sessions) == (None, [])


async def test_a_model_that_fails_after_the_answer_is_apologised_for(call: Call) -> None:
    faults = [{"kind": "error", "code": "insufficient_quota", "after_s": 6}]
    async with rig_for(call, faults=faults) as rig:
        ended = await rig.run(stays)
        assert how(ended) == ("answered", "error.ai.quota", "platform", "ai_provider")
        assert (await rig.said())[-1] == ("assistant", SORRY)


async def test_a_model_that_accepts_and_then_closes_for_ever_is_given_up(call: Call) -> None:
    async with rig_for(call, faults=[{"kind": "close"}]) as rig:
        ended = await rig.run(stays)
        assert ended.ended_reason == "error.ai.connect"
        assert len(rig.emulator.sessions) < 20


async def test_a_model_that_never_answers_is_given_up(call: Call) -> None:
    async with rig_for(call, faults=[{"kind": "stall"}]) as rig:
        rig.impatient(greeting_s=0.5, answer_s=0.5)
        ended = await rig.run(stays)
        assert how(ended) == ("answered", "error.ai.lost", "platform", "ai_provider")


async def test_a_callee_who_stays_silent_is_asked_once_and_then_left(call: Call) -> None:
    turns = [{"assistant": GREETING}, {"assistant": "Está a ouvir-me?"}, {"assistant": "Então até outra altura."}]
    async with rig_for(call, {"turns": turns}) as rig:
        rig.impatient(silence_s=1.0, goodbye_s=1.0)
        ended = await rig.run(stays)
        assert how(ended) == ("answered", "limit.silence", "platform", "none")
        assert [text for _, text in await rig.said()] == [OPENING, GREETING, "Está a ouvir-me?", "Então até outra altura."]


async def test_silence_is_nobodys_while_the_line_is_away(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.listen()
        assert rig.line is not None
        rig.line.is_away(True)
        await asyncio.sleep(3)
        rig.line.is_away(False)

    async with rig_for(call, {"turns": [{"assistant": GREETING}, {"assistant": "Está a ouvir-me?"}]}) as rig:
        rig.impatient(silence_s=2.0)
        ended = await rig.run(does)
        assert how(ended) == ("answered", "callee.hangup", "callee", "none")
        assert [text for _, text in await rig.said()] == [OPENING, GREETING]


async def test_the_end_of_the_time_is_announced_and_then_it_ends(version: PersonaVersion) -> None:
    call = await sync_to_async(dispatched_call)(version, opening=OPENING, max_duration_s=30)
    turns = [{"assistant": GREETING}, {"assistant": "Temos de terminar."}]
    async with rig_for(call, {"turns": turns}) as rig:
        rig.impatient(announce_before_end_s=14.0, silence_s=60.0)
        ended = await rig.run(stays)
        assert how(ended) == ("answered", "limit.max_duration", "platform", "none")
        assert (await rig.said())[2] == ("assistant", "Temos de terminar.")
        assert 29 <= (ended.duration_s or 0) <= 32


async def test_the_nine_takes_the_number_off_and_says_so(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.handset.heard_something()
        callee.handset.press("1")
        callee.handset.press("9")
        await callee.stay()

    async with rig_for(call) as rig:
        ended = await rig.run(does)
        assert how(ended) == ("answered", "callee.requested_opt_out", "callee", "none")
        assert (await rig.said())[-1] == ("assistant", "O seu número foi retirado e não voltará a ser contactado. Boa continuação.")
        suppression = await Suppression.objects.aget()
        assert (suppression.number_index, suppression.reason, suppression.simulated) == (call.number_index, "key_pressed", True)
        digits = await sync_to_async(lambda: [each.facts["digit"] for each in call.events.filter(kind="digit")])()
        assert digits == ["1", "9"]
        assert ended.opening_heard_to_end is False


async def cancel(call: Call) -> None:
    await sync_to_async(lambda: cancellation.cancel(call=Call.objects.get(pk=call.pk), by="user:1", reason="staff.canceled"))()


async def test_a_call_canceled_while_it_rings_is_not_answered_any_more(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.lines.sandbox.RINGS_S", 20)
    async with rig_for(call) as rig:
        running = asyncio.create_task(rig.run(stays))
        await until(lambda: bool(rig.emulator.sessions), within_s=10)
        await cancel(call)
        assert how(await running) == ("canceled", "staff.canceled", "staff", "none")


async def test_a_call_canceled_in_conversation_was_answered(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.handset.heard_something()
        await cancel(call)
        await callee.stay()

    async with rig_for(call) as rig:
        assert how(await rig.run(does)) == ("answered", "staff.canceled", "staff", "none")


async def test_a_call_that_another_took_is_let_go_without_a_word(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.handset.heard_something()
        await Call.objects.filter(pk=call.pk).aupdate(claim="another")
        await callee.stay()

    async with rig_for(call) as rig:
        left = await rig.run(does)
        assert (left.status, left.claim) == ("in_progress", "another")


async def test_a_job_that_is_cancelled_still_ends_its_call(call: Call) -> None:
    async with rig_for(call) as rig:
        running = asyncio.create_task(rig.run(stays))
        await until(lambda: rig.line is not None and bool(rig.emulator.sessions), within_s=10)
        await asyncio.sleep(2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert how(await rig.ended()) == ("answered", "error.platform.worker_lost", "platform", "platform")
        assert SORRY not in [text for _, text in await rig.said()]


async def test_a_job_whose_every_task_is_cancelled_still_lets_the_callee_go_and_writes_the_end(call: Call) -> None:
    """As livekit-agents does in a job process whose worker is gone."""
    heard = asyncio.Event()

    async def does(callee: Caller) -> None:
        await callee.listen()
        heard.set()
        await callee.stay()

    async with rig_for(call, {"turns": [{"assistant": GREETING}]}) as rig:
        before = asyncio.all_tasks()
        running = asyncio.create_task(rig.run(does, kind=QuietLine))
        await asyncio.wait_for(heard.wait(), 20)
        began = asyncio.get_running_loop().time()
        for task in asyncio.all_tasks() - before:
            if not task.get_name().startswith("callee of"):  # who is elsewhere
                task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert asyncio.get_running_loop().time() - began < 8
        assert how(await rig.ended()) == ("answered", "error.platform.worker_lost", "platform", "platform")
        assert await rig.said() == [("assistant", OPENING), ("assistant", GREETING)]
