"""Editing, previewing and publishing a persona in the admin."""

from typing import Any

import pytest
import time_machine
from django.db.models import QuerySet
from django.urls import reverse

from accounts.models import Organization, Role, User
from personas import publishing
from personas.forms import now_where
from personas.models import Fact, Persona, PersonaVersion
from personas.prompts import CallFacts, instructions_for
from tests.conftest import Login
from tests.factories import FactFactory, PersonaFactory

ADD = "/admin/personas/persona/add/"


def messages(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


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


def change(persona: Persona) -> str:
    return reverse("admin:personas_persona_change", args=[persona.pk])


def verb(name: str, persona: Persona) -> str:
    return reverse(f"admin:personas_persona_{name}", args=[persona.pk])


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
    assert boxes == {"lookup_information": (True, None), "transfer_to_human": (True, None)} | obligatory
    client.post(change(persona), form_of(persona, tools=["end_call", "transfer_to_human"]))
    assert Persona.objects.get().tools == ["transfer_to_human"]


def test_models_that_go_away_say_when(alice: User, persona: Persona, login: Login) -> None:
    choices = dict(login(alice).get(change(persona)).context["adminform"].form.fields["model"].choices)
    assert choices[""] == "the platform's: gpt-realtime-2.1-mini"
    assert choices["gpt-realtime"] == "gpt-realtime · shuts down on 2027-01-20"
    assert choices["gpt-realtime-2"] == "gpt-realtime-2"


def test_the_page_says_what_temperature_is_for(alice: User, persona: Persona, login: Login) -> None:
    help_text = str(login(alice).get(change(persona)).context["adminform"].form.fields["temperature"].help_text)
    assert help_text.startswith("Used wherever a text model answers. The voice models have no temperature any more")


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


# --- Publishing ---------------------------------------------------------------------------------------------------------------


def test_publishing_asks_first_and_says_what_changed(alice: User, persona: Persona, login: Login) -> None:
    client = login(alice)
    assert messages(client.post(verb("publish", persona), follow=True)) == ["What is published says the same: there is nothing to publish."]
    Persona.objects.update(greeting="Outra?", voice="cedar")
    asked = client.get(verb("publish", persona))
    assert asked.context["sentences"][1] == "Changed since version 1: greeting, voice."
    assert persona.versions.count() == 1
    assert messages(client.post(verb("publish", persona), follow=True)) == ["Version 2 is published."]
    assert PersonaVersion.objects.get(number=2).published_by == alice


def test_a_first_publication_says_so(alice: User, organization: Organization, login: Login) -> None:
    asked = login(alice).get(verb("publish", PersonaFactory(organization=organization)))
    assert asked.context["sentences"][1] == "It is not published now."


def test_what_cannot_be_published_says_why(alice: User, organization: Organization, login: Login) -> None:
    persona = PersonaFactory(organization=organization, voice="nova")
    assert messages(login(alice).post(verb("publish", persona), follow=True)) == [
        "The persona cannot be published as it is: There is no voice “nova”."
    ]


def test_withdrawing_asks_first(alice: User, persona: Persona, login: Login) -> None:
    client = login(alice)
    assert client.get(verb("withdraw", persona)).context["is_danger"] is True
    assert Persona.objects.get().published is not None
    assert messages(client.post(verb("withdraw", persona), follow=True)) == ["The persona is withdrawn."]
    assert Persona.objects.get().published is None
    assert client.post(verb("withdraw", persona)).status_code == 403


@pytest.mark.parametrize(
    ("bob_role", "buttons"),
    [
        (Role.MANAGER, ["call", "preview", "publish", "withdraw"]),
        (Role.OPERATOR, ["call", "preview"]),
        (Role.AUDITOR, ["preview"]),
    ],
)
def test_a_role_has_its_buttons(bob: User, buttons: list[str], persona: Persona, login: Login) -> None:
    page = login(bob).get(change(persona))
    assert [action["path"].split("/")[-2] for action in page.context["actions_detail"]] == buttons
    reached = {"call": "place_call"}
    for name in ("call", "preview", "publish", "withdraw"):
        status = login(bob).get(verb(reached.get(name, name), persona)).status_code
        assert (name, status != 403) == (name, name in buttons)


def test_a_call_is_placed_on_the_page_of_calls(bob: User, persona: Persona, login: Login) -> None:
    answer = login(bob).get(verb("place_call", persona))
    assert (answer.status_code, answer["Location"]) == (302, f"/admin/calls/call/place/?persona={persona.pk}")


def test_no_call_is_placed_with_a_draft(alice: User, organization: Organization, login: Login) -> None:
    assert login(alice).get(verb("place_call", PersonaFactory(organization=organization))).status_code == 403


# --- Preview ------------------------------------------------------------------------------------------------------------------


@time_machine.travel("2026-11-12T15:40:00Z", tick=False)
def test_the_preview_is_the_exact_prompt(bob: User, persona: Persona, persona_version: PersonaVersion, login: Login) -> None:
    answer = login(bob).get(verb("preview", persona))
    call = CallFacts(
        organization="Taberna do Cais",
        of_organization="da Taberna do Cais",
        purpose="demo_call",
        now=now_where("pt-PT"),
        max_minutes=5,
        customer_name="Ana Lopes",
    )
    assert "".join(part.text for part in answer.context["parts"]) == instructions_for(persona_version, call)
    assert "quinta-feira, 12 de novembro de 2026, 15h40" in answer.content.decode()
    assert answer.context["opening"].startswith("Olá, fala a assistente virtual de inteligência artificial da Taberna do Cais.")
    assert answer.context["greeting"] == "Em que posso ajudar?"
    assert answer.context["tools"] == ["lookup_information", "end_call", "register_opt_out", "wrong_number"]


def test_the_preview_takes_an_example_call(alice: User, persona: Persona, login: Login) -> None:
    Persona.objects.update(variables=["prato"], instructions="Prato: {{ prato }}", voice="cedar")
    client = login(alice)
    query = {
        "version": "",
        "customer_name": "Zé",
        "purpose": "marketing",
        "max_minutes": "3",
        "transfer_available": "on",
        "variable_prato": "polvo",
    }
    answer = client.get(verb("preview", persona), query)
    text = answer.content.decode()
    assert "autorizou que lhe ligássemos com propostas" in answer.context["opening"]
    assert [piece in text for piece in ("Prato: polvo", ">Zé</span>", ">3</span>")] == [True] * 3
    assert "transfer_to_human" in answer.context["tools"]
    published = client.get(verb("preview", persona), {**query, "version": "1"})
    assert "Prato" not in "".join(part.text for part in published.context["parts"])


def test_a_wrong_example_is_said_and_the_usual_one_shown(alice: User, persona: Persona, login: Login) -> None:
    answer = login(alice).get(verb("preview", persona), {"max_minutes": "99", "purpose": "demo_call", "customer_name": "Zé"})
    assert list(answer.context["form"].errors) == ["max_minutes"]
    assert ">5</span>" in answer.content.decode()


def test_what_cannot_be_filled_in_is_said(alice: User, persona: Persona, login: Login) -> None:
    Persona.objects.update(instructions="{{ nome }}")
    answer = login(alice).get(verb("preview", persona))
    assert answer.context["problem"].startswith("There is no variable “nome” here.")
    assert "As regras que valem" not in answer.content.decode()


def test_markup_in_a_prompt_is_shown_as_text(alice: User, persona: Persona, login: Login) -> None:
    Persona.objects.update(instructions="<script>alert(1)</script>")
    FactFactory(persona=persona, key="x", title="<b>x</b>")
    for path in (verb("preview", persona), change(persona)):
        assert "<script>alert(1)</script>" not in login(alice).get(path).content.decode()


# --- Reading ------------------------------------------------------------------------------------------------------------------


def test_who_only_reads_reads_lists_and_not_json(bob: User, persona: Persona, login: Login) -> None:
    Persona.objects.update(
        instructions="um\ndois <b>", variables=["prato"], analysis=[{"name": "a", "type": "choice", "options": ["x", "y"]}]
    )
    text = login(bob).get(change(persona)).content.decode()
    for piece in (
        "um<br>dois &lt;b&gt;",
        "Não prometes nada.",
        "prato",
        "a: choice x | y",
        "end_call: says goodbye and hangs up",
        "a que horas abrem",
    ):
        assert (piece, piece in text) == (piece, True)
    assert "[&quot;" not in text


def test_a_version_shows_its_text_and_cannot_be_changed(
    alice: User, persona: Persona, persona_version: PersonaVersion, login: Login
) -> None:
    client = login(alice)
    path = reverse("admin:personas_personaversion_change", args=[persona_version.pk])
    text = client.get(path).content.decode()
    for piece in ("Atendes pela", "Abrimos às nove da manhã", "a que horas abrem, a que horas fecham", "Não prometes nada."):
        assert (piece, piece in text) == (piece, True)
    assert [client.post(path, {"greeting": "x"}).status_code, client.get("/admin/personas/personaversion/add/").status_code] == [403, 403]
    assert path in client.get(change(persona)).content.decode()
    assert client.get("/admin/personas/personaversion/").status_code == 200


def test_a_version_without_facts_is_shown_too(alice: User, organization: Organization, login: Login) -> None:
    version = publishing.publish(by=None, persona=PersonaFactory(organization=organization, never=[]))
    assert login(alice).get(reverse("admin:personas_personaversion_change", args=[version.pk])).status_code == 200
