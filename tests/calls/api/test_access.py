"""Who may do what: every role, every address, and nobody across organizations."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import api_keys
from accounts.models import Membership, Organization, Role, Scope, User
from calls.models import Call, TurnRole
from calls.transcripts import TurnDraft, record
from tests.conftest import Login

from .conftest import CALLS, CONSENT, START, ApiClient, MakeCall

pytestmark = pytest.mark.django_db

Ask = Callable[[ApiClient, Call, dict[str, Any]], Any]
ADDRESSES: dict[str, Ask] = {
    "start": lambda api, _call, order: api.post(START, order),
    "create": lambda api, _call, order: api.post(CALLS, order),
    "list": lambda api, _call, _order: api.get(CALLS),
    "show": lambda api, call, _order: api.get(f"{CALLS}{call.pk}/"),
    "transcript": lambda api, call, _order: api.get(f"{CALLS}{call.pk}/transcript/"),
    "cancel": lambda api, call, _order: api.post(f"{CALLS}{call.pk}/cancel/"),
}
READS = {"list": 200, "show": 200, "transcript": 200}
ALL = {"start": 202, "create": 202, **READS, "cancel": 200}
CALLS_NOBODY = {"start": 403, "create": 403, **READS, "cancel": 403}
BY_ROLE = {Role.OWNER: ALL, Role.MANAGER: ALL, Role.OPERATOR: ALL, Role.AUDITOR: CALLS_NOBODY}


@pytest.fixture
def full_order(order: dict[str, Any]) -> dict[str, Any]:
    return order | {"consent": CONSENT}


@pytest.mark.parametrize("what", ADDRESSES)
@pytest.mark.parametrize("role", Role)
def test_a_member_may_do_what_the_role_allows(
    login: Login, bob: User, make_call: MakeCall, full_order: dict[str, Any], role: Role, what: str
) -> None:
    Membership.objects.filter(user=bob).update(role=role)
    assert ADDRESSES[what](ApiClient(client=login(bob)), make_call(9), full_order).status_code == BY_ROLE[role][what]


@pytest.mark.parametrize("what", ADDRESSES)
@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        (["calls:read"], {"start": 403, "create": 403, **READS, "cancel": 403}),
        (["calls:write"], {"start": 202, "create": 202, "list": 403, "show": 403, "transcript": 403, "cancel": 200}),
        ([], dict.fromkeys(ADDRESSES, 403)),
        (Scope.values, ALL),
    ],
)
def test_a_key_may_do_what_its_scopes_allow(
    alice: User,
    organization: Organization,
    make_call: MakeCall,
    full_order: dict[str, Any],
    scopes: list[str],
    may: dict[str, int],
    what: str,
) -> None:
    _key, raw = api_keys.issue(by=alice, organization=organization, name="till", scopes=scopes)
    answer = ADDRESSES[what](ApiClient(raw), make_call(9), full_order)
    assert answer.status_code == may[what]
    if may[what] == 403:
        assert answer.json()["code"] == "scope_missing"


@pytest.mark.parametrize("what", ADDRESSES)
def test_nobody_may_do_nothing(anonymous: ApiClient, make_call: MakeCall, full_order: dict[str, Any], what: str) -> None:
    assert ADDRESSES[what](anonymous, make_call(9), full_order).status_code == 401


@pytest.fixture(params=["key", "session"])
def carlas(request: pytest.FixtureRequest, carla: User, other_organization: Organization, login: Login) -> ApiClient:
    """Carla, who owns another organization, by her key and in her browser."""
    if request.param == "session":
        return ApiClient(client=login(carla))
    return ApiClient(api_keys.issue(by=carla, organization=other_organization, name="hers", scopes=Scope.values)[1])


def test_carla_sees_nothing_of_alices_calls(carlas: ApiClient, api: ApiClient, make_call: MakeCall) -> None:
    call = make_call(9)
    record(call.pk, TurnDraft(item_id="i1", role=TurnRole.USER, text="um segredo", started_at=timezone.now()))
    assert carlas.get(CALLS).json()["results"] == []
    unknown = carlas.get(f"{CALLS}00000000-0000-4000-8000-000000000000/")
    for answer in (carlas.get(f"{CALLS}{call.pk}/"), carlas.get(f"{CALLS}{call.pk}/transcript/"), carlas.post(f"{CALLS}{call.pk}/cancel/")):
        # As if it had never been: not even that it exists is told.
        assert answer.status_code == 404
        assert {**answer.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    call.refresh_from_db()
    assert (call.status, call.cancel_requested_at) == ("queued", None)
    assert [one["id"] for one in api.get(CALLS).json()["results"]] == [str(call.pk)]


def test_carla_cannot_call_by_alices_persona(carlas: ApiClient, full_order: dict[str, Any]) -> None:
    assert carlas.post(START, full_order).json()["code"] == "unknown_persona"
    assert carlas.post(CALLS, full_order | {"organization": "taberna"}).json()["code"] == "which_organization"


def test_an_idempotency_key_is_the_organizations_own(
    carlas: ApiClient, api: ApiClient, order: dict[str, Any], full_order: dict[str, Any]
) -> None:
    api.post(START, order, HTTP_IDEMPOTENCY_KEY="one")
    answer = carlas.post(START, order, HTTP_IDEMPOTENCY_KEY="one")
    assert answer.json()["code"] == "unknown_persona"


def test_pages_of_an_allowed_origin_may_ask_and_no_others(settings: Any, anonymous: ApiClient) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://shop.example"]
    asked = {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "authorization,idempotency-key"}
    answers = [Client().options(START, HTTP_ORIGIN=origin, **asked) for origin in ("https://shop.example", "https://evil.example")]
    assert [answer.headers.get("Access-Control-Allow-Origin") for answer in answers] == ["https://shop.example", None]
    assert {"authorization", "content-type", "idempotency-key"} <= set(answers[0].headers["Access-Control-Allow-Headers"].split(", "))
    # No cookie goes along: a session is for our own pages.
    assert "Access-Control-Allow-Credentials" not in answers[0].headers


def test_who_left_sees_nothing_more(login: Login, bob: User, make_call: MakeCall) -> None:
    browser, call = ApiClient(client=login(bob)), make_call(9)
    Membership.objects.filter(user=bob).delete()
    assert browser.get(f"{CALLS}{call.pk}/").status_code == 404


def test_the_platform_sees_all_organizations(
    login: Login, platform_admin: User, make_call: MakeCall, other_organization: Organization
) -> None:
    call = str(make_call(9).pk)
    assert [one["id"] for one in ApiClient(client=login(platform_admin)).get(CALLS).json()["results"]] == [call]


def test_the_organization_that_was_closed_is_closed_for_its_key(api: ApiClient, organization: Organization, make_call: MakeCall) -> None:
    call = make_call(9)
    Organization.objects.filter(pk=organization.pk).update(is_active=False)
    assert api.get(f"{CALLS}{call.pk}/").json()["code"] == "invalid_key"
