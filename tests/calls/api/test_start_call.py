"""Asking for a call."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import api_keys
from accounts.models import Membership, Organization, Role, Scope, User
from calls.models import Call, CallRequest
from calls.orders import EXPIRES_AFTER
from contacts.models import Consent, Contact
from personas.models import PersonaVersion
from tests.conftest import Login
from tests.factories import MembershipFactory
from tests.numbers import pt_mobile

from .conftest import CALLS, CONSENT, START, ApiClient

pytestmark = pytest.mark.django_db
TAKES_A_CALL = pytest.mark.parametrize("address", [START, START + "/", CALLS, CALLS.rstrip("/")])


@TAKES_A_CALL
def test_a_call_is_in_the_queue_when_the_request_is_answered(api: ApiClient, order: dict[str, Any], address: str) -> None:
    answer = api.post(address, order)
    call = Call.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {
        "id": str(call.pk),
        "status": "queued",
        "line": "sandbox",
        "simulated": True,
        "room": f"call_restaurante_{call.pk}",
        "organization": "taberna",
        "persona": {"slug": "restaurante", "version": 1},
        "phone_number": "+351 9•• ••• 001",
        "metadata": {},
        "attempt": 1,
        "retry_of": None,
        "retries": [],
        "callback_of": None,
        "callback": None,
        "ring_timeout_s": 30,
        "max_duration_s": 300,
        "outcome": None,
        "ended_reason": None,
        "ended_by": None,
        "fault": None,
        "retryable": None,
        "note": "",
        "priority": "normal",
        "schedule": {"earliest": _iso(call.created_at), "latest": _iso(call.created_at + EXPIRES_AFTER)},
        "queue": None,
        "created_at": _iso(call.created_at),
        "queued_at": _iso(call.created_at),
        "dispatched_at": None,
        "dialing_at": None,
        "ringing_at": None,
        "answered_at": None,
        "ended_at": None,
        "duration_s": None,
        "sip": {"status_code": None, "status": "", "call_id": ""},
        "opening": {"spoken": "", "heard_to_end": None, "at_ms": None},
        "latency": {},
        "usage": {},
        "status_url": f"http://testserver/api/v1/calls/{call.pk}/",
        "transcript_url": f"http://testserver/api/v1/calls/{call.pk}/transcript/",
        "cancel_url": f"http://testserver/api/v1/calls/{call.pk}/cancel/",
    }


def _iso(at: Any) -> str:
    return str(at.isoformat().replace("+00:00", "Z"))


def test_the_addresses_in_the_answer_lead_to_the_call(api: ApiClient, order: dict[str, Any]) -> None:
    said = api.post(START, order).json()
    assert api.get(said["status_url"]).json()["id"] == said["id"]
    assert api.get(said["transcript_url"]).json() == {"turns": []}
    assert api.post(said["cancel_url"]).json()["status"] == "ended"


def test_the_person_and_the_evidence_are_kept_with_the_call(api: ApiClient, order: dict[str, Any]) -> None:
    api.post(START, order | {"consent": CONSENT}, HTTP_USER_AGENT="till/1.0")
    consent = Consent.objects.get()
    assert Contact.objects.get().name == "Ana"
    assert (consent.purpose, consent.basis, consent.reference, consent.user_agent, consent.address) == (
        "transactional",
        "order form, box ticked",
        "order 4417",
        "till/1.0",
        "127.0.0.1",
    )
    assert Call.objects.get().consent == consent


def test_the_full_form_says_all_that_can_be_said(api: ApiClient, order: dict[str, Any]) -> None:
    PersonaVersion.objects.update(variables=["table"])
    more = {
        "persona_version": 1,
        "line": "sandbox",
        "variables": {"table": "4"},
        "metadata": {"order": 4417, "tags": ["a", None, 1.5]},
        "ring_timeout_s": 20,
        "max_duration_s": 60,
        "consent": CONSENT,
        "organization": "taberna",
    }
    said = api.post(CALLS, order | more).json()
    call = Call.objects.get()
    assert (said["metadata"], said["ring_timeout_s"], said["max_duration_s"]) == (more["metadata"], 20, 60)
    assert (call.variables, call.persona_version.number, call.customer_name) == ({"table": "4"}, 1, "Ana")


def test_a_persona_may_be_named_by_its_id(api: ApiClient, order: dict[str, Any], persona_version: PersonaVersion) -> None:
    for number, name in enumerate((persona_version.persona_id, str(persona_version.persona_id)), 1):
        answer = api.post(START, order | {"persona": name, "phone_number": pt_mobile(number)})
        assert answer.json()["persona"] == {"slug": "restaurante", "version": 1}


def test_a_name_is_not_needed(api: ApiClient, order: dict[str, Any]) -> None:
    del order["customer_name"]
    assert api.post(START, order).status_code == 202


@pytest.mark.usefixtures("phone_line")
def test_the_phone_is_the_line_where_there_is_one(api: ApiClient, order: dict[str, Any]) -> None:
    said = api.post(START, order).json()
    assert (said["line"], said["simulated"]) == ("phone", False)


@pytest.mark.usefixtures("phone_line")
def test_the_sandbox_can_be_asked_for_where_there_is_a_phone(api: ApiClient, order: dict[str, Any]) -> None:
    assert api.post(CALLS, order | {"line": "sandbox"}).json()["line"] == "sandbox"


def test_an_accepted_request_is_kept(api: ApiClient, order: dict[str, Any]) -> None:
    said = api.post(START, order)
    kept = CallRequest.objects.get()
    assert (kept.accepted, kept.code, kept.channel, kept.number, kept.persona, kept.address) == (
        True,
        "accepted",
        "api",
        pt_mobile(1),
        "restaurante",
        "127.0.0.1",
    )
    assert str(kept.call_id) == said.json()["id"]
    assert kept.request_id == said.headers["X-Request-ID"]


def test_a_request_needs_one_query_for_the_key_and_one_transaction(
    api: ApiClient, order: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    api.post(START, order)
    # Key, savepoint in the place of the transaction, persona, consents taken back, suppressions, contact, consent, call, event,
    # request; and PostgreSQL's NOTIFY for the dialer.
    with django_assert_num_queries(12 if connection.vendor == "postgresql" else 11):
        api.post(START, order | {"phone_number": pt_mobile(2)})


def test_a_person_who_is_logged_in_needs_no_key(login: Login, alice: User, order: dict[str, Any]) -> None:
    answer = ApiClient(client=login(alice)).post(START, order | {"consent": CONSENT})
    call = Call.objects.get()
    assert answer.status_code == 202
    assert (call.requested_by, call.api_key) == (alice, None)


def test_a_session_needs_the_csrf_token(alice: User, order: dict[str, Any]) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    refused = ApiClient(client=browser).post(START, order | {"consent": CONSENT})
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    assert CallRequest.objects.get().code == "csrf_failed"

    browser.cookies["csrftoken"] = token = "a" * 32
    accepted = ApiClient(client=browser).post(START, order | {"consent": CONSENT}, HTTP_X_CSRFTOKEN=token)
    assert accepted.status_code == 202


def test_somebody_of_two_organizations_says_for_which(
    login: Login, alice: User, organization: Organization, other_organization: Organization, order: dict[str, Any]
) -> None:
    MembershipFactory(organization=other_organization, user=alice, role=Role.OPERATOR)
    browser = ApiClient(client=login(alice))
    refused = browser.post(CALLS, order | {"consent": CONSENT})
    assert (refused.status_code, refused.json()["code"]) == (422, "which_organization")
    assert refused.json()["errors"][0]["pointer"] == "/organization"
    assert browser.post(CALLS, order | {"consent": CONSENT, "organization": "taberna"}).status_code == 202


def test_a_key_calls_for_its_own_organization_only(api: ApiClient, order: dict[str, Any], other_organization: Organization) -> None:
    refused = api.post(CALLS, order | {"organization": other_organization.slug})
    assert (refused.status_code, refused.json()["code"]) == (422, "which_organization")
    assert refused.json()["errors"][0]["detail"].endswith(": taberna.")


def test_an_auditor_starts_no_call(login: Login, alice: User, order: dict[str, Any]) -> None:
    Membership.objects.filter(user=alice).update(role=Role.AUDITOR)
    refused = ApiClient(client=login(alice)).post(START, order | {"consent": CONSENT})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert CallRequest.objects.get().user == alice


def test_a_key_without_a_declaration_brings_its_own_consent(
    alice: User, organization: Organization, order: dict[str, Any], request: Any
) -> None:
    request.getfixturevalue("phone_line")
    _key, raw = api_keys.issue(by=alice, organization=organization, name="till", scopes=Scope.values)
    refused = ApiClient(raw).post(START, order)
    assert (refused.status_code, refused.json()["code"]) == (422, "consent.missing")
    assert refused.json()["errors"][0]["pointer"] == "/consent"
    assert ApiClient(raw).post(START, order | {"consent": CONSENT}).status_code == 202
