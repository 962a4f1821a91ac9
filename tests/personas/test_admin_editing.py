"""Editing a persona in the admin."""

from typing import Any

import pytest
from django.db.models import QuerySet
from django.urls import reverse

from accounts.models import Organization, User
from personas import publishing
from personas.models import Fact, Persona
from tests.conftest import Login
from tests.factories import FactFactory, PersonaFactory

from .pages import change, messages, verb

ADD = "/admin/personas/persona/add/"


def form_of(persona: Persona | None = None, facts: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    """What a browser would send: the persona's page as it stands, with `fields` changed and the facts given."""
    values: dict[str, Any] = {
        "name": "Loja",
        "slug": "loja",
        "role_name": "",
        "summary": "",
        "locale": "pt-PT",
        "self_gender": "feminino",
        "greeting": "Em que posso ajudar?",
        "instructions": "Atendes pela {{ organization }}.",
        "never": "Não prometes.\r\n\r\n  Não mentes.  ",
        "variables": "",
        "voice": "cedar",
        "model": "",
        "speed": "1.10",
        "reasoning_effort": "low",
        "temperature": "0.5",
        "tools": ["lookup_information"],
        "transfer_number": "",
        "ring_timeout_s": "30",
        "max_duration_s": "180",
        "max_attempts": "2",
        "retry_busy_after_min": "5",
        "retry_no_answer_after_min": "",
        "retry_technical_after_min": "1",
        "try_saying": "A que horas abrem?",
        "sample_call": "Boa tarde.\nAté amanhã!",
        "analysis": "pessoas: number\ninteresse: choice alto | baixo",
    }
    rows: QuerySet[Fact] | list[Fact] = persona.fact_rows.all() if persona else []
    values |= {"fact_rows-TOTAL_FORMS": len(rows) + len(facts or []), "fact_rows-INITIAL_FORMS": len(rows)}
    versions = persona.versions.all() if persona else []
    values |= {"versions-TOTAL_FORMS": len(versions), "versions-INITIAL_FORMS": len(versions)}
    for number, version in enumerate(versions):
        values |= {f"versions-{number}-id": version.pk, f"versions-{number}-persona": version.persona_id}
    for number, row in enumerate(rows):
        old = {"id": row.pk, "persona": row.persona_id, "title": row.title, "value": row.value, "aliases": "\n".join(row.aliases)}
        values |= {f"fact_rows-{number}-{name}": value for name, value in old.items()}
    for number, new in enumerate(facts or [], len(rows)):
        values |= {f"fact_rows-{number}-{name}": value for name, value in new.items()}
    return values | fields


def errors(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context["adminform"].form.errors)


def fact_errors(answer: Any) -> list[dict[str, list[str]]]:
    return [dict(form) for form in answer.context["inline_admin_formsets"][0].formset.errors]


def test_a_new_persona_needs_no_code(alice: User, organization: Organization, login: Login) -> None:
    facts = [
        {"title": "Horário de almoço", "value": "Do meio-dia às três.", "aliases": "a que horas almoçam\r\n\r\nalmoços", "key": ""},
        {"title": "morada", "value": "Rua da Barca.", "aliases": "", "key": "onde"},
    ]
    client = login(alice)
    assert client.post(ADD, form_of(facts=facts, organization=organization.pk)).status_code == 302
    persona = Persona.objects.get()
    assert (persona.organization, persona.slug, persona.never) == (organization, "loja", ["Não prometes.", "Não mentes."])
    assert (persona.tools, persona.sample_call, persona.published) == (["lookup_information"], ["Boa tarde.", "Até amanhã!"], None)
    assert persona.analysis == [
        {"name": "pessoas", "type": "number"},
        {"name": "interesse", "type": "choice", "options": ["alto", "baixo"]},
    ]
    assert list(persona.fact_rows.values_list("key", "aliases")) == [
        ("horario_de_almoco", ["a que horas almoçam", "almoços"]),
        ("onde", []),
    ]
    assert messages(client.post(verb("publish", persona), follow=True))[-1] == "Version 1 is published."
    assert publishing.version_for(organization=organization, persona="loja").voice == "cedar"


def test_saving_what_the_page_shows_changes_nothing(alice: User, persona: Persona, login: Login) -> None:
    persona.analysis = [{"name": "a", "type": "string"}, {"name": "b", "type": "choice", "options": ["x", "y"]}]
    persona.save()
    client = login(alice)
    form = client.get(change(persona)).context["adminform"].form
    shown = {name: form[name].value() for name in form.fields}
    assert client.post(change(persona), form_of(persona, **{k: "" if v is None else v for k, v in shown.items()})).status_code == 302
    assert publishing.changes_of(Persona.objects.get()) == ["analysis"]
    assert Persona.objects.get().analysis == persona.analysis


def test_new_facts_stand_after_the_old_ones(alice: User, persona: Persona, login: Login) -> None:
    new = [{"title": title, "value": "Sim.", "aliases": "", "key": ""} for title in ("b", "a")]
    login(alice).post(change(persona), form_of(persona, facts=new))
    assert [fact.title for fact in persona.fact_rows.all()] == ["horário", "b", "a"]


def test_a_facts_key_stays(alice: User, persona: Persona, login: Login) -> None:
    fields = {"fact_rows-0-key": "outra", "fact_rows-0-title": "outro título"}
    login(alice).post(change(persona), form_of(persona, **fields))
    assert list(persona.fact_rows.values_list("key", "title")) == [("horario", "outro título")]


def test_a_fact_is_deleted(alice: User, persona: Persona, login: Login) -> None:
    login(alice).post(change(persona), form_of(persona, **{"fact_rows-0-DELETE": "on"}))
    assert not persona.fact_rows.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("instructions", "Olá {{ nome }}"),
        ("instructions", "{% if a %}"),
        ("instructions", "x" * 8_001),
        ("greeting", "Olá {{ customer_name }}"),
        ("never", "{{ prato }}"),
        ("variables", "organization"),
        ("voice", "nova"),
        ("model", "gpt-4"),
        ("tools", ["drop_tables"]),
        ("speed", "9"),
        ("transfer_number", "912"),
        ("max_duration_s", "5"),
        ("never", "x\n" * 31),
        ("never", "x" * 20_001),
        ("analysis", "pessoas"),
        ("analysis", "pessoas: date"),
        ("analysis", "cor: choice azul"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_not_saved(field: str, value: Any, alice: User, persona: Persona, login: Login) -> None:
    answer = login(alice).post(change(persona), form_of(persona, **{field: value}))
    assert (answer.status_code, list(errors(answer))) == (200, [field])
    assert publishing.changes_of(Persona.objects.get()) == []


def test_an_effort_that_the_model_does_not_make_is_said(alice: User, persona: Persona, login: Login) -> None:
    answer = login(alice).post(change(persona), form_of(persona, model="gpt-realtime-1.5"))
    assert list(errors(answer)) == ["reasoning_effort"]


def test_a_declared_variable_may_be_used(alice: User, persona: Persona, login: Login) -> None:
    fields = {"variables": "prato\nmesa_1", "instructions": "{{ prato }}", "greeting": "{{ mesa_1 }}?"}
    assert login(alice).post(change(persona), form_of(persona, **fields)).status_code == 302
    assert Persona.objects.get().variables == ["prato", "mesa_1"]


@pytest.mark.parametrize(
    ("fact", "wrong"),
    [
        ({"title": "x", "value": "a " * 46, "aliases": ""}, ["value"]),
        ({"title": "x", "value": "", "aliases": "a\n" * 31}, ["aliases", "value"]),
        ({"title": "x", "value": "a", "aliases": "", "key": "a b"}, ["key"]),
        ({"title": "", "value": "a", "aliases": ""}, ["title"]),
        ({"title": "時間", "value": "a", "aliases": ""}, ["key"]),
    ],
)
def test_what_is_wrong_with_a_fact_is_said_at_its_field(fact: Any, wrong: list[str], alice: User, persona: Persona, login: Login) -> None:
    answer = login(alice).post(change(persona), form_of(persona, facts=[fact]))
    assert sorted(fact_errors(answer)[1]) == wrong
    assert persona.fact_rows.count() == 1


def test_two_facts_of_one_key_are_refused(alice: User, persona: Persona, login: Login) -> None:
    twice = {"title": "horário", "value": "Sim.", "aliases": "", "key": "horario"}
    assert login(alice).post(change(persona), form_of(persona, facts=[twice])).status_code == 200
    assert persona.fact_rows.count() == 1


def test_there_are_at_most_a_hundred_facts(alice: User, persona: Persona, login: Login) -> None:
    many = [{"title": f"t{n}", "value": "Sim.", "aliases": "", "key": ""} for n in range(100)]
    assert login(alice).post(change(persona), form_of(persona, facts=many)).status_code == 200
    assert persona.fact_rows.count() == 1


def test_a_slug_is_one_personas_and_stays_when_it_was_published(
    alice: User, organization: Organization, persona: Persona, login: Login
) -> None:
    client = login(alice)
    draft = PersonaFactory(organization=organization, slug="rascunho")
    assert list(errors(client.post(change(draft), form_of(draft, slug="restaurante")))) == ["slug"]
    assert client.post(change(draft), form_of(draft, slug="outro")).status_code == 302
    assert client.post(ADD, form_of(organization=organization.pk, slug="restaurante")).status_code == 200
    client.post(change(persona), form_of(persona, slug="mudado"))
    assert set(Persona.objects.values_list("slug", flat=True)) == {"outro", "restaurante"}


def test_a_persona_stays_in_its_organization(alice: User, persona: Persona, other_organization: Organization, login: Login) -> None:
    login(alice).post(change(persona), form_of(persona, organization=other_organization.pk))
    assert Persona.objects.get().organization == persona.organization


def test_the_obligatory_tools_are_shown_and_cannot_be_chosen(alice: User, persona: Persona, login: Login) -> None:
    client = login(alice)
    widget = client.get(change(persona)).context["adminform"].form["tools"]
    boxes = {
        box.data["value"]: (box.data["selected"] or "checked" in box.data["attrs"], box.data["attrs"].get("disabled")) for box in widget
    }
    obligatory = dict.fromkeys(["end_call", "register_opt_out", "wrong_number"], (True, True))
    optional = {"lookup_information": (True, None), "transfer_to_human": (True, None), "request_callback": (False, None)}
    assert boxes == optional | obligatory
    client.post(change(persona), form_of(persona, tools=["end_call", "transfer_to_human"]))
    assert Persona.objects.get().tools == ["transfer_to_human"]


def test_models_that_go_away_say_when(alice: User, persona: Persona, login: Login) -> None:
    choices = dict(login(alice).get(change(persona)).context["adminform"].form.fields["model"].choices)
    assert choices[""] == "the platform's: gpt-realtime-2.1-mini"
    assert choices["gpt-realtime"] == "gpt-realtime · shuts down on 2027-01-20"
    assert choices["gpt-realtime-2"] == "gpt-realtime-2"


def test_the_page_says_what_temperature_is_for(alice: User, persona: Persona, login: Login) -> None:
    help_text = str(login(alice).get(change(persona)).context["adminform"].form.fields["temperature"].help_text)
    assert help_text.startswith("For text models. The voice models have no temperature any more")


def test_staff_see_the_opening_and_cannot_change_it(alice: User, persona: Persona, login: Login) -> None:
    page = login(alice).get(change(persona))
    assert "Olá, fala a assistente virtual de inteligência artificial da Taberna do Cais." in page.content.decode()
    assert "opening" not in page.context["adminform"].form.fields


def test_the_list_says_what_is_published(alice: User, organization: Organization, persona: Persona, login: Login) -> None:
    PersonaFactory(organization=organization, slug="rascunho")
    client = login(alice)
    pages = client.get(reverse("admin:personas_persona_changelist")).context["cl"].model_admin
    assert [str(pages.state(p)[1]) for p in Persona.objects.order_by("slug")] == ["never published", "version 1"]
    Persona.objects.filter(pk=persona.pk).update(greeting="Outra?")
    assert pages.state(Persona.objects.get(pk=persona.pk)) == ("changed", "version 1, changed since")
    publishing.withdraw(by=alice, persona=persona)
    assert pages.state(persona) == ("draft", "withdrawn")


def test_who_edits_cannot_delete_what_was_published(alice: User, organization: Organization, persona: Persona, login: Login) -> None:
    draft = PersonaFactory(organization=organization, slug="rascunho")
    FactFactory(persona=draft)
    client = login(alice)
    path = "admin:personas_persona_delete"
    assert client.post(reverse(path, args=[persona.pk]), {"post": "yes"}).status_code == 403
    assert client.post(reverse(path, args=[draft.pk]), {"post": "yes"}).status_code == 302
    assert list(Persona.objects.all()) == [persona]
