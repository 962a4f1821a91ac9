from typing import Any

import pytest

from personas.checking import problems_of, problems_of_fact, problems_of_facts
from personas.models import Persona

FINE = {"name": "R", "instructions": "Olá {{ customer_name }}", "greeting": "Olá?", "voice": "marin", "tools": ["lookup_information"]}
FACT = {"key": "horario", "title": "horário", "value": "Abrimos às nove.", "aliases": ["a que horas abrem"]}


def wrong(**fields: Any) -> dict[str, list[str]]:
    return problems_of(Persona(**{**FINE, **fields}))


def test_nothing_is_wrong_with_a_good_text() -> None:
    assert wrong() == {}
    assert wrong(variables=["prato_1"], instructions="{{ prato_1 }}", greeting="{{ prato_1 }}?", never=["{{ prato_1 }}"]) == {}
    assert wrong(model="gpt-realtime-2.1", reasoning_effort="xhigh") == {}
    assert wrong(analysis=[{"name": "a", "type": "choice", "options": ["x", "y"]}, {"name": "b", "type": "number"}]) == {}


@pytest.mark.parametrize("field", ["instructions", "greeting"])
@pytest.mark.parametrize("text", ["{{ prato }}", "{{ name.first }}", "{% if x %}", "{{ opening }}", "{{ instructions }}"])
def test_an_unknown_variable_is_wrong_in_its_field(field: str, text: str) -> None:
    assert list(wrong(**{field: text})) == [field]


def test_a_rule_with_an_unknown_variable_is_wrong() -> None:
    assert list(wrong(never=["Bem.", "{{ prato }}"])) == ["never"]


def test_a_greeting_has_no_name_in_it() -> None:
    assert wrong(greeting="Olá {{ customer_name }}") == {
        "greeting": ["There is no variable “customer_name” here. Known are: of_organization, organization, persona_name."]
    }


def test_instructions_are_bounded_in_words_and_characters() -> None:
    assert wrong(instructions="a " * 700) == {}
    assert wrong(instructions="a " * 701) == {"instructions": ["The instructions have 701 words; at most 700 are still followed."]}
    assert list(wrong(instructions="x" * 8_001)) == ["instructions"]
    assert list(wrong(greeting="x" * 501)) == ["greeting"]


@pytest.mark.parametrize(("field", "lines", "characters"), [("never", 30, 300), ("try_saying", 10, 200), ("sample_call", 20, 300)])
def test_lists_are_bounded(field: str, lines: int, characters: int) -> None:
    assert wrong(**{field: ["x" * characters] * lines}) == {}
    assert wrong(**{field: ["x"] * (lines + 1)}) == {field: [f"There are {lines + 1} lines; at most {lines} fit."]}
    too_long = f"“{'x' * 24}…” has {characters + 1} characters; at most {characters} fit."
    assert wrong(**{field: ["x" * (characters + 1)]}) == {field: [too_long]}


def test_two_things_wrong_with_one_list_are_both_said() -> None:
    assert len(wrong(never=["{{ prato }}", "x" * 301])["never"]) == 2


@pytest.mark.parametrize("name", ["Prato", "1a", "a b", "prato-1", "", "é", "x" * 41])
def test_a_variable_has_a_plain_name(name: str) -> None:
    assert list(wrong(variables=[name])) == ["variables"]


def test_a_variable_does_not_take_the_platforms_names() -> None:
    assert wrong(variables=["organization"]) == {"variables": ["“organization” is the platform's own: choose another name."]}
    assert list(wrong(variables=[f"v{n}" for n in range(21)])) == ["variables"]


def test_voice_model_effort_and_tools_are_of_the_catalogue() -> None:
    assert wrong(voice="nova") == {"voice": ["There is no voice “nova”."]}
    assert wrong(model="gpt-4") == {"model": ["There is no voice model “gpt-4”."]}
    assert wrong(model="gpt-realtime-1.5", reasoning_effort="low") == {
        "reasoning_effort": ["The model gpt-realtime-1.5 does not reason: leave the effort empty."]
    }
    assert wrong(tools=["end_call", "drop_tables"]) == {
        "tools": ["There is no tool “end_call” to choose.", "There is no tool “drop_tables” to choose."]
    }


def test_fields_to_draw_have_a_name_a_type_and_options() -> None:
    assert list(wrong(analysis=[{"name": "A b", "type": "string"}])) == ["analysis"]
    assert list(wrong(analysis=[{"name": "a", "type": "date"}])) == ["analysis"]
    assert wrong(analysis=[{"name": "a", "type": "choice", "options": ["x"]}]) == {
        "analysis": ["“a” needs at least two options to choose from."]
    }
    assert list(wrong(analysis=[{"name": "a", "type": "number"}] * 21)) == ["analysis"]


def test_a_fact_is_spoken_in_one_breath() -> None:
    assert problems_of_fact(FACT) == {}
    assert list(problems_of_fact({**FACT, "value": "a " * 46})) == ["value"]
    assert list(problems_of_fact({**FACT, "value": "x" * 401})) == ["value"]
    assert list(problems_of_fact({**FACT, "aliases": ["x" * 81]})) == ["aliases"]


def test_facts_are_counted_and_named() -> None:
    assert problems_of_facts([FACT]) == []
    assert problems_of_facts([FACT, FACT]) == ["There are 2 facts with the key “horario”."]
    assert problems_of_facts([{**FACT, "key": str(n)} for n in range(101)]) == ["There are 101 facts; at most 100 fit."]
    assert problems_of_facts([{**FACT, "aliases": ["a"] * 31}]) == ["horário: There are 31 lines; at most 30 fit."]
