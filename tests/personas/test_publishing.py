import pytest
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from accounts.exceptions import NotAllowed
from accounts.models import Organization, User
from personas import publishing
from personas.exceptions import NotPublishable, UnknownPersona, UnknownVersion, UnpublishedPersona
from personas.models import Persona, PersonaVersion
from tests.factories import FactFactory, PersonaFactory


def test_publishing_freezes_the_draft_and_its_facts(organization: Organization, alice: User) -> None:
    persona = PersonaFactory(organization=organization, slug="loja", variables=["prato"])
    FactFactory(persona=persona, key="b", title="segundo", position=2)
    FactFactory(persona=persona, key="a", title="primeiro", value="Sim.", aliases=["x"], position=1)
    version = publishing.publish(by=alice, persona=persona)
    assert (version.number, version.slug, version.published_by, persona.published) == (1, "loja", alice, version)
    assert {name: getattr(version, name) for name in publishing.TEXT_FIELDS} == {
        name: getattr(persona, name) for name in publishing.TEXT_FIELDS
    }
    assert version.facts[0] == {"key": "a", "title": "primeiro", "value": "Sim.", "aliases": ["x"]}
    assert [fact["key"] for fact in version.facts] == ["a", "b"]


def test_editing_afterwards_changes_the_draft_alone(persona: Persona, persona_version: PersonaVersion, alice: User) -> None:
    persona.greeting = "Outra saudação?"
    persona.save()
    persona.fact_rows.update(value="Outra coisa.")
    assert publishing.changes_of(persona) == ["greeting", "facts"]
    persona_version.refresh_from_db()
    assert persona_version.greeting == "Em que posso ajudar?"
    second = publishing.publish(by=alice, persona=persona)
    assert (second.number, second.greeting, publishing.changes_of(persona)) == (2, "Outra saudação?", [])
    assert [str(version) for version in persona.versions.all()] == ["Restaurante v2", "Restaurante v1"]


def test_publishing_what_is_published_makes_no_other_version(persona: Persona, persona_version: PersonaVersion, alice: User) -> None:
    assert publishing.publish(by=alice, persona=persona) == persona_version
    assert persona.versions.count() == 1


def test_everything_differs_from_nothing(organization: Organization) -> None:
    assert publishing.changes_of(PersonaFactory(organization=organization)) == [*publishing.TEXT_FIELDS, "facts"]


def test_a_draft_with_something_wrong_is_not_published(organization: Organization, alice: User) -> None:
    persona = PersonaFactory(organization=organization, greeting="{{ nome }}")
    FactFactory(persona=persona, title="horário", value="a " * 50)
    with pytest.raises(NotPublishable) as refusal:
        publishing.publish(by=alice, persona=persona)
    assert set(refusal.value.problems) == {"greeting", "facts"}
    assert str(refusal.value).startswith("The persona cannot be published as it is: There is no variable “nome” here.")
    assert not PersonaVersion.objects.exists()


def test_a_prompt_that_some_call_would_make_too_long_is_not_published(organization: Organization) -> None:
    persona = PersonaFactory(organization=organization, variables=["prato"], never=["{{ prato }} " * 20] * 4)
    publishing.check_publishable(persona)
    persona.never *= 2
    with pytest.raises(NotPublishable) as refusal:
        publishing.check_publishable(persona)
    assert set(refusal.value.problems) == {"instructions"}
    assert "at most 40000 fit" in str(refusal.value)


def test_a_refusal_may_speak_of_braces(organization: Organization) -> None:
    persona = PersonaFactory(organization=organization, greeting="{{ a.b }} {x}")
    with pytest.raises(NotPublishable) as refusal:
        publishing.check_publishable(persona)
    assert "“{{ a.b }} {x}” is not a variable: only {{ name }} is." in str(refusal.value)


def test_only_who_may_publish_publishes_and_withdraws(persona: Persona, bob: User, carla: User) -> None:
    for user in (bob, carla):
        with pytest.raises(NotAllowed):
            publishing.publish(by=user, persona=persona)
        with pytest.raises(NotAllowed):
            publishing.withdraw(by=user, persona=persona)
    persona.refresh_from_db()
    assert persona.published is not None


def test_a_withdrawn_persona_takes_no_call_until_it_is_published_again(persona: Persona, organization: Organization, alice: User) -> None:
    publishing.withdraw(by=alice, persona=persona)
    with pytest.raises(UnpublishedPersona) as refusal:
        publishing.version_for(organization=organization, persona="restaurante")
    assert str(refusal.value) == "The persona “restaurante” is not published: publish it first."
    assert publishing.publish(by=alice, persona=persona).number == 2


def test_a_call_gets_the_published_version_or_the_one_it_names(persona: Persona, organization: Organization, alice: User) -> None:
    first = persona.published
    persona.greeting = "Olá?"
    persona.save()
    second = publishing.publish(by=alice, persona=persona)
    assert publishing.version_for(organization=organization, persona="restaurante") == second
    assert publishing.version_for(organization=organization, persona=str(persona.pk)) == second
    assert publishing.version_for(organization=organization, persona="restaurante", version=1) == first


def test_a_slug_of_digits_comes_before_an_id(persona: Persona, organization: Organization) -> None:
    numbered = PersonaFactory(organization=organization, slug=str(persona.pk))
    publishing.publish(by=None, persona=numbered)
    assert publishing.version_for(organization=organization, persona=str(persona.pk)).persona == numbered


@pytest.mark.parametrize("number", [0, 2, -1, 2**31, 10**30])
def test_an_unknown_version_is_said_to_be(persona: Persona, organization: Organization, number: int) -> None:
    with pytest.raises(UnknownVersion) as refusal:
        publishing.version_for(organization=organization, persona="restaurante", version=number)
    assert str(refusal.value) == f"The persona “restaurante” has no version {number}."


@pytest.mark.parametrize("name", ["nada", "", "0", "9" * 30, "²", "{x}", "x" * 200])
def test_an_unknown_persona_is_said_to_be(persona: Persona, organization: Organization, name: str) -> None:
    with pytest.raises(UnknownPersona) as refusal:
        publishing.version_for(organization=organization, persona=name)
    assert str(refusal.value) == f"There is no persona “{name[:40]}” here."


def test_another_organizations_persona_is_as_unknown_as_none(persona: Persona, other_organization: Organization) -> None:
    for name in ("restaurante", str(persona.pk)):
        with pytest.raises(UnknownPersona):
            publishing.version_for(organization=other_organization, persona=name)


def test_what_was_published_is_never_deleted_with_its_draft(persona: Persona) -> None:
    with pytest.raises(ProtectedError):
        persona.delete()


def test_the_database_keeps_slugs_keys_and_numbers_apart(persona: Persona, persona_version: PersonaVersion) -> None:
    for make in (
        lambda: PersonaFactory(organization=persona.organization, slug="restaurante"),
        lambda: FactFactory(persona=persona, key="horario"),
        lambda: PersonaVersion.objects.create(persona=persona, number=1),
        lambda: PersonaVersion.objects.create(persona=persona, number=0),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            make()


def test_rows_are_named_for_people_to_read(persona: Persona) -> None:
    assert (str(persona), str(persona.fact_rows.get())) == ("Restaurante", "horário")
