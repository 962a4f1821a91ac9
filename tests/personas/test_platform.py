"""The opening, the moments and the tools: what the platform says itself."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from pytest_django import Settings

from accounts.locales import Locale
from accounts.purposes import Purpose
from personas import voices
from personas.moments import in_words, spoken
from personas.opening import opening_again, opening_key, opening_text
from personas.platform import words
from personas.tools_registry import OBLIGATORY, OPTIONAL, REGISTRY, tools_for


def test_the_opening_says_who_for_whom_why_and_how_to_stop() -> None:
    text = opening_text(
        locale="pt-PT", gender="masculino", of_organization="do Zé", organization="Oficina do Zé", purpose=Purpose.DEMO_CALL
    )
    assert text == (
        "Olá, fala o assistente virtual de inteligência artificial do Zé. Estou a ligar porque pediu esta chamada no nosso site. "
        "Se preferir que não voltemos a ligar, basta dizer «não me liguem mais»."
    )


def test_in_english_the_organization_needs_no_article() -> None:
    text = opening_text(locale="en", gender="feminino", of_organization="da Taberna", organization="Taberna", purpose="marketing")
    assert text.startswith("Hello, this is the artificial-intelligence virtual assistant of Taberna. I'm calling because you agreed")


def test_brazil_has_its_own_words() -> None:
    text = opening_text(locale="pt-BR", gender="feminino", of_organization="da Casa", organization="Casa", purpose="transactional")
    assert text.startswith(
        "Oi, aqui é a assistente virtual de inteligência artificial da Casa. Estou ligando porque você nos pediu este contato."
    )


def test_said_again_it_is_shorter_and_says_the_same() -> None:
    text = opening_again(locale="pt-PT", gender="feminino", of_organization="da Casa", organization="Casa", purpose="marketing")
    assert text == (
        "Só para ficar claro: fala a assistente virtual de inteligência artificial da Casa, e ligo porque autorizou que lhe ligássemos."
    )


def test_a_name_with_braces_is_read_as_it_stands() -> None:
    text = opening_text(locale="en", gender="feminino", of_organization="", organization="{{ assistant }}", purpose="demo_call")
    assert "assistant of {{ assistant }}." in text


def test_every_change_of_voice_is_another_rendering() -> None:
    base = {"text": "Olá", "voice": "marin", "model": "m", "speed": Decimal("1.00"), "endpoint": "https://api.openai.com/v1"}
    others = ({"text": "Oi"}, {"voice": "cedar"}, {"model": "n"}, {"speed": Decimal("0.97")}, {"endpoint": "http://127.0.0.1:9/v1"})
    keys = [opening_key(**base), *(opening_key(**{**base, **other}) for other in others)]  # type: ignore[arg-type]
    assert len(set(keys)) == 6
    assert opening_key(**{**base, "speed": 1.0}) == keys[0]  # type: ignore[arg-type]
    assert {len(key) for key in keys} == {64}


@pytest.mark.parametrize("locale", Locale.values)
def test_every_language_has_every_word(locale: str) -> None:
    say, portuguese = words(locale), words("pt-PT")
    for name in (
        "opening",
        "opening_again",
        "purpose_note",
        "recording_note",
        "transfer_note",
        "notices",
        "tool_answers",
        "spoken_without_model",
    ):
        assert set(getattr(say, name)) == set(getattr(portuguese, name))
    assert set(say.opening) == set(say.opening_again) == set(Purpose.values)


@pytest.mark.parametrize(
    ("moment", "locale", "text"),
    [
        ((2026, 11, 12, 15, 40), "pt-PT", "quinta-feira, 12 de novembro de 2026, 15h40"),
        ((2026, 11, 12, 9, 5), "pt-BR", "quinta-feira, 12 de novembro de 2026, 9h05"),
        ((2026, 3, 1, 0, 0), "pt-PT", "domingo, 1.º de março de 2026, 0h00"),
        ((2026, 3, 1, 0, 0), "pt-BR", "domingo, 1º de março de 2026, 0h00"),
        ((2026, 3, 1, 9, 5), "en", "Sunday, 1 March 2026, 09:05"),
    ],
)
def test_a_moment_is_said_in_words(moment: tuple[int, int, int, int, int], locale: str, text: str) -> None:
    assert in_words(datetime(*moment, tzinfo=ZoneInfo("Europe/Lisbon")), locale) == text


@pytest.mark.parametrize(
    ("moment", "locale", "text"),
    [
        ((2026, 11, 25, 10, 0), "pt-PT", "quarta-feira, dia vinte e cinco de novembro, às dez da manhã"),
        ((2026, 12, 16, 19, 30), "pt-PT", "quarta-feira, dia dezasseis de dezembro, às sete e meia da tarde"),
        ((2026, 12, 1, 13, 15), "pt-PT", "terça-feira, dia um de dezembro, à uma e quinze da tarde"),
        ((2026, 12, 1, 14, 41), "pt-BR", "terça-feira, dia primeiro de dezembro, às duas e quarenta e um da tarde"),
        ((2026, 12, 16, 19, 30), "pt-BR", "quarta-feira, dia dezesseis de dezembro, às sete e meia da noite"),
        ((2026, 12, 20, 12, 30), "pt-PT", "domingo, dia vinte de dezembro, ao meio-dia e meia"),
        ((2026, 12, 31, 0, 0), "pt-PT", "quinta-feira, dia trinta e um de dezembro, à meia-noite"),
        ((2026, 11, 25, 10, 0), "en", "Wednesday the twenty-fifth of November, at ten in the morning"),
        ((2026, 12, 16, 19, 30), "en", "Wednesday the sixteenth of December, at half past seven in the evening"),
        ((2026, 12, 31, 20, 5), "en", "Thursday the thirty-first of December, at eight oh five in the evening"),
        ((2026, 12, 1, 13, 15), "en", "Tuesday the first of December, at one fifteen in the afternoon"),
        ((2026, 12, 20, 12, 0), "en", "Sunday the twentieth of December, at noon"),
        ((2026, 12, 22, 0, 0), "en", "Tuesday the twenty-second of December, at midnight"),
        ((2026, 12, 30, 0, 41), "en", "Wednesday the thirtieth of December, at twelve forty-one in the morning"),
    ],
)
def test_a_moment_is_said_aloud(moment: tuple[int, int, int, int, int], locale: str, text: str) -> None:
    assert spoken(datetime(*moment, tzinfo=ZoneInfo("Europe/Lisbon")), locale) == text


def test_three_tools_belong_to_every_persona() -> None:
    assert OBLIGATORY == ("end_call", "register_opt_out", "wrong_number")
    assert OPTIONAL == ("lookup_information", "transfer_to_human", "request_callback")
    assert all(str(tool.title) for tool in REGISTRY.values())


@pytest.mark.parametrize(
    ("chosen", "has_facts", "transfer", "extra"),
    [
        (["transfer_to_human", "lookup_information"], True, True, ["lookup_information", "transfer_to_human"]),
        (["transfer_to_human", "lookup_information"], False, False, []),
        ([], True, True, []),
        (["transfer_to_human"], True, True, ["transfer_to_human"]),
        (["request_callback"], False, False, ["request_callback"]),
    ],
)
def test_a_tool_that_cannot_work_on_a_call_is_left_out(chosen: list[str], has_facts: bool, transfer: bool, extra: list[str]) -> None:
    assert tools_for(chosen, has_facts=has_facts, transfer_available=transfer) == [*extra, *OBLIGATORY]


def test_the_platforms_model_is_a_setting(settings: Settings) -> None:
    settings.REALTIME_MODEL = "house-model"
    assert voices.model_of("") == "house-model"
    assert [name for name in ("", "house-model", "gpt-realtime-2.1", "gpt-4") if voices.may_use_model(name)] == [
        "",
        "house-model",
        "gpt-realtime-2.1",
    ]
    assert (voices.may_reason(""), voices.may_reason("gpt-realtime-2.1"), voices.may_reason("gpt-realtime-1.5")) == (True, True, False)
    assert voices.DEFAULT_VOICE in voices.VOICES
