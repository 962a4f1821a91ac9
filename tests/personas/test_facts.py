"""Facts are found by what callers say: over all six personas that organizations are given."""

import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from personas.facts import lookup

SEEDS = Path(__file__).parents[2] / "personas" / "seeds"
FILES = [f"{locale}/{slug}" for locale in ("pt-PT", "pt-BR") for slug in ("restaurante", "clinica", "vendedor")]

R, C, V = FILES[:3]
BR, BC, BV = FILES[3:]

FOUND = [
    (R, "Vocês servem almoço ao domingo?", "horario_almoco"),
    (R, "A que horas é que fecham à noite?", "horario_jantar"),
    (R, "estão encerrados à segunda feira?", "dia_de_descanso"),
    (R, "Onde é que posso deixar o carro estacionado?", "estacionamento"),
    (R, "a minha mãe anda de cadeira de rodas, consegue entrar?", "acessibilidade"),
    (R, "quanto custa o polvo à lagareiro", "pratos_de_peixe"),
    (R, "PRECO DO BACALHAU", "pratos_de_peixe"),
    (R, "Tem alguma coisa para vegetarianos?", "vegetariano"),
    (R, "a minha filha é celíaca", "alergenios"),
    (R, "entregam em minha casa?", "para_fora"),
    (R, "posso pagar com cartão?", "pagamento"),
    (R, "dá para levar o meu cãozinho?", "animais"),
    (R, "os cães podem entrar", "animais"),
    (R, "quanto é o copo de vinho?", "vinhos_e_bebidas"),
    (R, "quero anular a minha reserva", "cancelamento"),
    (R, "Perdi aí um guarda chuva ontem", "objetos_perdidos"),
    (R, "somos um grupo de vinte pessoas", "grupos"),
    (R, "há fados?", "musica"),
    (R, "posso levar a minha própria garrafa?", "rolha"),
    (R, "que sobremesas há", "sobremesas"),
    (C, "Quanto custa uma consulta no dermatologista?", "dermatologia"),
    (C, "Fazem análises sem marcação, em jejum?", "analises"),
    (C, "queria um psicólogo", "psicologia"),
    (C, "Têm oftalmologista?", "especialidades_que_nao_ha"),
    (C, "aceitam o seguro médico?", "seguros"),
    (C, "O meu bebé precisa de uma consulta", "pediatria"),
    (C, "quero saber se já chegaram os resultados", "resultados"),
    (C, "Preciso renovar a receita", "receitas"),
    (C, "vou atrasar-me dez minutos", "atrasos"),
    (C, "dói-me o peito, é uma emergência", "urgencias"),
    (C, "quanto custa tratar uma cárie", "precos_dentista"),
    (C, "qual é a morada da clínica", "morada"),
    (C, "fazem ecografias?", "exames"),
    (V, "Quanto é que isto custa por mês?", "preco_essencial"),
    (V, "e se eu quiser cancelar o contrato?", "plano_fidelizacao"),
    (V, "dá para integrar com o HubSpot?", "integracoes"),
    (V, "as chamadas ficam gravadas?", "gravacao"),
    (V, "fazem descontos?", "preco_desconto"),
    (V, "o robô finge que é uma pessoa?", "diz_que_e_ia"),
    (V, "posso experimentar antes?", "plano_experimentar"),
    (V, "cumprem o RGPD?", "dados"),
    (V, "isto substitui a minha rececionista?", "substitui_pessoas"),
    (V, "que vozes há?", "vozes"),
    (BR, "Tem lugar pra estacionar?", "estacionamento"),
    (BR, "quanto custa a feijoada?", "feijoada"),
    (BR, "posso levar meus cachorros?", "pets"),
    (BC, "vocês atendem convênio?", "convenios"),
    (BC, "qual o preço do dentista?", "dentista"),
    (BV, "quanto custa por mês?", "preco_essencial"),
    (BV, "posso cancelar quando quiser?", "plano_fidelidade"),
]
NOTHING = [
    (R, "Qual é a capital de França?"),
    (R, "Quem ganhou o jogo do Benfica?"),
    (R, "Que tempo faz amanhã no Porto?"),
    (R, "Ajuda-me com os trabalhos de matemática"),
    (R, "têm piscina?"),
    (R, "vendem bilhetes de avião?"),
    (R, "quantas estrelas Michelin têm"),
    (R, "o que é que tem"),
    (R, "de que"),
    (R, "???"),
    (R, ""),
    (C, "fazem cirurgia plástica ao nariz?"),
    (C, "vendem óculos de sol?"),
    (C, "têm veterinário"),
    (V, "qual é a raiz quadrada de dois"),
    (BR, "vocês têm sushi?"),
    (BC, "vocês vendem passagem aérea?"),
    (BV, "me conta uma piada"),
]


@cache
def facts_in(name: str) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = yaml.safe_load((SEEDS / f"{name}.yaml").read_text(encoding="utf-8"))["facts"]
    return facts


def without_accents(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))


def keys(name: str, question: str) -> list[str]:
    return [fact["key"] for fact in lookup(facts_in(name), question)]


@pytest.mark.parametrize("name", FILES)
def test_every_alias_and_title_finds_its_fact(name: str) -> None:
    lost = [
        (phrase, fact["key"])
        for fact in facts_in(name)
        for phrase in (fact["title"], *fact["aliases"])
        if fact["key"] not in keys(name, phrase)
    ]
    assert lost == []


@pytest.mark.parametrize(("name", "question", "key"), FOUND)
def test_other_wordings_find_the_fact_first(name: str, question: str, key: str) -> None:
    assert keys(name, question)[:1] == [key]


@pytest.mark.parametrize(("name", "question"), NOTHING)
def test_what_no_fact_answers_finds_nothing(name: str, question: str) -> None:
    assert keys(name, question) == []


@pytest.mark.parametrize("name", FILES)
def test_accents_and_case_do_not_matter(name: str) -> None:
    for fact in facts_in(name)[:12]:
        assert keys(name, without_accents(fact["title"]).upper()) == keys(name, fact["title"])


def test_at_most_two_are_told() -> None:
    alike = [{"key": str(n), "title": "preço", "value": "x", "aliases": []} for n in range(5)]
    assert [fact["key"] for fact in lookup(alike, "preços")] == ["0", "1"]
    assert [fact["key"] for fact in lookup(alike, "preços", most=1)] == ["0"]


def test_a_persona_without_facts_has_no_answer() -> None:
    assert lookup([], "preço") == []


def test_english_words_lose_their_endings_too() -> None:
    facts = [{"key": "parking", "title": "parking", "value": "There is a car park.", "aliases": ["where can I park"]}]
    assert [fact["key"] for fact in lookup(facts, "Is there anywhere to park?")] == ["parking"]


def test_a_very_long_question_is_cut() -> None:
    assert keys(R, "x" * 400 + " estacionamento") == []
