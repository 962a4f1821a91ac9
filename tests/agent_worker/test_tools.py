"""What the persona does beside speaking, in whole calls on the sandbox line. The model's part is a script; what must hold is ours."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from asgiref.sync import sync_to_async
from livekit.agents import RunContext

from agent_worker.tools import ending_for
from calls.models import Call
from contacts.models import Suppression
from personas.models import PersonaVersion
from personas.moments import spoken
from personas.platform import words
from personas.templating import render
from tests.agent_worker.calling import Caller, Rig, dispatched_call, rig_for
from tests.factories import MembershipFactory, published_version

WORDS = words("pt-PT").tool_answers
GREETING = {"assistant": "Em que posso ajudar?"}
TRANSFER = {"name": "transfer_to_human", "arguments": {}}
HANG_UP = {"name": "end_call", "arguments": {"reason": "goodbye"}}
GOODBYE = {"assistant": "Obrigada e até breve!", "tool": HANG_UP}


def make_version(**fields: Any) -> PersonaVersion:
    return published_version(organization=MembershipFactory(organization__name="Casa Azul").organization, slug="restaurante", **fields)


@pytest.fixture
def call(transactional_db: None) -> Call:
    return dispatched_call(make_version(transfer_number="+351210000001"), opening="Olá.")


def asks(sentence: str, *then: str) -> Any:
    async def does(callee: Caller) -> None:
        await callee.listen()
        await callee.say(sentence)
        for each in then:
            await callee.listen()
            await callee.say(each)
        await callee.stay()

    return does


async def tool_answers(rig: Rig) -> list[tuple[str, str]]:
    return [(turn.tool, turn.text) for turn in await rig.turns() if turn.role == "tool"]


async def what_the_model_may_do(rig: Rig) -> list[str]:
    sessions = [each for each in rig.emulator.find(key=rig.key) if each.tools]
    return [tool["name"] for tool in sessions[0].tools]


async def test_a_goodbye_is_heard_to_its_end_although_the_callee_speaks_over_it(call: Call) -> None:
    long = "Então fica combinado para sábado às oito e meia, mesa para quatro pessoas. Muito obrigada e até breve!"

    async def does(callee: Caller) -> None:
        await callee.listen()
        await callee.say("Obrigado, adeus!")
        await callee.handset.heard_something()
        await asyncio.sleep(1.5)  # by then the whole goodbye was sent, and the tool called
        await callee.say("Obrigado, obrigado, adeus, até sábado, então!")
        await callee.stay()

    async with rig_for(call, {"turns": [GREETING, {"assistant": long, "tool": HANG_UP}], "pace": 20}) as rig:
        ended = await rig.run(does)
        assert (ended.outcome, ended.ended_reason, ended.ended_by) == ("answered", "assistant.end_call", "assistant")
        assert [turn.interrupted for turn in await rig.turns() if turn.text == long] == [False]


async def test_a_model_that_hangs_up_without_a_word_is_sent_back_to_say_goodbye(call: Call) -> None:
    async with rig_for(call, {"turns": [GREETING, {"tool": HANG_UP}, GOODBYE]}) as rig:
        ended = await rig.run(asks("Adeus!"))
        assert ended.ended_reason == "assistant.end_call"
        assert await tool_answers(rig) == [("end_call", WORDS["goodbye_first"]), ("end_call", "")]
        assert [text for role, text in await rig.said() if role == "assistant"][-1] == GOODBYE["assistant"]


@pytest.mark.parametrize(
    ("reason", "outcome", "ended_reason"),
    [
        ("goal_reached", "answered", "assistant.goal_reached"),
        ("goodbye", "answered", "assistant.end_call"),
        ("minor", "answered", "assistant.end_call"),
        ("abuse", "answered", "assistant.end_call"),
        ("language", "answered", "assistant.end_call"),
        ("silence", "answered", "limit.silence"),
        ("voicemail", "voicemail", "voicemail.reached"),
    ],
)
def test_the_reason_of_the_persona_makes_the_outcome(reason: str, outcome: str, ended_reason: str) -> None:
    ending = ending_for(reason)
    assert (ending.outcome, ending.reason, ending.ended_by) == (outcome, ended_reason, "assistant")


async def test_nothing_is_said_to_a_voicemail(call: Call) -> None:
    turns = [GREETING, {"tool": {"name": "end_call", "arguments": {"reason": "voicemail"}}}]
    async with rig_for(call, {"turns": turns}) as rig:
        ended = await rig.run(asks("Deixe a sua mensagem após o sinal."))
        assert (ended.outcome, ended.ended_reason) == ("voicemail", "voicemail.reached")


async def test_facts_are_found_in_other_words_and_what_is_not_there_is_said_so(call: Call) -> None:
    def looks_up(question: str) -> dict[str, Any]:
        return {"tool": {"name": "lookup_information", "arguments": {"question": question}}}

    turns = [
        GREETING,
        looks_up("A QUE HORAS ABREM?"),
        {"assistant": "Às nove."},
        looks_up("têm piscina"),
        {"assistant": "Não sei."},
        GOODBYE,
    ]
    async with rig_for(call, {"turns": turns}) as rig:
        await rig.run(asks("A que horas abrem?", "E têm piscina?", "Obrigado."))
        assert await tool_answers(rig) == [
            ("lookup_information", "Abrimos às nove da manhã e fechamos às sete da tarde."),
            ("lookup_information", WORDS["lookup_not_found"]),
            ("end_call", ""),
        ]
        asked = [turn.arguments for turn in await rig.turns() if turn.tool == "lookup_information"]
        assert asked == [{"question": "A QUE HORAS ABREM?"}, {"question": "têm piscina"}]


async def test_an_opt_out_holds_at_once_and_is_why_the_call_ends_whoever_hangs_up(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.listen()
        await callee.say("Não me liguem mais!")
        await callee.handset.heard_something()

    turns = [GREETING, {"tool": {"name": "register_opt_out", "arguments": {}}}, {"assistant": "O seu número fica retirado."}]
    async with rig_for(call, {"turns": turns}) as rig:
        ended = await rig.run(does)
        assert (ended.outcome, ended.ended_reason, ended.ended_by) == ("answered", "callee.requested_opt_out", "callee")
        suppression = await Suppression.objects.aget()
        assert (suppression.number_index, suppression.reason) == (call.number_index, "opt_out_on_call")
        assert (suppression.by, suppression.simulated) == (f"call:{call.pk}", True)
        assert await tool_answers(rig) == [("register_opt_out", WORDS["opt_out_done"])]


async def test_a_plain_opt_out_holds_although_the_model_does_nothing_about_it(call: Call) -> None:
    async with rig_for(call, {"turns": [GREETING, {"assistant": "Mas temos uma oferta muito boa!"}, GOODBYE]}) as rig:
        ended = await rig.run(asks("Não me liguem mais!", "Já disse que não."))
        assert (ended.ended_reason, ended.ended_by) == ("callee.requested_opt_out", "assistant")
        assert (await Suppression.objects.aget()).reason == "opt_out_on_call"
        assert await tool_answers(rig) == [("end_call", "")]


async def test_a_wrong_number_is_taken_off(call: Call) -> None:
    turns = [GREETING, {"tool": {"name": "wrong_number", "arguments": {}}}, GOODBYE]
    async with rig_for(call, {"turns": turns}) as rig:
        ended = await rig.run(asks("Não conheço essa pessoa."))
        assert (ended.ended_reason, ended.ended_by) == ("callee.wrong_number", "assistant")
        assert (await Suppression.objects.aget()).reason == "wrong_number"
        assert await tool_answers(rig) == [("wrong_number", WORDS["wrong_number_done"]), ("end_call", "")]


async def test_a_call_is_put_through_after_saying_so(call: Call) -> None:
    turns = [GREETING, {"assistant": "Vou passar a chamada.", "tool": TRANSFER}]
    async with rig_for(call, {"turns": turns}) as rig:
        ended = await rig.run(asks("Quero falar com uma pessoa."))
        assert (ended.outcome, ended.ended_reason, ended.ended_by) == ("answered", "transfer.completed", "assistant")
        assert (await rig.events())[-3:] == ["in_progress", "transferring", "ended"]
        assert [turn.interrupted for turn in await rig.turns() if turn.text == "Vou passar a chamada."] == [False]


async def test_a_transfer_that_fails_leaves_the_callee_with_the_persona(call: Call) -> None:
    turns = [
        GREETING,
        {"assistant": "Vou passar a chamada.", "tool": TRANSFER},
        {"assistant": "Ninguém atendeu. Quer deixar recado?"},
        GOODBYE,
    ]
    async with rig_for(call, {"turns": turns}) as rig:
        ended = await rig.run(asks("Quero falar com uma pessoa.", "Não, obrigado."), transfer_refused_with=486)
        assert ended.ended_reason == "assistant.end_call"
        assert (await rig.events())[-4:] == ["in_progress", "transferring", "in_progress", "ended"]
        assert await tool_answers(rig) == [("transfer_to_human", WORDS["transfer_failed"]), ("end_call", "")]


async def test_nobody_is_put_through_by_a_job_that_has_lost_the_call(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The announcement takes seconds in which the process may have stood still: what follows dials."""
    waited: list[str] = []
    wait_for_playout = RunContext.wait_for_playout

    async def and_stands_still(context: RunContext[Any]) -> None:
        await wait_for_playout(context)
        await Call.objects.filter(pk=call.pk).aupdate(claim="another")
        monkeypatch.setattr("agent_worker.controller.STALL_S", -1.0)
        waited.append(context.function_call.name)

    monkeypatch.setattr(RunContext, "wait_for_playout", and_stands_still)
    turns = [GREETING, {"assistant": "Vou passar a chamada.", "tool": TRANSFER}]
    async with rig_for(call, {"turns": turns}) as rig:
        left = await rig.run(asks("Quero falar com uma pessoa."))
        assert (waited, left.status, left.claim) == (["transfer_to_human"], "in_progress", "another")
        assert "transferring" not in await rig.events()


async def test_a_model_that_transfers_without_a_word_is_sent_back_to_say_it(call: Call) -> None:
    turns = [GREETING, {"tool": TRANSFER}, {"assistant": "Vou passar a chamada.", "tool": TRANSFER}]
    async with rig_for(call, {"turns": turns}) as rig:
        ended = await rig.run(asks("Quero falar com uma pessoa."))
        assert ended.ended_reason == "transfer.completed"
        assert (await tool_answers(rig))[0] == ("transfer_to_human", WORDS["announce_first"])


async def test_without_a_number_there_is_no_transfer_to_call(transactional_db: None) -> None:
    call = await sync_to_async(lambda: dispatched_call(make_version(), opening="Olá."))()

    async def does(callee: Caller) -> None:
        await callee.listen()

    async with rig_for(call, {"turns": [GREETING]}) as rig:
        await rig.run(does)
        assert await what_the_model_may_do(rig) == ["lookup_information", "end_call", "register_opt_out", "wrong_number"]


async def test_no_tool_takes_a_number_and_the_model_chooses_nobody_to_transfer_to(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.listen()

    async with rig_for(call, {"turns": [GREETING]}) as rig:
        await rig.run(does)
        (session,) = [each for each in rig.emulator.find(key=rig.key) if each.tools]
        taken = {tool["name"]: sorted(tool["parameters"]["properties"]) for tool in session.tools}
        assert taken == {
            "lookup_information": ["question"],
            "transfer_to_human": [],
            "end_call": ["reason"],
            "register_opt_out": [],
            "wrong_number": [],
        }


async def test_a_tool_called_after_the_call_went_to_another_does_nothing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    async def does(callee: Caller) -> None:
        await callee.listen()
        await Call.objects.filter(pk=call.pk).aupdate(claim="another")
        # Not so plain that our own code hears it: only the model's tool could act on it.
        await callee.say("Isto já não me interessa.")
        await callee.stay()

    # No beat tells the job: only the look before the tool can.
    monkeypatch.setattr("agent_worker.controller.heartbeats.BEAT_EVERY_S", 3600.0)
    turns = [GREETING, {"tool": {"name": "register_opt_out", "arguments": {}}}]
    async with rig_for(call, {"turns": turns}) as rig:
        # The process stood still for longer than a job may without looking again.
        monkeypatch.setattr("agent_worker.controller.STALL_S", -1.0)
        await rig.run(does)
        assert await Suppression.objects.acount() == 0


def tomorrow(hour: int) -> datetime:
    return (datetime.now(ZoneInfo("Europe/Lisbon")) + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)


def calls_back(at: datetime) -> dict[str, Any]:
    return {"tool": {"name": "request_callback", "arguments": {"date": at.date().isoformat(), "time": f"{at:%H:%M}"}}}


async def callbacks_of(call: Call) -> list[tuple[str, datetime, str]]:
    return await sync_to_async(lambda: list(call.callbacks.values_list("status", "due_at", "ended_reason")))()


@pytest.fixture
def callback_call(transactional_db: None) -> Call:
    return dispatched_call(make_version(tools=["request_callback"]), opening="Olá.")


async def test_a_callback_is_booked_moved_and_why_the_call_ends(callback_call: Call) -> None:
    turns = [
        GREETING,
        calls_back(tomorrow(10)),
        {"assistant": "Fica para as dez."},
        calls_back(tomorrow(11)),
        {"assistant": "Onze."},
        GOODBYE,
    ]
    async with rig_for(callback_call, {"turns": turns}) as rig:
        ended = await rig.run(asks("Ligue-me amanhã às dez.", "Afinal às onze.", "Obrigado, adeus."))
        assert (ended.outcome, ended.ended_reason, ended.ended_by) == ("answered", "callee.requested_callback", "assistant")
        assert await callbacks_of(callback_call) == [("scheduled", tomorrow(11), "")]
        said = [text for tool, text in await tool_answers(rig) if tool == "request_callback"]
        assert said == [render(WORDS["callback_done"], {"when": spoken(tomorrow(hour), "pt-PT")}) for hour in (10, 11)]


async def test_an_opt_out_later_in_the_call_takes_the_callback_back(callback_call: Call) -> None:
    turns = [GREETING, calls_back(tomorrow(10)), {"assistant": "Fica marcado."}, {"assistant": "Com certeza."}, GOODBYE]
    async with rig_for(callback_call, {"turns": turns}) as rig:
        ended = await rig.run(asks("Ligue-me amanhã às dez.", "Esqueça, não me liguem mais!", "Adeus."))
        assert ended.ended_reason == "callee.requested_opt_out"
        assert await callbacks_of(callback_call) == [("ended", tomorrow(10), "callee.requested_opt_out")]


async def test_the_sandboxs_own_mind_books_a_callback(callback_call: Call) -> None:
    async with rig_for(callback_call) as rig:
        ended = await rig.run(asks("Agora não posso. Ligue-me amanhã às dez.", "Não, obrigado. Adeus!"))
        assert ended.ended_reason == "callee.requested_callback"
        assert await callbacks_of(callback_call) == [("scheduled", tomorrow(10), "")]
        assert f"voltamos a ligar {spoken(tomorrow(10), 'pt-PT')}." in "".join(
            turn.text for turn in await rig.turns() if turn.role == "assistant"
        )
