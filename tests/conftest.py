"""Three people: Alice owns the organization, Bob is in her team, Carla owns another one and must see nothing of hers."""

from collections.abc import Callable

import pytest
from django.test import Client
from hypothesis import settings

from accounts import api_keys
from accounts.models import ApiKey, Membership, Organization, Role, Scope, User
from personas.models import Persona, PersonaVersion

from .factories import MembershipFactory, OrganizationFactory, PlatformAdminFactory, UserFactory, published_version

Login = Callable[[User], Client]
# For searches by hand: pytest --hypothesis-profile long
settings.register_profile("long", max_examples=1000, stateful_step_count=80, deadline=None)


@pytest.fixture
def organization(db: None) -> Organization:
    return OrganizationFactory(name="Taberna do Cais", slug="taberna", of_organization="da Taberna do Cais")


@pytest.fixture
def other_organization(db: None) -> Organization:
    return OrganizationFactory(name="Clínica das Oliveiras", slug="oliveiras", of_organization="da Clínica das Oliveiras")


@pytest.fixture
def alice(organization: Organization) -> User:
    """Owns the organization."""
    return MembershipFactory(organization=organization, user=UserFactory(email="alice@example.com", name="Alice"), role=Role.OWNER).user


@pytest.fixture
def bob_role() -> Role:
    """Bob's role; a test takes another by `@pytest.mark.parametrize("bob_role", …)`."""
    return Role.OPERATOR


@pytest.fixture
def bob(organization: Organization, bob_role: Role) -> User:
    """Works in Alice's organization."""
    return MembershipFactory(organization=organization, user=UserFactory(email="bob@example.com", name="Bob"), role=bob_role).user


@pytest.fixture
def carla(other_organization: Organization) -> User:
    """Owns the other organization."""
    return MembershipFactory(
        organization=other_organization, user=UserFactory(email="carla@example.com", name="Carla"), role=Role.OWNER
    ).user


@pytest.fixture
def platform_admin(db: None) -> User:
    return PlatformAdminFactory(email="platform@example.com")


@pytest.fixture
def membership(alice: User, organization: Organization) -> Membership:
    """Alice's."""
    return Membership.objects.get(user=alice, organization=organization)


@pytest.fixture
def login() -> Login:
    """`login(alice)` is a browser in which she is logged in."""

    def log_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def persona_version(organization: Organization) -> PersonaVersion:
    """Version 1 of Alice's persona «restaurante», with the fact «horario»."""
    return published_version(organization=organization, slug="restaurante", name="Restaurante")


@pytest.fixture
def persona(persona_version: PersonaVersion) -> Persona:
    """Alice's persona «restaurante», published."""
    return persona_version.persona


@pytest.fixture
def issued_key(organization: Organization, alice: User) -> tuple[ApiKey, str]:
    """A key of Alice's organization with both scopes and a standing declaration of consent, and the key itself."""
    consent = api_keys.Declaration(purpose="transactional", basis="contact form", text_version="2026-11")
    return api_keys.issue(by=alice, organization=organization, name="site", scopes=Scope.values, consent=consent)


@pytest.fixture
def api_key(issued_key: tuple[ApiKey, str]) -> ApiKey:
    return issued_key[0]


@pytest.fixture
def raw_key(issued_key: tuple[ApiKey, str]) -> str:
    return issued_key[1]
