"""Rows of accounts and personas, as tests need them: `UserFactory()`, `PersonaFactory(organization=…)`."""

from typing import Any

import factory

from accounts.models import Membership, Organization, Role, User
from personas.models import Fact, Persona, PersonaVersion
from personas.publishing import publish

PASSWORD = "correct horse battery staple"


class UserFactory(factory.django.DjangoModelFactory[User]):
    """Somebody who may open the admin, and sees there only what a membership allows."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    email = factory.Sequence(lambda n: f"person{n}@example.com")
    name = factory.Sequence(lambda n: f"Person {n}")
    is_staff = True
    password = factory.django.Password(PASSWORD)


class PlatformAdminFactory(UserFactory):
    is_superuser = True


class OrganizationFactory(factory.django.DjangoModelFactory[Organization]):
    class Meta:
        model = Organization

    name = factory.Sequence(lambda n: f"Casa {n}")
    slug = factory.Sequence(lambda n: f"casa-{n}")
    of_organization = factory.LazyAttribute(lambda o: f"da {o.name}")


class MembershipFactory(factory.django.DjangoModelFactory[Membership]):
    class Meta:
        model = Membership

    organization = factory.SubFactory(OrganizationFactory)
    user = factory.SubFactory(UserFactory)
    role = Role.OWNER


class PersonaFactory(factory.django.DjangoModelFactory[Persona]):
    """A draft with nothing wrong in it."""

    class Meta:
        model = Persona

    organization = factory.SubFactory(OrganizationFactory)
    slug = factory.Sequence(lambda n: f"persona-{n}")
    name = "Receção"
    role_name = factory.LazyAttribute(lambda o: f"receção da {o.organization.name}")
    instructions = "# Papel\n- Atendes pela {{ organization }}."
    greeting = "Em que posso ajudar?"
    never = ["Não prometes nada."]
    voice = "marin"
    tools = ["lookup_information", "transfer_to_human"]
    try_saying = ["A que horas abrem?"]
    sample_call = ["Boa tarde. A que horas abrem?", "Obrigada. Até amanhã!"]


class FactFactory(factory.django.DjangoModelFactory[Fact]):
    class Meta:
        model = Fact

    persona = factory.SubFactory(PersonaFactory)
    key = factory.Sequence(lambda n: f"facto_{n}")
    title = "horário"
    value = "Abrimos às nove da manhã e fechamos às sete da tarde."
    aliases = ["a que horas abrem", "a que horas fecham"]
    position = factory.Sequence(int)


def published_version(**fields: Any) -> PersonaVersion:
    """The first version of a persona with one fact, made with the fields given."""
    persona = PersonaFactory(**fields)
    FactFactory(persona=persona, key="horario")
    return publish(by=None, persona=persona)
