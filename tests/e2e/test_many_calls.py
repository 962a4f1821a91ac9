"""Many requests, many calls, and a worker that is told to go."""

import asyncio
import itertools
import os
import signal

import pytest

from agent_worker.realtime_emulator.ear import INAUDIBLE

from .rig import PACE_S, Conversation, Rig

GREETING = "Quer marcar mesa ou saber alguma coisa da casa?"
SAYS_GOODBYE = {
    "assistant": "Obrigada pelo seu tempo. Boa continuação!",
    "tool": {"name": "end_call", "arguments": {"reason": "goodbye"}},
}
GOODBYE = "É tudo, obrigado."
ASKS_AT_MOST = 12
# What ten callees ask, and how the fact begins that answers it.
ASKED = {
    "Têm esplanada?": "Há esplanada com doze mesas",
    "Têm estacionamento?": "Não temos estacionamento próprio",
    "Fazem entregas ao domicílio?": "Fazemos comida para fora",
    "Quanto é a taxa de rolha?": "Pode trazer o seu vinho",
    "Têm vales de oferta?": "Há vales de oferta",
    "Há música ao vivo?": "Há fado ao vivo",
    "Quando fecham para férias?": "Fechamos para férias",
    "Quanto custa o couvert?": "O couvert, de pão",
    "Que sobremesas têm?": "Há leite-creme",
    "Têm pratos vegetarianos?": "Há açorda de cogumelos",
}


async def test_fifty_requests_for_one_number_are_one_call(rig: Rig, number: str) -> None:
    phone = rig.network.phone(number).answers().hangs_up(after_s=2)
    body = {"phone_number": number, "persona": "restaurante"}
    answers = await asyncio.gather(*(rig.request("POST", "/api/start_call", json=body) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 49
    accepted = next(answer.json() for answer in answers if answer.status_code == 202)
    assert (await rig.ended(accepted["id"]))["outcome"] == "answered"
    assert phone.rings == 1


async def whole_call(talk: Conversation, question: str, fact: str, *, all_are_there: asyncio.Event) -> None:
    """Ask until it was answered, on a line that may bring words in pieces, and until all others are in their calls too."""
    await talk.until_turns(lambda turns: len(turns) >= len(("opening", "greeting")))
    await talk.phone.silence(500, within_s=PACE_S)
    for _ in range(ASKS_AT_MOST):
        await talk.listens(since=await talk.says(question), within_s=PACE_S)
        if all_are_there.is_set() and fact in " ".join(await talk.said("assistant")):
            break
    await talk.says(GOODBYE)
    await talk.phone.hung_up(within_s=PACE_S)


@pytest.mark.timeout(300)
async def test_ten_calls_at_once_have_ten_right_transcripts(rig: Rig, numbers: list[str]) -> None:
    # The mind answers each from the facts; a persona that asks whether somebody is there, on a busy machine, does not confuse it.
    talks = [rig.conversation(number) for number in numbers]
    all_are_there = asyncio.Event()
    async with asyncio.TaskGroup() as callees:
        # One begins when the one before is heard: two cores carry ten calls, and cannot begin them in one moment.
        for talk, asked in zip(talks, ASKED.items(), strict=True):
            talk.phone.answers()
            await talk.start()
            await talk.phone.heard_speech(since=await talk.phone.answered(within_s=PACE_S), within_s=PACE_S)
            callees.create_task(whole_call(talk, *asked, all_are_there=all_are_there))
        all_are_there.set()
    for talk, (question, fact) in zip(talks, ASKED.items(), strict=True):
        call = await talk.ended()
        assert (call["outcome"], call["ended_reason"], talk.phone.rings) == ("answered", "assistant.end_call", 1), talk.phone.story()
        turns = await talk.turns()
        # A sentence that a busy machine brings in pieces has its words in the first of them.
        heard = [turn["text"] for turn in turns if turn["role"] == "user" and turn["text"] != INAUDIBLE]
        assert [text for text, _ in itertools.groupby(heard)] == [question, GOODBYE]
        found = [turn["text"] for turn in turns if turn["tool"] == "lookup_information"]
        assert {text.startswith(fact) for text in found} == {True}, found
        spoken = " ".join(turn["text"] for turn in turns if turn["role"] == "assistant")
        assert [each for each in ASKED.values() if each in spoken] == [fact]
    ends = [happening.at for talk in talks for happening in talk.phone.timeline if happening.what == "bye_received"]
    assert max([await talk.phone.answered() for talk in talks]) < min(ends)  # all ten at once


async def test_a_call_that_is_cancelled_on_its_way_rings_nowhere_after_it_ended(rig: Rig, numbers: list[str]) -> None:
    """Each is cancelled a little later than the one before: in the queue, on the way to the agent, about to dial, ringing."""
    talks = [rig.conversation(number) for number in numbers]

    async def cancelled(talk: Conversation, after_s: float) -> int:
        talk.phone.rings_out()
        await talk.start()
        await asyncio.sleep(after_s)
        await talk.cancel()
        call = await talk.ended()
        assert (call["outcome"], call["ended_reason"]) == ("canceled", "api.canceled")
        return talk.phone.rings

    at_the_end = await asyncio.gather(*(cancelled(talk, number * 0.08) for number, talk in enumerate(talks)))
    await asyncio.sleep(3)  # the time in which a job that overslept the cancel would dial
    assert [talk.phone.rings for talk in talks] == at_the_end
    assert all("canceled" in talk.phone.happenings for talk in talks if talk.phone.rings)


async def test_a_worker_that_is_told_to_go_ends_its_call_first(rig: Rig, number: str) -> None:
    talk = rig.conversation(number, turns=[{"assistant": GREETING}, SAYS_GOODBYE])
    talk.phone.answers()
    await talk.start()
    await talk.greeted()
    agent = rig.product.agent
    assert agent is not None
    os.kill(agent.pid, signal.SIGTERM)
    await talk.says(GOODBYE)
    await talk.phone.hung_up()
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"]) == ("answered", "assistant.end_call")
    assert await asyncio.to_thread(agent.popen.wait, 30) == 0
    await rig.restart_agent()
