"""Publishing, previewing and reading a persona in the admin."""

import pytest
import time_machine
from django.urls import reverse

from accounts.models import Organization, Role, User
from personas import publishing
from personas.forms import now_where
from personas.models import Persona, PersonaVersion
from personas.prompts import CallFacts, instructions_for
from tests.conftest import Login
from tests.factories import FactFactory, PersonaFactory

from .pages import change, messages, verb


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
