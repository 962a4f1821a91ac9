from typing import Any

import pytest
from django.test import Client
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView, exception_handler

from accounts import api_keys
from accounts.authentication import SessionAuthentication
from accounts.models import ApiKey, User


class WhoAmI(APIView):
    """Says who asks, by the project's own authentication and permissions; how the API words an error is tested there."""

    def get_exception_handler(self) -> Any:
        return exception_handler

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.email, "key": request.auth.name if request.auth else None})

    post = get


class OnlyWithASession(WhoAmI):
    authentication_classes = (SessionAuthentication,)


urlpatterns = [path("who/", WhoAmI.as_view()), path("session/", OnlyWithASession.as_view())]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def ask(**headers: str) -> Any:
    return APIClient().get("/who/", headers=headers)


def test_a_key_is_the_person_who_made_it(raw_key: str, alice: User) -> None:
    answer = ask(authorization=f"Bearer {raw_key}")
    assert (answer.status_code, answer.json()) == (200, {"user": alice.email, "key": "site"})


def test_the_scheme_is_read_in_any_case_and_with_spaces(raw_key: str) -> None:
    assert ask(authorization=f"bearer   {raw_key} ").status_code == 200


def test_without_anything_one_is_asked_for_a_key() -> None:
    answer = ask()
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("header", ["Basic YWxpY2U6eA==", "Token x", "chm_x", ""])
def test_another_scheme_is_nothing(header: str) -> None:
    assert ask(authorization=header).status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer chm_wrong", "Bearer a b", "Bearer ção"])
def test_what_is_not_a_key_is_refused_and_not_asked_on(header: str, alice: User) -> None:
    client = APIClient()
    client.force_login(alice)
    answer = client.get("/who/", headers={"authorization": header})
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_a_refused_key_is_told_why(raw_key: str, api_key: ApiKey, alice: User) -> None:
    api_keys.revoke(by=alice, key=api_key)
    answer = ask(authorization=f"Bearer {raw_key}")
    assert (answer.status_code, answer.json()["detail"]) == (401, "This API key was revoked.")


def test_a_session_is_the_person_who_logged_in(alice: User) -> None:
    client = Client()
    client.force_login(alice)
    assert client.get("/who/").json() == {"user": alice.email, "key": None}


def test_a_session_changes_nothing_without_the_csrf_token(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/who/").status_code == 403


def test_without_a_session_one_is_not_known() -> None:
    answer = Client().get("/session/")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_a_key_needs_no_csrf_token(raw_key: str) -> None:
    client = Client(enforce_csrf_checks=True, headers={"authorization": f"Bearer {raw_key}"})
    assert client.post("/who/").status_code == 200


def test_the_schema_names_both_ways() -> None:
    schema = SchemaGenerator(patterns=urlpatterns).get_schema(request=None, public=True)
    schemes = {name: (scheme["type"], scheme.get("scheme")) for name, scheme in schema["components"]["securitySchemes"].items()}
    assert schemes == {"apiKey": ("http", "bearer"), "session": ("apiKey", None)}
