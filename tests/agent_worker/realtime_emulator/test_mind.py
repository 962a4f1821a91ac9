"""The mind where there is no persona around it: bare instructions, odd tools, the platform's own requests."""

import pytest

from agent_worker.realtime_emulator.mind import Line, Mind, Scene, read_aloud
from agent_worker.realtime_emulator.mind.hearing import fold, understand, vocabulary
from agent_worker.realtime_emulator.mind.lookup import arguments_for, spoken
from agent_worker.realtime_emulator.script import Reply, ToolCall

from .client import Json, tool

PT = "Falas só português de Portugal."
EN = "You speak ONLY English."
GREETED = (Line("assistant", "Olá! Em que posso ajudar?"),)


def reply(*lines: Line, instructions: str = PT, request: str = "", tools: tuple[Json, ...] = (), **scene: object) -> Reply:
    return Mind().reply(Scene(instructions, request, tools, tuple(lines), **scene))  # type: ignore[arg-type]


def user(text: str) -> Line:
    return Line("user", text)


@pytest.mark.parametrize(
    ("instructions", "default", "greeting"),
    [
        (PT, "en", "Olá! Em que posso ajudar?"),
        ("Você fala SÓ português do Brasil, nem para o português de Portugal.", "en", "Oi! Como posso ajudar?"),
        (EN, "pt-PT", "Hello! How can I help?"),
        ("Sê breve.", "pt-BR", "Oi! Como posso ajudar?"),
    ],
)
def test_the_instructions_say_which_language_is_spoken(instructions: str, default: str, greeting: str) -> None:
    assert reply(instructions=instructions, default_locale=default).text == greeting


@pytest.mark.parametrize(
    "instructions", [f"{PT}\nComeça pela saudação: «Boas, fala o Zé!»", f'{EN}\nStart with the greeting: "Boas, fala o Zé!"']
)
def test_the_greeting_is_the_personas_own(instructions: str) -> None:
    assert reply(instructions=instructions).text == "Boas, fala o Zé!"
    assert reply(instructions=instructions, request=f"{instructions}\nCumprimenta a pessoa.").text == "Boas, fala o Zé!"


@pytest.mark.parametrize(
    "request_text",
    ["Diz palavra por palavra: <read>Olá,\n fala a Ana.</read>", f"{PT}\nDiz palavra por palavra: <read>Olá, fala a Ana.</read>"],
)
def test_a_text_to_be_read_is_read_word_for_word(request_text: str) -> None:
    assert read_aloud(Scene(PT, request_text)) == "Olá, fala a Ana."


def test_nothing_is_read_that_only_the_session_quotes() -> None:
    assert read_aloud(Scene(f"{PT} <read>Não.</read>")) is None


def test_after_the_greeting_a_request_without_words_asks_on() -> None:
    assert reply(*GREETED).text == "Diga-me o que precisa."


def test_a_system_message_is_obeyed() -> None:
    assert reply(*GREETED, Line("system", "A pessoa está em silêncio. Pergunta se te está a ouvir.")).text == "Está a ouvir-me?"
    assert reply(*GREETED, user("Sim?"), Line("system", "Cliente de longa data.")).text.startswith("Fala a assistente")


def test_after_a_cut_it_finds_back() -> None:
    assert (
        reply(*GREETED, request=f"{PT}\nA ligação foi cortada. Retoma.").text == "Peço desculpa, a ligação falhou um instante. Onde íamos?"
    )
    assert reply(request=f"{PT}\nRetoma.").text == "Olá! Em que posso ajudar?"


def test_told_to_say_goodbye_it_does() -> None:
    end_call = tool("end_call", reason={"type": "string", "enum": ["goodbye"]})
    said = reply(*GREETED, request=f"{PT}\nDespede-te agora.", tools=(end_call,))
    assert said == Reply("Obrigada e até breve!", (ToolCall("end_call", {"reason": "goodbye"}),))


def test_a_question_is_asked_of_the_tool_and_the_answer_is_spoken() -> None:
    lookup = tool("lookup_information", question={"type": "string"})
    asked = reply(*GREETED, user("A que horas abrem?"), tools=(lookup,))
    assert asked == Reply("", (ToolCall("lookup_information", {"question": "A que horas abrem?"}),))
    call = Line("call", "{}", "lookup_information", "c")
    assert reply(user("A que horas abrem?"), call, Line("output", "Às nove.", "", "c")).text == "Às nove. Quer saber mais alguma coisa?"
    nothing = Line("output", "Não há informação sobre isto. Tenta uma vez com outras palavras.", "", "c")
    assert reply(user("A que horas abrem?"), call, nothing).text == "Não tenho essa informação. Posso anotar a pergunta para a equipa."


def test_without_the_tool_it_says_that_it_does_not_know() -> None:
    assert reply(*GREETED, user("A que horas abrem?")).text == "Não tenho essa informação. Posso anotar a pergunta para a equipa."


@pytest.mark.parametrize(
    ("sentence", "beginning"),
    [
        ("Não me liguem mais.", "Fica registado: o seu número não volta a ser contactado."),
        ("Enganou-se no número, aqui não mora nenhuma Ana.", "Peço desculpa pelo engano."),
        ("Quero falar com uma pessoa.", "Nesta chamada não há ninguém a quem passar"),
    ],
)
def test_without_its_tool_a_request_is_still_answered(sentence: str, beginning: str) -> None:
    assert reply(*GREETED, user(sentence)).text.startswith(beginning)


def outputs(name: str, answer: str, times: int = 1) -> list[Line]:
    calls = [Line("call", "{}", name, f"c{number}") for number in range(times)]
    return [*GREETED, user("Sim."), *calls, Line("output", answer, "", f"c{times - 1}")]


END_CALL = tool("end_call", reason={"type": "string", "enum": ["goodbye"]})
TRANSFER = tool("transfer_to_human")


@pytest.mark.parametrize(
    ("name", "answer", "times", "expected"),
    [
        ("register_opt_out", "erro: a base de dados falhou", 1, ("Peço desculpa, não consegui registar", ["end_call"])),
        ("transfer_to_human", "A chamada está a ser passada. Não digas mais nada.", 1, ("", [])),
        ("transfer_to_human", "Ninguém atendeu.", 1, ("Ninguém atendeu, peço desculpa.", [])),
        ("transfer_to_human", "Diz primeiro que vais passar a chamada.", 1, ("Com certeza, vou passar", ["transfer_to_human"])),
        ("transfer_to_human", "Diz primeiro que vais passar a chamada.", 2, ("", [])),
        ("end_call", "", 1, ("", [])),
        ("end_call", "Despede-te primeiro.", 1, ("Obrigada e até breve!", ["end_call"])),
        ("end_call", "Despede-te primeiro.", 2, ("", [])),
        ("check_slots", '{"free": ["Às dez."]}', 1, ("Às dez.", [])),
    ],
)
def test_what_a_tool_answers_is_followed(name: str, answer: str, times: int, expected: tuple[str, list[str]]) -> None:
    said = reply(*outputs(name, answer, times), tools=(END_CALL, TRANSFER))
    assert (said.text.startswith(expected[0]), bool(said.text), [call.name for call in said.calls]) == (
        True,
        bool(expected[0]),
        expected[1],
    )


def test_statements_are_acknowledged_in_other_words_each_time() -> None:
    lines = list(GREETED)
    for _ in range(6):
        lines.append(user("Moro em Lisboa."))
        lines.append(Line("assistant", reply(*lines).text))
    answers = [line.text for line in lines if line.kind == "assistant"]
    assert len(set(answers)) == len(answers)


def test_what_was_cut_off_before_an_answer_is_answered_with_the_rest() -> None:
    assert reply(*GREETED, user("Espere."), user("É um robô?")).text.startswith("Sim, sou uma inteligência artificial")


@pytest.mark.parametrize(
    ("lines", "instructions", "text"),
    [
        (["Bom dia."], PT, "Olá! Em que posso ajudar?"),
        (["(inaudível)"], PT, "Desculpe, a ligação falhou um bocadinho. Pode repetir?"),
        (
            ["Hello, who is this?"],
            EN,
            "This is an artificial-intelligence assistant, calling because this call was asked for. Hello! How can I help?",
        ),
        (["Não me interessa.", "Sim, por favor."], PT, "Fica registado: o seu número não volta a ser contactado. Obrigada e até breve!"),
        (["Bom dia, queria falar português, por favor."], EN, "I'm sorry, on this call I only speak English."),
        (["Quero falar com uma pessoa.", "Digam que liguei."], PT, "Fica o recado anotado e segue para a equipa."),
        (["My mum went out, I'm seven.", "No."], EN, "Then another time. Have a nice day, goodbye!"),
        (["My mum went out, I'm seven.", "Are you a robot?"], EN, "Yes, I am an artificial intelligence, not a person. Shall we go on?"),
    ],
)
def test_what_is_said_depends_on_what_was(lines: list[str], instructions: str, text: str) -> None:
    said: list[Line] = []
    for line in lines:
        said.append(user(line))
        answer = reply(*said, instructions=instructions)
        said.append(Line("assistant", answer.text))
    assert said[-1].text == text or text.startswith(said[-1].text + " ") or said[-1].text == ""


def test_a_table_is_taken_in_english() -> None:
    lines = [Line("assistant", "Would you like a table?")]
    instructions = f"{EN} You take requests for a table. In a real case, the team confirms: in a real case."
    for heard, answer in (
        ("I'd like a table for Saturday.", "Very well. And at what time?"),
        ("At eight, for four people.", "Right. What name shall I put it under?"),
        ("My name is Ann Lee.", "That's noted. Will this number do for the confirmation?"),
        ("Yes, this number.", "Of course. Are there any allergies or anything to bear in mind?"),
        ("None.", "Let me see if I got it all: saturday, at eight, four people, in the name of Ann Lee. Is that right?"),
        ("Yes.", "It stands as a request; in a real case, the team would confirm it next. Anything else?"),
        ("No, thank you. Goodbye!", "Thank you and goodbye!"),
    ):
        lines.append(user(heard))
        lines.append(Line("assistant", reply(*lines, instructions=instructions).text))
        assert lines[-1].text == answer


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({}, {}),
        ({"properties": {"q": {"type": "string"}}, "required": ["q"]}, {"q": "text"}),
        ({"properties": {"q": {"anyOf": [{"type": "null"}, {"type": "string"}]}}}, {"q": "text"}),
        ({"properties": {"reason": {"enum": ["a", "b"]}, "note": {"type": "string"}}, "required": ["reason"]}, {"reason": "b"}),
        ({"properties": {"reason": {"enum": ["a"]}, "n": {"type": "integer"}}, "required": ["reason", "n"]}, {"reason": "a", "n": 0}),
    ],
)
def test_arguments_fit_the_tools_schema(schema: Json, arguments: Json) -> None:
    assert arguments_for({"parameters": schema}, "text", {"reason": "b"}) == arguments


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("Fica aberto até às dez.\nOutra coisa.", "Fica aberto até às dez."),
        ("- horário: Abre às nove.", "Abre às nove."),
        ('["Às dez.", "Às onze."]', "Às dez."),
        ('{"slots": {"first": "Às dez."}}', "Às dez."),
        ("12", "12"),
    ],
)
def test_a_tools_answer_is_spoken_without_its_marks(output: str, words: str) -> None:
    assert spoken(output) == words


def test_folding_keeps_every_place() -> None:
    text = "Às 20h, «São» João… İ ﬁm?"
    assert (len(fold(text)), fold("Está cá?")) == (len(text), "esta ca?")


@pytest.mark.parametrize("locale", ["pt-PT", "pt-BR", "en"])
def test_every_language_has_all_the_words(locale: str) -> None:
    words, model = vocabulary(locale), vocabulary("pt-PT")
    assert {part: set(words[part]) for part in ("say", "ask", "slots", "summary")} == {
        part: set(model[part]) for part in ("say", "ask", "slots", "summary")
    }
    slots = {slot for flow in words["flows"] for slot in flow["slots"]}
    assert slots <= set(words["ask"])


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Tirem-me dessa lista.", "opt_out"),
        ("Não quero que me telefonem mais.", "opt_out"),
        ("Apaga o meu contacto.", "opt_out"),
        ("Me remove daí, por favor.", "opt_out"),
        ("Não quero mais receber ligações.", "opt_out"),
        ("Please unsubscribe me.", "opt_out"),
        ("Podem parar de me ligar?", "opt_out"),
        ("Don't ever call me again.", "opt_out"),
        ("Não me ligue agora.", "bad_moment"),
        ("Sofia Matos. Pode ser para este número, sim.", "statement"),
        ("Olhe, nunca mais me liguem!", "opt_out"),
        ("Sim.", "yes"),
        ("Não.", "no"),
        ("Então adeus!", "farewell"),
        ("Boa tarde. Queria marcar uma mesa.", "statement"),
        ("Está bem. Obrigado, boa tarde.", "farewell"),
    ],
)
def test_what_a_sentence_means(text: str, intent: str) -> None:
    assert understand(text, "pt-PT").intent == intent
