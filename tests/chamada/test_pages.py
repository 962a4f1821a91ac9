"""The start page, the health, the pages of errors, and the staff's bar."""

import re
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.db import DatabaseError, connection
from django.test import Client, RequestFactory

from accounts.models import Membership, Role, User
from chamada import views
from tests.conftest import Login

pytestmark = pytest.mark.django_db


def test_the_start_says_what_this_is_and_leads_on(client: Client) -> None:
    page = client.get("/", HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "AI phone calls that people asked for" in page
    assert "curl http://testserver/api/start_call" in page
    for address in ("/admin/", "/api/docs/", "/api/schema/", "/health/"):
        assert f'href="{address}"' in page
        assert client.get(address).status_code in (200, 302)


def test_the_start_says_what_is_connected(client: Client, settings: Any) -> None:
    assert "No phone line is connected" in client.get("/", HTTP_ACCEPT_LANGUAGE="en").content.decode()
    settings.LIVEKIT_URL = settings.LIVEKIT_API_KEY = settings.LIVEKIT_API_SECRET = settings.SIP_TRUNK_ID = settings.OPENAI_API_KEY = "x"
    page = client.get("/", HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "The phone line is connected" in page
    assert "OpenAI&#x27;s voice answers" in page or "OpenAI's voice answers" in page


@pytest.mark.parametrize("address", ["/", "/nothing/", "/admin/login/"])
def test_pages_load_nothing_from_elsewhere(client: Client, address: str) -> None:
    page = client.get(address).content.decode()
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="([^"]+)"', page)
    assert loaded
    for one in loaded:
        assert one.startswith("/static/"), one
        assert finders.find(one.removeprefix("/static/")), one


def test_health_is_true(client: Client) -> None:
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "database": "ok"})
    assert "no-store" in answer.headers["Cache-Control"]


def test_health_says_that_the_database_is_away(client: Client) -> None:
    def away(*_args: object) -> None:
        raise DatabaseError

    with connection.execute_wrapper(away):
        answer = client.get("/health/")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "database": "away"})


def test_an_address_where_nothing_is_leads_back(client: Client) -> None:
    answer = client.get("/nothing/", HTTP_ACCEPT_LANGUAGE="en")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


@pytest.mark.parametrize(("path", "kind"), [("/x/", "text/html; charset=utf-8"), ("/api/x/", "application/problem+json")])
def test_each_error_is_told_in_the_form_of_its_reader(path: str, kind: str) -> None:
    request = RequestFactory().get(path)
    answers = [views.bad_request(request, ValueError()), views.not_found(request, ValueError()), views.server_error(request)]
    assert [(answer.status_code, answer.headers["Content-Type"]) for answer in answers] == [(400, kind), (404, kind), (500, kind)]


def test_the_log_has_no_query_and_the_answer_has_the_id(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    answer = client.get("/nothing/?q=%2B351910000001")
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["X-Request-ID"])
    assert answer.headers["X-Request-ID"] in caplog.text
    assert "910000001" not in caplog.text


def test_a_clients_own_id_is_not_taken_over(client: Client) -> None:
    assert client.get("/health/", HTTP_X_REQUEST_ID="x" * 300).headers["X-Request-ID"] != "x" * 300


def bar(login: Login, user: User) -> list[str]:
    """The links of the bar, in order."""
    page = login(user).get("/admin/", follow=True, HTTP_ACCEPT_LANGUAGE="en").content.decode()
    return list(dict.fromkeys(re.findall(r'href="/admin/(\w+/\w+)/"', page)))


MEMBERS = ["calls/call", "personas/persona", "contacts/contact"]
RULES = ["calls/callrequest", "contacts/consent", "contacts/suppression"]
ORGANIZATION = ["accounts/organization", "accounts/membership", "accounts/apikey"]


@pytest.mark.parametrize(
    ("role", "links"),
    [
        (Role.OWNER, MEMBERS + RULES + ORGANIZATION),
        (Role.OPERATOR, [*MEMBERS, *RULES[1:], "accounts/organization"]),
        (Role.AUDITOR, MEMBERS + RULES + ORGANIZATION),
    ],
)
def test_the_bar_shows_a_member_what_the_role_allows(login: Login, bob: User, role: Role, links: list[str]) -> None:
    Membership.objects.filter(user=bob).update(role=role)
    browser = login(bob)
    shown = bar(login, bob)
    assert [link for link in shown if link in links] == links
    assert not {"accounts/user", "calls/line"} & set(shown)
    assert {browser.get(f"/admin/{link}/").status_code for link in links} == {200}


def test_the_platform_sees_all_of_it(login: Login, platform_admin: User) -> None:
    assert {*MEMBERS, *RULES, *ORGANIZATION, "accounts/user", "calls/line"} <= set(bar(login, platform_admin))
