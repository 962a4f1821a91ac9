"""What a persona can do on a call beside talking: put through, look up, take a number off the list."""

import yaml

from personas.platform import words

from ..servers.process import REPOSITORY
from .rig import TRANSFER_NUMBER, Conversation, Json, Rig

GREETING = "Quer marcar mesa ou saber alguma coisa da casa?"
ASKS_FOR_A_PERSON = "Queria falar com uma pessoa, se faz favor."
PUTS_THROUGH = "Vou passar a chamada à gerência, só um momento."
NOBODY_THERE = "Ninguém atendeu. Quer que tome nota do recado?"
GOODBYE = "Obrigada pelo seu tempo. Boa continuação!"
END_CALL = {"name": "end_call", "arguments": {"reason": "goodbye"}}
TRANSFER = {"assistant": PUTS_THROUGH, "tool": {"name": "transfer_to_human", "arguments": {}}}


async def greeted(rig: Rig, number: str, *after_greeting: Json) -> Conversation:
    """A callee who has heard opening and greeting."""
    script = {"turns": [{"assistant": GREETING}, *after_greeting]} if after_greeting else {}
    talk = rig.conversation(number, **script)
    talk.phone.answers()
    await talk.start()
    await talk.greeted()
    return talk


async def tools_of(talk: Conversation) -> list[str]:
    return [turn["tool"] for turn in await talk.turns() if turn["role"] == "tool"]


async def test_a_transfer_is_told_before_and_then_takes_the_callee_away(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number, TRANSFER)
    talk.phone.transfer_accepts()
    asked = await talk.says(ASKS_FOR_A_PERSON)
    assert TRANSFER_NUMBER in await talk.phone.asked_to_transfer()
    referred = next(it.at for it in talk.phone.timeline if it.what == "refer")
    assert talk.phone.recording.last_voice_at > asked
    assert talk.phone.recording.last_voice_at <= referred + 0.5
    await talk.phone.hung_up()
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"]) == ("answered", "transfer.completed", "none")
    assert (await talk.said("assistant"))[-1] == PUTS_THROUGH
    assert await tools_of(talk) == ["transfer_to_human"]


async def test_after_a_transfer_that_fails_the_persona_is_still_there_and_says_so(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number, TRANSFER, {"assistant": NOBODY_THERE}, {"assistant": GOODBYE, "tool": END_CALL})
    talk.phone.transfer_refuses(486)
    await talk.says(ASKS_FOR_A_PERSON)
    await talk.phone.asked_to_transfer()
    referred = next(it.at for it in talk.phone.timeline if it.what == "refer")
    await talk.listens(since=referred + 0.7)
    await talk.says("Não é preciso, obrigado.")
    await talk.phone.hung_up()
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"]) == ("answered", "assistant.end_call", "none")
    assert (await talk.said("assistant"))[2:] == [PUTS_THROUGH, NOBODY_THERE, GOODBYE]
    failed = next(turn for turn in await talk.turns() if turn["tool"] == "transfer_to_human")
    assert failed["text"] == words("pt-PT").tool_answers["transfer_failed"]


async def test_who_asks_not_to_be_called_is_not_called_again(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number)
    await talk.says("Não me liguem mais, por favor.")
    await talk.phone.hung_up(within_s=40)
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"]) == ("answered", "callee.requested_opt_out")
    assert "register_opt_out" in await tools_of(talk)
    again = await rig.request("POST", "/api/start_call", json={"phone_number": number, "persona": "restaurante"})
    assert (again.status_code, again.json()["code"], talk.phone.rings) == (422, "policy.do_not_call", 1)


async def test_an_opt_out_holds_although_the_model_ignores_it(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number, {"assistant": "Temos um prato do dia excelente, não quer saber qual é?"})
    await talk.phone.heard_speech(since=await talk.says("Não me liguem mais."))
    await talk.phone.hangs_up_now()
    assert (await talk.ended())["ended_reason"] == "callee.requested_opt_out"
    again = await rig.request("POST", "/api/start_call", json={"phone_number": number, "persona": "restaurante"})
    assert (again.status_code, again.json()["code"]) == (422, "policy.do_not_call")


async def test_an_opt_out_holds_although_the_callee_hangs_up_on_it(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number)
    await talk.says("Não me liguem mais.")
    await talk.phone.hangs_up_now()
    assert (await talk.ended())["ended_reason"] == "callee.hangup"
    again = await rig.request("POST", "/api/start_call", json={"phone_number": number, "persona": "restaurante"})
    assert (again.status_code, again.json()["code"]) == (422, "policy.do_not_call")


async def test_the_key_nine_opts_out_and_is_answered(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number)
    pressed_at = talk.phone.recording.last_voice_at
    await talk.phone.presses("9")
    await talk.phone.heard_speech(since=pressed_at)
    await talk.phone.hung_up()
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"]) == ("answered", "callee.requested_opt_out")
    again = await rig.request("POST", "/api/start_call", json={"phone_number": number, "persona": "restaurante"})
    assert (again.status_code, again.json()["code"]) == (422, "policy.do_not_call")


async def test_other_keys_do_nothing(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number)
    await talk.phone.presses("15#")
    await talk.listens(since=await talk.says("A que horas abrem ao almoço?"))
    await talk.phone.hangs_up_now()
    assert (await talk.ended())["ended_reason"] == "callee.hangup"


async def test_a_wrong_number_is_apologised_to_and_left(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number)
    await talk.says("Deve ser engano, eu não pedi chamada nenhuma.")
    await talk.phone.hung_up(within_s=40)
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"]) == ("answered", "callee.wrong_number")
    assert "wrong_number" in await tools_of(talk)


async def test_a_question_is_answered_from_the_facts(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number)
    await talk.listens(since=await talk.says("Onde é que posso deixar o carro?"))
    await talk.phone.hangs_up_now()
    await talk.ended()
    looked_up = next(turn for turn in await talk.turns() if turn["tool"] == "lookup_information")
    fact = "Não temos estacionamento próprio. Há um parque público coberto a duzentos metros, aberto toda a noite."
    assert fact in looked_up["text"]
    assert fact in (await talk.said("assistant"))[-1]


async def test_what_no_fact_says_is_said_to_be_unknown(rig: Rig, number: str) -> None:
    talk = await greeted(rig, number)
    await talk.listens(since=await talk.says("Qual é a altura do Monte Evereste?"))
    await talk.phone.hangs_up_now()
    await talk.ended()
    turns = await talk.turns()
    assert [turn["text"] for turn in turns if turn["tool"] == "lookup_information"] in (
        [],
        [words("pt-PT").tool_answers["lookup_not_found"]],
    )
    facts = yaml.safe_load((REPOSITORY / "personas/seeds/pt-PT/restaurante.yaml").read_text())["facts"]
    assert [fact["key"] for fact in facts if fact["value"] in turns[-1]["text"]] == []
