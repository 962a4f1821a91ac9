"""What a person took back is not given again by the same evidence, nor by a declaration that was made before (R1)."""

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from accounts.models import ApiKey, Organization
from calls import lifecycle
from calls.exceptions import Refused
from calls.orders import CallOrder, Requester
from calls.requests import request_call
from calls.states import Outcome, Status
from contacts import consents
from contacts.models import Consent
from tests.call_factories import a_requester, an_order

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("persona_version", "phone_line")]


def refused(organization: Organization, by: Requester, order: CallOrder) -> tuple[str, str]:
    with translation.override("en"), pytest.raises(Refused) as raised:
        request_call(organization=organization, by=by, order=order)
    return raised.value.code, str(raised.value)


def test_a_declaration_says_when_people_agreed_and_holds_from_the_call_on(organization: Organization, api_key: ApiKey) -> None:
    declared_at = timezone.now() - timedelta(days=300)
    api_key.consent_declared_at = declared_at
    call = request_call(organization=organization, by=a_requester(api_key=api_key), order=an_order(consent=None)).call
    assert call.consent is not None
    assert (call.consent.obtained_at, call.consent.expires_at) == (declared_at, call.created_at + timedelta(days=30))


def test_evidence_that_was_taken_back_is_no_evidence_a_second_time(organization: Organization, api_key: ApiKey) -> None:
    order, by = an_order(), a_requester(api_key=api_key)
    call = request_call(organization=organization, by=by, order=order).call
    lifecycle.end(call, by="test", outcome=Outcome.BUSY, reason="dial.busy")
    consents.revoke(consent=Consent.objects.get())
    taken_back = ("policy.consent", "The person took their consent back.")
    assert refused(organization, by, order) == refused(organization, by, an_order(consent=None)) == taken_back
    # Who agrees again may be called again.
    assert request_call(organization=organization, by=by, order=an_order()).call.status == Status.QUEUED
