"""What nobody meant to happen."""

import io
from typing import Any

import pytest
from django.http import UnreadablePostError
from django.test import Client, RequestFactory

from accounts.models import ApiKey
from calls import requests
from calls.api.bodies import read_object
from calls.api.problems import BodyNotReceived, handle

from .conftest import START


class Broken(io.BytesIO):
    def read(self, *_args: object) -> bytes:
        raise OSError


def test_a_body_that_did_not_arrive_is_no_error_of_ours() -> None:
    request = RequestFactory().post(START, b"{}", content_type="application/json")
    request._stream = Broken()
    with pytest.raises(BodyNotReceived):
        read_object(request)
    assert issubclass(UnreadablePostError, OSError)


def test_what_nobody_foresaw_is_left_to_django() -> None:
    assert handle(ZeroDivisionError(), {}) is None


@pytest.mark.django_db
def test_an_error_of_ours_is_told_as_one_and_tells_nothing_else(
    raw_key: str, api_key: ApiKey, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Broken on purpose, inside: the client sees only that it is not its fault.
    monkeypatch.setattr(requests, "_accept", lambda *_args: 1 / 0)
    browser = Client(raise_request_exception=False)
    answer = browser.post(START, order, content_type="application/json", HTTP_AUTHORIZATION=f"Bearer {raw_key}")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "division" not in answer.content.decode()
