"""What nobody meant to happen."""

import io
from typing import Any

import pytest
from django.db import OperationalError
from django.http import UnreadablePostError
from django.test import Client, RequestFactory
from pytest_django import Settings

from accounts.models import ApiKey
from calls import requests
from calls.api.bodies import read_object
from calls.api.problems import BodyNotReceived, handle
from calls.models import CallRequest

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
    kept = CallRequest.objects.get()
    assert (kept.accepted, kept.code, kept.organization, kept.number) == (False, "internal", api_key.organization, order["phone_number"])


@pytest.mark.django_db
def test_a_request_that_cannot_be_kept_does_not_hide_what_went_wrong(
    raw_key: str, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(**_said: object) -> None:
        raise OperationalError

    monkeypatch.setattr(requests, "refuse", away)
    answer = Client().post(START, "{", content_type="application/json", HTTP_AUTHORIZATION=f"Bearer {raw_key}")
    assert (answer.status_code, answer.json()["code"]) == (400, "not_json")
    assert "request for a call could not be kept" in caplog.text


@pytest.mark.django_db
def test_while_requests_cannot_be_counted_none_is_taken(raw_key: str, order: dict[str, Any], settings: Settings) -> None:
    # Nobody answers at this port.
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:9"}}
    answer = Client().post(START, order, content_type="application/json", HTTP_AUTHORIZATION=f"Bearer {raw_key}")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "unavailable", "5")
    assert CallRequest.objects.get().code == "unavailable"
    settings.CACHES = {"default": {"BACKEND": "chamada.cache.OneProcessCache", "LOCATION": "chamada"}}
