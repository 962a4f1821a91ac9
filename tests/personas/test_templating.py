import pytest
from hypothesis import given
from hypothesis import strategies as st

from personas.exceptions import BrokenVariable, PromptTooLong, UnknownVariable
from personas.templating import MAX_RENDERED, MAX_TEMPLATE, MAX_VALUE, check_template, render


def test_variables_are_filled_in_with_and_without_spaces() -> None:
    assert render("{{ a }}, {{b}} e {{  a\t}}.", {"a": "um", "b": "dois"}) == "um, dois e um."


def test_what_was_filled_in_is_not_filled_in_again() -> None:
    assert render("{{ a }}{{ b }}", {"a": "{{ b }}", "b": "{{ a }}{% x %}"}) == "{{ b }}{{ a }}{% x %}"


def test_pieces_that_become_a_variable_together_stay_text() -> None:
    assert render("{{ a }} b }}", {"a": "{{"}) == "{{ b }}"


@pytest.mark.parametrize(
    "text", ["{{ a.b }}", "{{ a() }}", "{{ a|upper }}", "{{ 1 }}", "{{ a b }}", "{{}}", "{{ a", "a }}", "{% if a %}", "{# a #}", "{{ a\n}}"]
)
def test_nothing_but_names_is_a_variable(text: str) -> None:
    with pytest.raises(BrokenVariable) as refusal:
        check_template(text, {"a"})
    assert "only {{ name }} is" in str(refusal.value)
    assert render(text, {"a": "x"}) == text


def test_an_unknown_variable_is_named_with_those_that_are_known() -> None:
    with pytest.raises(UnknownVariable) as refusal:
        check_template("Olá {{ nome }}", {"b", "a"})
    assert str(refusal.value) == "There is no variable “nome” here. Known are: a, b."
    with pytest.raises(UnknownVariable):
        render("{{ nome }}", {})


def test_a_text_has_its_longest_length() -> None:
    check_template("x" * MAX_TEMPLATE, set())
    with pytest.raises(PromptTooLong) as refusal:
        check_template("x" * (MAX_TEMPLATE + 1), set())
    assert refusal.value.facts == {"length": MAX_TEMPLATE + 1, "most": MAX_TEMPLATE}


def test_a_text_that_would_grow_too_long_is_refused_before_it_does() -> None:
    fits = MAX_TEMPLATE // MAX_VALUE
    check_template("{{a}}" * fits, {"a"})
    with pytest.raises(PromptTooLong):
        check_template("{{a}}" * (fits + 1), {"a"})


def test_filling_in_has_an_end() -> None:
    assert len(render("{{ a }}", {"a": "x" * MAX_RENDERED})) == MAX_RENDERED
    with pytest.raises(PromptTooLong):
        render("{{ a }}{{ a }}", {"a": "x" * MAX_RENDERED})


@given(st.text(alphabet="{}%# ab\n", max_size=60))
def test_a_checked_text_can_always_be_filled_in(text: str) -> None:
    try:
        check_template(text, {"a"})
    except (BrokenVariable, UnknownVariable):
        return
    assert "{{" not in render(text, {"a": "x"})
