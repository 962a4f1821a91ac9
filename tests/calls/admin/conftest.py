"""Calls for the staff to look at."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Organization, User
from calls.models import Call
from calls.requests import CallOrder, ConsentClaim, Requester, request_call
from personas.models import PersonaVersion
from tests.factories import published_version
from tests.numbers import pt_mobile

MakeCall = Callable[..., Call]


@pytest.fixture
def make_call(organization: Organization, persona_version: PersonaVersion, alice: User) -> MakeCall:
    """`make_call(n)`: a call of Alice's organization to the n-th number, with consent, in the queue."""

    def make(n: int = 1, **more: Any) -> Call:
        consent = ConsentClaim(purpose="transactional", basis="order form", obtained_at=timezone.now(), text_version="2026-11")
        order = CallOrder(phone_number=pt_mobile(n), persona=persona_version.slug, **{"customer_name": "Ana", "consent": consent} | more)
        return request_call(organization=organization, by=Requester(user=alice, address="203.0.113.9"), order=order).call

    return make


@pytest.fixture
def carlas_call(other_organization: Organization, carla: User) -> Call:
    """A call of the other organization, to a number that Alice calls as well."""
    version = published_version(organization=other_organization, slug="clinica", name="Clínica")
    order = CallOrder(phone_number=pt_mobile(1), persona=version.slug, customer_name="Segredo")
    return request_call(organization=other_organization, by=Requester(user=carla), order=order).call
