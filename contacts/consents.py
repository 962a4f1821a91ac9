"""Consents: the evidence that a person agreed to be called (R1). Rows are added and revoked, never edited."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from accounts import looks
from accounts.models import Organization
from accounts.purposes import Purpose

from .exceptions import ConsentEnded, ConsentExpired, ConsentNotYetGiven, ConsentRevoked
from .models import Consent, Contact

# R1: a demonstration's consent ends a day after it, one for offers after 24 months. What a person asked for is done within a month.
HOLDS_FOR = {
    Purpose.DEMO_CALL: timedelta(hours=24),
    Purpose.TRANSACTIONAL: timedelta(days=30),
    Purpose.MARKETING: timedelta(days=730),
}
TAKEN_BACK = """
SELECT 1 FROM contacts_consent
WHERE organization_id = %(organization)s AND number_index = %(number_index)s AND revoked_at >= %(since)s
    AND (%(simulated)s OR NOT simulated)
LIMIT 1
"""
# Clocks of clients are not ours.
CLOCKS_DIFFER_BY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How a consent came to be: what was agreed to, when, where, and who says so.

    `purpose` is one of Purpose; `channel` is api, api_key_declaration, staff, site or call; `declared_by` is "key:7", "user:42" or
    "call:<id>".
    """

    purpose: str
    basis: str
    channel: str
    text_version: str
    locale: str
    obtained_at: datetime
    declared_by: str
    text: str = ""
    reference: str = ""
    address: str | None = None
    user_agent: str = ""
    page: str = ""
    # A key's declaration stands anew for each call: what it says was agreed to long ago holds from the recording on.
    holds_from: datetime | None = None


def prepare(*, organization: Organization, number_index: str, evidence: Evidence, simulated: bool) -> Consent:
    """A consent that is not in the database yet: the policy is asked about it before anything is written."""
    return Consent(
        organization=organization,
        number_index=number_index,
        purpose=evidence.purpose,
        basis=evidence.basis,
        channel=evidence.channel,
        text=evidence.text,
        text_version=evidence.text_version,
        locale=evidence.locale,
        reference=evidence.reference,
        obtained_at=evidence.obtained_at,
        address=evidence.address,
        user_agent=evidence.user_agent[:255],
        page=evidence.page[:255],
        declared_by=evidence.declared_by,
        expires_at=(evidence.holds_from or evidence.obtained_at) + HOLDS_FOR[Purpose(evidence.purpose)],
        simulated=simulated,
    )


def record(consent: Consent, *, contact: Contact) -> Consent:
    """Keep a prepared consent, for this contact."""
    consent.contact = contact
    consent.save(force_insert=True)
    return consent


def check_given(obtained_at: datetime, *, at: datetime) -> None:
    """Raise ConsentNotYetGiven for a time after `at`, as far as clocks agree."""
    if obtained_at > at + CLOCKS_DIFFER_BY:
        raise ConsentNotYetGiven


def check_holds(consent: Consent, *, at: datetime) -> None:
    """Raise ConsentRevoked, ConsentExpired or ConsentNotYetGiven unless the consent holds at that time."""
    if consent.revoked_at:
        raise ConsentRevoked
    check_given(consent.obtained_at, at=at)
    if consent.expires_at <= at:
        raise ConsentExpired(until=f"{timezone.localtime(consent.expires_at):%Y-%m-%d %H:%M}")


def check_not_taken_back(consent: Consent, *, simulated: bool) -> None:
    """Raise ConsentRevoked when the person took a consent to this organization back after they gave this one.

    The same evidence again is no new consent. `simulated` also reads what was taken back on the sandbox.
    """
    named = {
        "organization": consent.organization_id,
        "number_index": consent.number_index,
        "since": connection.ops.adapt_datetimefield_value(consent.obtained_at),
        "simulated": simulated,
    }
    if looks.finds(TAKEN_BACK, named):
        raise ConsentRevoked


def holds(consent: Consent, *, at: datetime) -> bool:
    try:
        check_holds(consent, at=at)
    except ConsentEnded:
        return False
    return True


def revoke(*, consent: Consent) -> bool:
    """Take a consent back, from now on. False: it was taken back before."""
    now = timezone.now()
    if not Consent.objects.filter(pk=consent.pk, revoked_at=None).update(revoked_at=now):
        return False
    consent.revoked_at = now
    return True
