"""Calls in any state, and what they are made of, as tests need them."""

import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import Organization
from accounts.purposes import Purpose
from calls.models import Call, LineKind
from calls.orders import CallOrder, ConsentClaim, Requester
from calls.states import Outcome, Reason, Status
from contacts import consents, numbers, people
from contacts.consents import Evidence
from contacts.models import Consent
from personas.models import PersonaVersion
from tests.factories import OrganizationFactory, published_version
from tests.numbers import pt_mobile

# How far a call has come, and the column that says when.
REACHED = {
    Status.QUEUED: "queued_at",
    Status.DISPATCHED: "dispatched_at",
    Status.DIALING: "dialing_at",
    Status.RINGING: "ringing_at",
    Status.IN_PROGRESS: "answered_at",
}
CLAIM = "0123456789abcdef0123456789abcdef"


def make_consent(
    *, organization: Organization, number: str = "", purpose: Purpose = Purpose.TRANSACTIONAL, simulated: bool = False, **columns: Any
) -> Consent:
    """A consent that was given an hour ago, and holds."""
    number = number or pt_mobile()
    evidence = Evidence(
        purpose=purpose,
        basis="contact form",
        channel="api",
        text_version="2026-11",
        locale="pt-PT",
        obtained_at=columns.pop("obtained_at", timezone.now() - timedelta(hours=1)),
        declared_by="key:1",
    )
    consent = consents.prepare(organization=organization, number_index=numbers.index_of(number), evidence=evidence, simulated=simulated)
    for name, value in columns.items():
        setattr(consent, name, value)
    return consents.record(consent, contact=people.know(organization=organization, number=numbers.parse(number)))


def make_call(
    status: Status = Status.QUEUED,
    *,
    line: LineKind = LineKind.PHONE,
    number: str = "",
    version: PersonaVersion | None = None,
    organization: Organization | None = None,
    **columns: Any,
) -> Call:
    """A call that has come to `status`, a second a state; with a consent that holds when it is a phone call."""
    number = number or pt_mobile()
    version = version or published_version(organization=organization or OrganizationFactory())
    organization = version.persona.organization
    if line == LineKind.PHONE and not organization.phone_line:
        # Nobody phones without the right to: who tests that it was taken away takes it away afterwards.
        organization.phone_line = True
        organization.save(update_fields=["phone_line"])
    call_id = uuid.uuid4()
    now = timezone.now()
    defaults: dict[str, Any] = {
        "simulated": line == LineKind.SANDBOX,
        "room": f"call_{version.slug}_{call_id}",
        "contact": people.know(organization=organization, number=numbers.parse(number)),
        "ring_timeout_s": 30,
        "max_duration_s": 300,
        "created_at": now,
        "due_at": now,
        "expires_at": now + timedelta(minutes=15),
        "opening_text": "Olá, fala a assistente virtual de inteligência artificial.",
    }
    if line == LineKind.PHONE and "consent" not in columns:
        defaults["consent"] = make_consent(organization=organization, number=number)
    defaults |= _until(status, now) | columns
    return Call.objects.create(
        id=call_id,
        organization=organization,
        persona=version.persona,
        persona_version=version,
        line=line,
        status=status,
        number=number,
        number_index=numbers.index_of(number),
        **defaults,
    )


def _until(status: Status, now: Any) -> dict[str, Any]:
    if status == Status.SCHEDULED:
        return {}
    if status == Status.ENDED:
        return {"queued_at": now, "ended_at": now, "outcome": Outcome.CANCELED, "ended_reason": Reason.STAFF_CANCELED}
    passed = list(REACHED)[: list(REACHED).index(Status.IN_PROGRESS if status == Status.TRANSFERRING else status) + 1]
    times = {REACHED[state]: now + timedelta(seconds=second) for second, state in enumerate(passed)}
    return times | ({"claim": CLAIM} if status != Status.QUEUED else {})


def an_order(persona: str = "restaurante", phone_number: str = "", **fields: Any) -> CallOrder:
    """An order with a consent of its own."""
    claim = ConsentClaim(purpose=Purpose.TRANSACTIONAL, basis="contact form", obtained_at=timezone.now(), text_version="2026-11")
    return CallOrder(**{"phone_number": phone_number or pt_mobile(), "persona": persona, "consent": claim, **fields})


def a_requester(**fields: Any) -> Requester:
    return Requester(**{"user": None, "address": "192.0.2.7", "request_id": "r-1", "user_agent": "tests", **fields})
