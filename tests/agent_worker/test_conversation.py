"""What becomes of a conversation when its model stumbles, in whole calls on the sandbox line."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from agent_worker import backlog, caller, spool
from calls.models import Call
from tests.agent_worker.calling import Caller, Rig, dispatched_call, rig_for
from tests.agent_worker.outages import Outage
from tests.agent_worker.waiting import until
from tests.factories import MembershipFactory, published_version

GREETING = {"assistant": "Em que posso ajudar?"}
LONG = "Temos bacalhau à Brás, polvo à lagareiro, robalo grelhado, arroz de marisco e ainda uma sopa de peixe muito boa."
GOODBYE = {"assistant": "Obrigada e até breve!", "tool": {"name": "end_call", "arguments": {"reason": "goodbye"}}}


@pytest.fixture
def call(transactional_db: None) -> Call:
    version = published_version(organization=MembershipFactory(organization__name="Casa Azul").organization, slug="restaurante")
    return dispatched_call(version, opening="Olá.")


def says(*sentences: str) -> Any:
    async def does(callee: Caller) -> None:
        for sentence in sentences:
            await callee.listen()
            await callee.say(sentence)
        await callee.stay()

    return does


def talk_of(rig: Rig) -> list[Any]:
    """The model's sessions of the conversation itself, not those that read sentences out."""
    return [session for session in rig.emulator.find(key=rig.key) if session.instructions]


async def test_a_connection_that_drops_in_mid_sentence_is_taken_up_again(call: Call) -> None:
    turns = [GREETING, {"assistant": LONG}, {"assistant": "Como dizia, temos polvo."}, GOODBYE]
    faults = [{"kind": "drop", "response": 3, "after_audio_ms": 1500, "times": 1}]
    async with rig_for(call, {"turns": turns}, faults=faults) as rig:

        async def does(callee: Caller) -> None:
            await callee.listen()
            await callee.say("O que têm?")
            await until(lambda: len(talk_of(rig)) == 2, within_s=20)
            await callee.listen(1.5)
            await callee.say("Obrigado, adeus.")
            await callee.stay()

        ended = await rig.run(does)
        assert (ended.outcome, ended.ended_reason) == ("answered", "assistant.end_call")
        said = [(turn.text, turn.interrupted) for turn in await rig.turns() if turn.role == "assistant"]
        assert said[2][1] is True
        assert LONG.startswith(said[2][0].rstrip("… "))
        assert said[3] == ("Como dizia, temos polvo.", False)


async def test_a_rate_limit_that_costs_an_answer_is_asked_again(call: Call) -> None:
    faults = [{"kind": "fail", "code": "rate_limit_exceeded", "response": 3, "times": 1}]
    async with rig_for(call, {"turns": [GREETING, {"assistant": "Às nove."}, GOODBYE]}, faults=faults) as rig:
        ended = await rig.run(says("A que horas abrem?", "Obrigado."))
        assert ended.ended_reason == "assistant.end_call"
        failed = [each for each in talk_of(rig)[0].journal.of("response.done", "server") if each.event["response"]["status"] == "failed"]
        assert len(failed) == 1
        # The failed response had taken its line of the script.
        assert [text for role, text in await rig.said() if role == "assistant"][-1] == GOODBYE["assistant"]


async def test_a_model_that_is_over_its_limit_for_good_is_given_up(call: Call) -> None:
    async with rig_for(call, faults=[{"kind": "fail", "code": "rate_limit_exceeded"}]) as rig:
        rig.impatient(greeting_s=0.2, answer_s=0.3, nudges=9)
        ended = await rig.run(says())
        assert (ended.outcome, ended.ended_reason, ended.fault) == ("answered", "error.ai.rate_limited", "ai_provider")


async def test_what_could_not_be_transcribed_was_said_all_the_same(call: Call) -> None:
    faults = [{"kind": "transcription_failed", "turn": 1}]
    async with rig_for(call, {"turns": [GREETING, GOODBYE]}, faults=faults) as rig:
        await rig.run(says("Mnhm."))
        assert [text for role, text in await rig.said() if role == "user"] == ["[…]"]


async def test_the_last_words_of_a_callee_who_hangs_up_at_once_are_kept(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.listen()
        await callee.say("Não quero nada, adeus.")

    async with rig_for(call, {"turns": [GREETING]}) as rig:
        ended = await rig.run(does)
        assert ended.ended_reason == "callee.hangup"
        assert [text for role, text in await rig.said() if role == "user"] == ["Não quero nada, adeus."]


async def test_a_callee_who_interrupts_is_heard_and_the_cut_stands_in_the_transcript(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.listen()
        await callee.say("O que têm?")
        await callee.handset.heard_something()
        await asyncio.sleep(1.5)
        await callee.say("Desculpe, e sobremesas?")
        await callee.listen()
        await callee.say("Obrigado.")
        await callee.stay()

    async with rig_for(call, {"turns": [GREETING, {"assistant": LONG}, {"assistant": "Temos pudim."}, GOODBYE]}) as rig:
        await rig.run(does)
        turns = [(turn.role, turn.text, turn.interrupted) for turn in await rig.turns() if turn.role != "tool"]
        (cut,) = [turn for turn in turns if turn[2]]
        assert LONG.startswith(cut[1])
        assert len(cut[1]) < len(LONG)
        after = turns[turns.index(cut) + 1 :]
        assert [text for _, text, _ in after] == ["Desculpe, e sobremesas?", "Temos pudim.", "Obrigado.", GOODBYE["assistant"]]


async def test_a_call_that_ends_while_the_database_is_away_is_written_when_it_is_back(
    call: Call, monkeypatch: pytest.MonkeyPatch, outage: Outage, spool_folder: Path
) -> None:
    monkeypatch.setattr(caller, "CLOSED_WITHIN_S", 0.5)

    async def does(callee: Caller) -> None:
        await callee.handset.heard_something()
        outage.away = True
        await callee.listen()

    async with rig_for(call, {"turns": [GREETING]}) as rig:
        line = rig.make_line(does)
        with pytest.raises(OperationalError):
            # The rig reads the call; the call itself ended without an exception, and left all it knew on disk.
            await rig.run_on(line)
        outage.away = False
        assert ([kept.suffix for kept in spool.waiting()], await backlog.replay()) == ([".spool"], 1)
        ended = await rig.ended()
        assert (ended.status, ended.outcome, ended.ended_reason) == ("ended", "answered", "callee.hangup")
        assert ended.answered_at is not None
        assert await rig.said() == [("assistant", "Olá."), ("assistant", "Em que posso ajudar?")]


async def test_what_is_said_while_the_database_is_away_is_on_disk_while_the_call_goes_on(
    call: Call, outage: Outage, spool_folder: Path
) -> None:
    seen: list[int] = []

    async def does(callee: Caller) -> None:
        await callee.handset.heard_something()
        outage.away = True
        await callee.listen()
        await until(lambda: spool_folder.exists() and list(spool_folder.glob("*.spool")) != [])
        outage.away = False
        await until(lambda: list(spool_folder.iterdir()) == [])
        seen.append(await call.turns.acount())

    async with rig_for(call, {"turns": [GREETING]}) as rig:
        ended = await rig.run(does)
        assert (ended.status, ended.outcome, ended.ended_reason) == ("ended", "answered", "callee.hangup")
        assert seen == [2]
        assert (await rig.events())[-2:] == ["in_progress", "ended"]
