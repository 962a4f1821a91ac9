"""“Call me tomorrow at ten”: the mind hears the day and the hour, and asks for what is missing."""

from datetime import date, datetime, time

import pytest

from agent_worker.realtime_emulator.mind import Line
from agent_worker.realtime_emulator.mind.hearing import vocabulary
from agent_worker.realtime_emulator.mind.when import now_in, when_in
from personas.moments import in_words

from .client import tool
from .stage import Stage, version_of
from .test_mind import GREETED, PT, reply, user

NOW = datetime.fromisoformat("2026-11-24T15:40")  # a Tuesday
LOCALES = ("pt-PT", "pt-BR", "en")


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("moment", [NOW, datetime.fromisoformat("2026-03-01T09:05"), datetime.fromisoformat("2027-01-31T00:00")])
def test_the_time_is_read_in_the_instructions(locale: str, moment: datetime) -> None:
    calendar = vocabulary(locale)["calendar"]
    assert now_in(f"Fala. Data e hora: {in_words(moment, locale)}. Continua.", calendar) == moment
    assert now_in("Sê breve.", calendar) is None


def test_what_only_looks_like_a_date_is_none() -> None:
    assert now_in("12 de novidades de 2026, 15h40", vocabulary("pt-PT")["calendar"]) is None


@pytest.mark.parametrize(
    ("locale", "text", "day", "hour"),
    [
        ("pt-PT", "Ligue-me amanhã às dez.", (11, 25), (10, 0)),
        ("pt-PT", "Podem ligar-me na quinta às quatro e meia?", (11, 26), (16, 30)),
        ("pt-PT", "Na terça, às 11h30.", (12, 1), (11, 30)),
        ("pt-PT", "Depois de amanhã ao meio-dia.", (11, 26), (12, 0)),
        ("pt-PT", "Hoje às 17:45.", (11, 24), (17, 45)),
        ("pt-PT", "No dia vinte e seis, às quinze horas.", (11, 26), (15, 0)),
        ("pt-PT", "Dia 3 à uma da tarde.", (12, 3), (13, 0)),
        ("pt-PT", "Dia 31 às nove da noite.", (12, 31), (21, 0)),
        ("pt-PT", "Dia 45 às dez e um quarto.", (11, 25), (10, 15)),
        ("pt-PT", "Às cinco.", (11, 24), (17, 0)),
        ("pt-PT", "Às dez.", (11, 25), (10, 0)),
        ("pt-PT", "Amanhã às dez. Não, às onze.", (11, 25), (11, 0)),
        ("pt-PT", "Sexta de manhã.", (11, 27), None),
        ("pt-PT", "Amanhã às 25:00.", (11, 25), None),
        ("pt-PT", "Mais tarde.", None, None),
        ("pt-BR", "Me liga amanhã às 10.", (11, 25), (10, 0)),
        ("pt-BR", "Dia dezessete às três da tarde.", (12, 17), (15, 0)),
        ("en", "Call me tomorrow at ten.", (11, 25), (10, 0)),
        ("en", "On Friday at half past four.", (11, 27), (16, 30)),
        ("en", "On the 27th at 3 pm.", (11, 27), (15, 0)),
        ("en", "On the twenty-sixth at four thirty in the afternoon.", (11, 26), (16, 30)),
        ("en", "The day after tomorrow at noon.", (11, 26), (12, 0)),
    ],
)
def test_a_day_and_an_hour_are_heard(locale: str, text: str, day: tuple[int, int] | None, hour: tuple[int, int] | None) -> None:
    assert when_in(text, NOW, vocabulary(locale)["calendar"]) == (day and date(2026, *day), hour and time(*hour))


def test_who_asks_for_another_time_gets_it_said_back_and_may_change_it() -> None:
    stage = Stage(version_of("pt-PT/restaurante"))
    stage.answers()
    said, calls = stage.hears("Agora não posso. Ligue-me amanhã às dez.")
    assert calls == [("request_callback", {"date": "2026-11-13", "time": "10:00"})]
    assert said == "Fica marcado: voltamos a ligar sexta-feira, dia treze de novembro, às dez da manhã. Deseja mais alguma coisa?"
    said, calls = stage.hears("Afinal às onze.")
    assert calls == [("request_callback", {"date": "2026-11-13", "time": "11:00"})]
    assert said == "Está marcado para sexta-feira, dia treze de novembro, às onze da manhã. Posso ajudar em mais algum ponto?"
    assert (stage.hears("Não, obrigado. Adeus!")[1], stage.ended) == ([("end_call", {"reason": "goodbye"})], "goodbye")


def test_what_is_missing_is_asked_for() -> None:
    stage = Stage(version_of("pt-BR/clinica"))
    stage.answers()
    assert stage.hears("Me liga amanhã.") == ("Claro. Em que horário?", [])
    said, calls = stage.hears("Às três da tarde.")
    assert (calls, said.startswith("Está marcado: a gente liga de novo sexta-feira, dia treze")) == (
        [("request_callback", {"date": "2026-11-13", "time": "15:00"})],
        True,
    )


def test_a_bad_moment_becomes_a_time() -> None:
    stage = Stage(version_of("pt-PT/vendedor"))
    stage.answers()
    assert stage.hears("Agora não dá, estou a conduzir.")[1] == []
    assert stage.hears("Na segunda às onze.")[1] == [("request_callback", {"date": "2026-11-16", "time": "11:00"})]


def test_an_hour_that_cannot_be_is_asked_for_again() -> None:
    stage = Stage(version_of("pt-PT/restaurante"))
    stage.answers()
    said, calls = stage.hears("Ligue-me amanhã às onze da noite.")
    assert (said, calls) == (
        "A essa hora não pode ser. Que outra altura lhe convém?",
        [("request_callback", {"date": "2026-11-13", "time": "23:00"})],
    )
    assert stage.hears("Então às seis da tarde.")[1] == [("request_callback", {"date": "2026-11-13", "time": "18:00"})]


CALLBACK = (tool("request_callback", date={"type": "string"}, time={"type": "string"}),)
AT = f"{PT} Data e hora: terça-feira, 24 de novembro de 2026, 15h40."


def test_a_day_that_is_missing_is_asked_for() -> None:
    assert reply(*GREETED, user("Ligue-me no dia de anos."), instructions=AT, tools=CALLBACK).text == "Com certeza. Em que dia?"


def test_what_the_platform_will_not_do_is_said_frankly() -> None:
    asked = Line("call", "{}", "request_callback", "c1")
    answer = Line("output", "Não é possível marcar outra chamada para este número. Diz isso com franqueza.", "", "c1")
    said = reply(*GREETED, user("Ligue-me amanhã às dez."), asked, answer, instructions=AT, tools=CALLBACK)
    assert (said.text, said.calls) == ("Peço desculpa, essa chamada não a posso marcar, mas tomo nota para a equipa.", ())


@pytest.mark.parametrize(
    ("text", "instructions", "tools"),
    [
        ("Ligue-me amanhã às dez.", AT, ()),
        ("Ligue-me amanhã às dez.", PT, CALLBACK),
        ("Não me liguem mais, nem amanhã às dez.", AT, CALLBACK),
        ("Queria uma mesa para amanhã às oito.", AT, CALLBACK),
        ("Não me ligue amanhã.", AT, CALLBACK),
    ],
)
def test_nothing_is_booked_without_a_wish_a_clock_and_a_tool(text: str, instructions: str, tools: tuple[dict[str, object], ...]) -> None:
    assert [call.name for call in reply(*GREETED, user(text), instructions=instructions, tools=tools).calls] == []
