from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.locales import Locale
from accounts.models import Organization, User
from personas import publishing, seeding
from personas.models import Fact, Persona
from tests.factories import OrganizationFactory, PersonaFactory


def bring_a_newer_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a later release would: the restaurante has another greeting, and one fact."""
    read = seeding._read
    newer = {
        **read("pt-PT", "restaurante"),
        "greeting": "Saudação nova?",
        "facts": [{"key": "novo", "title": "novo", "value": "Sim.", "aliases": []}],
    }
    monkeypatch.setattr(seeding, "_read", lambda locale, slug: newer if slug == "restaurante" else read(locale, slug))


def test_an_organization_gets_three_published_personas(organization: Organization) -> None:
    assert seeding.seed(organization) == 3
    personas = Persona.objects.filter(organization=organization)
    assert {p.slug: (p.name, p.locale, p.voice, p.fact_rows.count()) for p in personas} == {
        "restaurante": ("Restaurante", "pt-PT", "marin", 34),
        "clinica": ("Clínica", "pt-PT", "marin", 34),
        "vendedor": ("Vendedor", "pt-PT", "cedar", 33),
    }
    for persona in personas:
        assert persona.published is not None
        assert (persona.published.number, publishing.changes_of(persona)) == (1, [])
    assert organization.personas_seeded_at is not None


def test_seeding_again_changes_nothing(organization: Organization) -> None:
    seeding.seed(organization)
    before = list(Persona.objects.values())
    assert seeding.seed(organization) == 0
    assert list(Persona.objects.values()) == before


@pytest.mark.parametrize(("locale", "language"), [(Locale.PT_BR, "pt-BR"), (Locale.EN, "pt-PT")])
def test_the_personas_speak_the_organizations_language(db: None, locale: str, language: str) -> None:
    organization = OrganizationFactory(locale=locale)
    seeding.seed(organization)
    assert set(organization.personas.values_list("slug", "locale")) == {(slug, language) for slug in seeding.SLUGS}


def test_the_site_shows_those_of_the_demo_organization_alone(organization: Organization) -> None:
    demo = OrganizationFactory(is_demo=True)
    for each in (organization, demo):
        seeding.seed(each)
    assert set(Persona.objects.filter(is_public=True).values_list("organization", flat=True)) == {demo.pk}


def test_nothing_is_wrong_with_what_is_seeded(db: None) -> None:
    for locale in (Locale.PT_PT, Locale.PT_BR):
        organization = OrganizationFactory(locale=locale)
        seeding.seed(organization)
        for persona in organization.personas.all():
            publishing.check_publishable(persona)


def test_a_newer_text_reaches_what_nobody_touched(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    seeding.seed(organization)
    bring_a_newer_text(monkeypatch)
    assert seeding.seed(organization) == 1
    persona = Persona.objects.get(slug="restaurante")
    assert persona.published is not None
    assert (persona.greeting, persona.published.number, persona.published.greeting) == ("Saudação nova?", 2, "Saudação nova?")
    assert [fact.key for fact in persona.fact_rows.all()] == ["novo"]
    assert seeding.seed(organization) == 0


def test_a_text_that_staff_changed_stays(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    seeding.seed(organization)
    Persona.objects.filter(slug="restaurante").update(greeting="A nossa saudação?")
    bring_a_newer_text(monkeypatch)
    assert seeding.seed(organization) == 0
    assert Persona.objects.get(slug="restaurante").greeting == "A nossa saudação?"


def test_a_fact_that_staff_changed_keeps_the_whole_persona(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    seeding.seed(organization)
    Fact.objects.filter(persona__slug="restaurante", key="morada").update(value="Outra rua.")
    bring_a_newer_text(monkeypatch)
    assert seeding.seed(organization) == 0
    assert Fact.objects.get(persona__slug="restaurante", key="morada").value == "Outra rua."


def test_calling_limits_that_staff_changed_stay(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    seeding.seed(organization)
    Persona.objects.filter(slug="restaurante").update(retry_busy_after_min=None)
    bring_a_newer_text(monkeypatch)
    assert (seeding.seed(organization), Persona.objects.get(slug="restaurante").retry_busy_after_min) == (0, None)


def test_a_digest_of_before_there_were_calling_limits_still_tells_that_nobody_edited(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [name for name in seeding.TEXT_FIELDS if name not in seeding.CAME_LATER]
    with monkeypatch.context() as then:
        then.setattr(seeding, "TEXT_FIELDS", before)
        seeding.seed(organization)
    bring_a_newer_text(monkeypatch)
    assert seeding.seed(organization) == 1
    assert Persona.objects.get(slug="restaurante").max_attempts == 2


def test_a_persona_of_that_name_that_staff_made_stays(organization: Organization) -> None:
    PersonaFactory(organization=organization, slug="restaurante", greeting="A nossa?")
    assert seeding.seed(organization) == 2
    assert Persona.objects.get(slug="restaurante").greeting == "A nossa?"


def test_a_withdrawn_persona_is_not_published_by_a_newer_text(
    organization: Organization, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeding.seed(organization)
    publishing.withdraw(by=alice, persona=Persona.objects.get(slug="restaurante"))
    bring_a_newer_text(monkeypatch)
    assert seeding.seed(organization) == 1
    persona = Persona.objects.get(slug="restaurante")
    assert (persona.greeting, persona.published) == ("Saudação nova?", None)


def test_the_queue_worker_seeds_one_due_organization_a_step(organization: Organization, other_organization: Organization) -> None:
    OrganizationFactory(is_active=False)
    assert [seeding.seed_due_organizations() for _ in range(3)] == [True, True, False]
    assert Persona.objects.count() == 6


def test_a_seeding_that_fails_is_due_again(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(seeding, "SLUGS", ("restaurante", "none"))
        with pytest.raises(FileNotFoundError):
            seeding.seed_due_organizations()
    assert not Persona.objects.exists()
    assert seeding.seed_due_organizations() is True


def test_an_organization_that_always_fails_starves_no_other(
    organization: Organization, other_organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    Organization.objects.filter(pk=organization.pk).update(locale="xx")
    assert organization.pk < other_organization.pk
    seed_file = seeding._read

    def read(locale: str, slug: str) -> dict[str, object]:
        if locale == "xx":
            raise FileNotFoundError(locale)
        return seed_file(locale, slug)

    monkeypatch.setattr(seeding, "_read", read)
    assert seeding.seed_due_organizations() is True
    assert set(Persona.objects.values_list("organization", flat=True)) == {other_organization.pk}
    with pytest.raises(FileNotFoundError):
        seeding.seed_due_organizations()


def test_the_command_seeds_all_or_one(organization: Organization, other_organization: Organization) -> None:
    out = StringIO()
    call_command("seed_personas", organization="taberna", stdout=out)
    assert out.getvalue() == "taberna: 3 personas made or changed\n"
    assert not other_organization.personas.exists()
    call_command("seed_personas", stdout=StringIO())
    assert other_organization.personas.count() == 3
    with pytest.raises(CommandError, match="There is no active organization “nada”"):
        call_command("seed_personas", organization="nada")
