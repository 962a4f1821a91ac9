"""The evidence that a person agreed to be called (R1)."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone, translation

from accounts.models import Organization
from accounts.purposes import Purpose
from contacts import consents, numbers
from contacts.exceptions import ConsentEnded, ConsentExpired, ConsentNotYetGiven, ConsentRevoked
from contacts.models import Consent
from tests.call_factories import make_consent
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(("purpose", "days"), [(Purpose.DEMO_CALL, 1), (Purpose.TRANSACTIONAL, 30), (Purpose.MARKETING, 730)], ids=str)
def test_a_consent_holds_as_long_as_its_purpose_allows(organization: Organization, purpose: Purpose, days: int) -> None:
    consent = make_consent(organization=organization, purpose=purpose, obtained_at=NOON)
    assert consents.holds(consent, at=NOON + timedelta(days=days, seconds=-1))
    assert not consents.holds(consent, at=NOON + timedelta(days=days))


def test_an_expired_consent_says_until_when_it_held(organization: Organization) -> None:
    consent = make_consent(organization=organization, purpose=Purpose.DEMO_CALL, obtained_at=NOON)
    with translation.override("en"), pytest.raises(ConsentExpired, match=r"^The person's consent held until 2026-11-24 12:00\.$"):
        consents.check_holds(consent, at=NOON + timedelta(days=2))


def test_a_consent_of_the_future_is_none_but_clocks_may_differ(organization: Organization) -> None:
    consent = make_consent(organization=organization, obtained_at=NOON)
    consents.check_holds(consent, at=NOON - timedelta(minutes=5))
    with pytest.raises(ConsentNotYetGiven):
        consents.check_holds(consent, at=NOON - timedelta(minutes=6))


def test_a_consent_that_was_taken_back_holds_no_more(organization: Organization) -> None:
    consent = make_consent(organization=organization)
    assert consents.revoke(consent=consent)
    with pytest.raises(ConsentRevoked):
        consents.check_holds(consent, at=timezone.now())
    with pytest.raises(ConsentEnded):
        consents.check_holds(Consent.objects.get(), at=timezone.now())


def test_taking_a_consent_back_twice_keeps_the_first_time(organization: Organization) -> None:
    consent = make_consent(organization=organization)
    consents.revoke(consent=consent)
    first = Consent.objects.get().revoked_at
    assert not consents.revoke(consent=make_copy(consent))
    assert Consent.objects.get().revoked_at == first


def make_copy(consent: Consent) -> Consent:
    copy = Consent.objects.get(pk=consent.pk)
    copy.revoked_at = None
    return copy


def test_a_consent_keeps_who_said_so_and_what_was_agreed_to(organization: Organization) -> None:
    evidence = consents.Evidence(
        purpose=Purpose.MARKETING,
        basis="order form, box ticked",
        channel="api",
        text_version="7",
        locale="pt-PT",
        obtained_at=NOON,
        declared_by="key:3",
        text="Aceito ser contactado.",
        reference="order 12",
        address="192.0.2.7",
        user_agent="x" * 300,
        page="/encomenda",
    )
    prepared = consents.prepare(organization=organization, number_index=numbers.index_of(pt_mobile()), evidence=evidence, simulated=True)
    assert Consent.objects.count() == 0
    consents.record(prepared, contact=make_consent(organization=organization).contact)  # type: ignore[arg-type]
    kept = Consent.objects.get(basis="order form, box ticked")
    assert (kept.purpose, kept.channel, kept.text_version, kept.text, kept.reference) == (
        "marketing",
        "api",
        "7",
        "Aceito ser contactado.",
        "order 12",
    )
    assert (kept.address, kept.user_agent, kept.page, kept.declared_by) == ("192.0.2.7", "x" * 255, "/encomenda", "key:3")
    assert (kept.simulated, kept.number_verified_by, kept.expires_at) == (True, "not_verified", NOON + timedelta(days=730))
    assert str(kept).endswith(f"{kept.recorded_at:%Y-%m-%d}")


def test_what_was_taken_back_on_the_sandbox_does_not_end_a_consent_to_the_phone(organization: Organization) -> None:
    consents.revoke(consent=make_consent(organization=organization, simulated=True))
    consent = make_consent(organization=organization)
    consents.check_not_taken_back(consent, simulated=False)
    with pytest.raises(ConsentRevoked):
        consents.check_not_taken_back(consent, simulated=True)
