"""How many requests a client may send."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import RequestFactory

from accounts import api_keys
from accounts.models import Organization, Scope, User
from calls.api.problems import TooManyRequests
from calls.api.throttles import check_rate
from calls.models import Call, CallRequest
from tests.conftest import Login
from tests.numbers import pt_mobile

from .conftest import CALLS, CONSENT, START, ApiClient, MakeCall

pytestmark = pytest.mark.django_db


@pytest.fixture
def rates(settings: Any) -> dict[str, str]:
    settings.API_RATES = {"key": "1000/h", "address": "1000/h", "call_key": "1000/h", "call_address": "1000/h"}
    return settings.API_RATES  # type: ignore[no-any-return]


def orders(order: dict[str, Any], n: int) -> list[dict[str, Any]]:
    return [order | {"phone_number": pt_mobile(number)} for number in range(n)]


@pytest.mark.parametrize("limit", ["call_key", "call_address"])
def test_a_client_that_asks_too_much_is_told_when_to_come_back(
    api: ApiClient, rates: dict[str, str], order: dict[str, Any], limit: str
) -> None:
    rates[limit] = "2/h"
    answers = [api.post(START, one) for one in orders(order, 4)]
    assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 3600
    assert answers[2].json()["code"] == "too_many_requests"
    assert Call.objects.count() == 2
    # The first one over the limit is kept; the flood behind it is not, or it would fill the table.
    assert list(CallRequest.objects.order_by("pk").values_list("code", flat=True)) == ["accepted", "accepted", "too_many_requests"]


@pytest.mark.parametrize("limit", ["key", "address"])
def test_reading_has_its_own_limit(api: ApiClient, rates: dict[str, str], order: dict[str, Any], make_call: MakeCall, limit: str) -> None:
    rates[limit] = "1/h"
    assert [api.get(CALLS).status_code for _ in range(2)] == [200, 429]
    assert api.post(START, order).status_code == 202
    assert list(CallRequest.objects.order_by("pk").values_list("code", flat=True)) == ["accepted"]


def test_one_keys_limit_is_not_anothers(
    api: ApiClient, rates: dict[str, str], order: dict[str, Any], alice: User, organization: Organization, login: Login
) -> None:
    rates["call_key"] = "1/h"
    consent = api_keys.Declaration(purpose="transactional", basis="form", text_version="1")
    _key, raw = api_keys.issue(by=alice, organization=organization, name="till", scopes=Scope.values, consent=consent)
    clients = (api, ApiClient(raw), ApiClient(client=login(alice)))
    first = [client.post(START, one | {"consent": CONSENT}) for client, one in zip(clients, orders(order, 3), strict=True)]
    assert [answer.status_code for answer in first] == [202, 202, 202]
    assert [client.post(START, order).status_code for client in clients] == [429, 429, 429]


def test_who_guesses_keys_is_stopped_by_the_address(anonymous: ApiClient, rates: dict[str, str], order: dict[str, Any]) -> None:
    rates["call_address"] = "2/h"
    answers = [anonymous.post(START, order, HTTP_AUTHORIZATION=f"Bearer chm_{n}") for n in range(3)]
    assert [answer.status_code for answer in answers] == [401, 401, 429]


def test_exactly_as_many_as_allowed_get_through_at_once(rates: dict[str, str]) -> None:
    rates["call_key"] = "20/h"

    def ask(_n: int) -> bool:
        try:
            check_rate(RequestFactory().post(START), rate="call_key", who="key:1")
        except TooManyRequests:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(80))) == 20
