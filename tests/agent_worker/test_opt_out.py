"""A plain “do not call me again”, in the words that people use."""

import pytest

from agent_worker.opt_out import asks_not_to_be_called

OPENING = "Olá, fala a assistente virtual da Casa Azul. Se preferir que não voltemos a ligar, basta dizer «não me liguem mais»."


@pytest.mark.parametrize(
    "said",
    [
        "Não me liguem mais!",
        "não me ligue mais, por favor",
        "Olhe, não voltem a ligar-me.",
        "Não quero que me voltem a contactar.",
        "Nunca mais me telefonem.",
        "Parem de me ligar.",
        "Para de ligar!",
        "Tirem o meu número da vossa lista.",
        "Apague o meu contacto.",
        "Tira da lista o meu número.",
        "Don't call me again.",
        "Do not ever contact us anymore.",
        "Stop calling me!",
        "Take me off your list.",
        "Remove my number from the list, please.",
    ],
)
def test_plain_requests_are_heard(said: str) -> None:
    assert asks_not_to_be_called(said, opening=OPENING) is True


@pytest.mark.parametrize(
    "said",
    [
        "Não me ligue mais tarde, ligue agora.",
        "Não me interessa.",
        "Não me ligue mais logo.",
        "Pode ligar-me mais tarde?",
        "O meu número é outro.",
        "Quero que me liguem mais vezes.",
        "Call me again tomorrow.",
        "",
    ],
)
def test_what_is_not_plain_is_left_to_the_persona(said: str) -> None:
    assert asks_not_to_be_called(said, opening=OPENING) is False


def test_our_own_opening_heard_back_from_a_loudspeaker_is_not_the_callee() -> None:
    assert asks_not_to_be_called("se preferir que não voltemos a ligar, basta dizer não me liguem mais", opening=OPENING) is False
