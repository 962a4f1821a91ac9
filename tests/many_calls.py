"""Thousands of calls in the queue, made at once: of several organizations, each number in one call."""

from datetime import timedelta
from uuid import uuid4

from django.utils import timezone

from accounts.models import Organization
from calls.models import Call, LineKind
from calls.states import Status
from contacts.models import Consent
from personas.models import PersonaVersion

from .call_factories import make_consent
from .factories import OrganizationFactory, published_version
from .numbers import pt_mobile


def organizations_that_phone(count: int) -> list[PersonaVersion]:
    """A persona of each: «p0» of the first, «p1» of the second, …"""
    return [published_version(organization=OrganizationFactory(phone_line=True), slug=f"p{n}") for n in range(count)]


def put_into_the_queue(version: PersonaVersion, count: int, *, status: Status = Status.QUEUED, due_in: timedelta = timedelta(0)) -> None:
    """So many phone calls of the version's organization, a millisecond apart, the last one due in `due_in`.

    They share one consent and one encrypted number, and differ in the index by which a number is known.
    """
    organization: Organization = version.persona.organization
    consent: Consent = make_consent(organization=organization, number=pt_mobile())
    now = timezone.now()
    calls = []
    for left in range(count, 0, -1):
        call_id = uuid4()
        due_at = now + due_in - timedelta(milliseconds=left)
        calls.append(
            Call(
                id=call_id,
                organization=organization,
                persona=version.persona,
                persona_version=version,
                line=LineKind.PHONE,
                room=f"call_{version.slug}_{call_id}",
                contact=consent.contact,
                consent=consent,
                number=pt_mobile(),
                number_index=call_id.hex,
                ring_timeout_s=30,
                max_duration_s=300,
                status=status,
                created_at=now,
                queued_at=now if status == Status.QUEUED else None,
                due_at=due_at,
                expires_at=due_at + timedelta(hours=12),
            )
        )
    Call.objects.bulk_create(calls, batch_size=1000)
