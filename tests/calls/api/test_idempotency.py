"""The same key and body give the same call, and the first answer again."""

from typing import Any

import pytest

from calls import lifecycle, requests
from calls.exceptions import StillAnswering
from calls.models import Call, CallRequest
from calls.states import Outcome

from .conftest import CALLS, START, ApiClient

pytestmark = pytest.mark.django_db


def test_the_first_answer_is_given_again(api: ApiClient, order: dict[str, Any]) -> None:
    first = api.post(START, order, HTTP_IDEMPOTENCY_KEY="order-4417")
    call = Call.objects.get()
    lifecycle.end(call, by="test", outcome=Outcome.BUSY, reason="dial.busy")
    again = api.post(START, order, HTTP_IDEMPOTENCY_KEY="order-4417")
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.json()) == (202, first.json())
    assert Call.objects.count() == 1
    assert list(CallRequest.objects.order_by("pk").values_list("code", "call_id")) == [("accepted", call.pk), ("replayed", call.pk)]


def test_another_body_is_an_error(api: ApiClient, order: dict[str, Any]) -> None:
    api.post(START, order, HTTP_IDEMPOTENCY_KEY="one")
    refused = api.post(START, order | {"customer_name": "Rui"}, HTTP_IDEMPOTENCY_KEY="one")
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency.other_body")
    assert Call.objects.count() == 1


def test_who_comes_while_the_first_is_still_being_answered_is_told_when_to_ask_again(
    api: ApiClient, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def still_answering(**_: object) -> None:
        raise StillAnswering

    monkeypatch.setattr(requests, "request_call", still_answering)
    refused = api.post(START, order, HTTP_IDEMPOTENCY_KEY="one")
    assert (refused.status_code, refused.json()["code"], refused.headers["Retry-After"]) == (409, "idempotency.in_progress", "1")


def test_both_ways_to_start_a_call_share_their_keys(api: ApiClient, order: dict[str, Any]) -> None:
    first = api.post(START, order, HTTP_IDEMPOTENCY_KEY="one").json()
    assert api.post(CALLS, order, HTTP_IDEMPOTENCY_KEY="one").json() == first


def test_a_refusal_is_not_kept_under_the_key(api: ApiClient, order: dict[str, Any]) -> None:
    assert api.post(START, order | {"persona": "nobody"}, HTTP_IDEMPOTENCY_KEY="one").status_code == 422
    assert api.post(START, order, HTTP_IDEMPOTENCY_KEY="one").status_code == 202


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "a" * 256])
def test_a_key_that_cannot_be_used(api: ApiClient, order: dict[str, Any], key: str) -> None:
    refused = api.post(START, order, HTTP_IDEMPOTENCY_KEY=key)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_idempotency_key")
    assert Call.objects.count() == 0
