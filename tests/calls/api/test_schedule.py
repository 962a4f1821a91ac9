"""A call is asked for ahead and by priority, and can be followed while it waits."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from accounts.models import ApiKey
from calls.models import Call, Line
from tests.numbers import pt_mobile

from .conftest import CALLS, START, ApiClient
from .test_refusals import problem

pytestmark = pytest.mark.django_db


def in_(**time: float) -> str:
    return (timezone.now() + timedelta(**time)).isoformat()


def moment(said: str) -> datetime:
    return datetime.fromisoformat(said)


def test_a_call_is_asked_for_ahead(api: ApiClient, order: dict[str, Any]) -> None:
    earliest, latest = in_(hours=2), in_(hours=3)
    answer = api.post(CALLS, order | {"schedule": {"earliest": earliest, "latest": latest}, "priority": "high"})
    said = answer.json()
    assert (answer.status_code, said["status"], said["priority"], said["queued_at"]) == (202, "scheduled", "high", None)
    assert {name: moment(value) for name, value in said["schedule"].items()} == {"earliest": moment(earliest), "latest": moment(latest)}
    followed = api.get(said["status_url"]).json()
    assert followed["queue"] == {"position": None, "more_than": False, "why": "not_yet_time", "until": said["schedule"]["earliest"]}


def test_without_a_latest_time_it_is_wanted_for_a_quarter_of_an_hour(api: ApiClient, order: dict[str, Any]) -> None:
    api.post(CALLS, order | {"schedule": {"earliest": in_(days=1)}})
    call = Call.objects.get()
    assert (call.status, call.expires_at - call.due_at) == ("scheduled", timedelta(minutes=15))


@pytest.mark.parametrize("schedule", [None, {}, {"earliest": None}, {"latest": in_(hours=1)}, {"earliest": in_(minutes=-1)}])
def test_what_is_to_be_at_once_is_in_the_queue(api: ApiClient, order: dict[str, Any], schedule: dict[str, str] | None) -> None:
    said = api.post(CALLS, order | {"schedule": schedule}).json()
    assert (said["status"], said["schedule"]["earliest"]) == ("queued", said["created_at"])


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        ({"earliest": in_(hours=-1)}, "The call was to be made at a time that has passed."),
        ({"latest": in_(hours=-1)}, "The call was to be made at a time that has passed."),
        ({"earliest": in_(hours=2), "latest": in_(hours=1)}, "The latest time for the call has to come after the earliest."),
        ({"latest": in_(minutes=-1)}, "The latest time for the call has to come after the earliest."),
        ({"earliest": in_(days=31)}, "A call can be asked for at most 30 days ahead."),
        ({"latest": in_(days=31)}, "A call can be asked for at most 30 days ahead."),
    ],
)
def test_a_time_that_cannot_be_is_refused_with_why(api: ApiClient, order: dict[str, Any], schedule: dict[str, str], sentence: str) -> None:
    answer = api.post(CALLS, order | {"schedule": schedule}, HTTP_ACCEPT_LANGUAGE="en")
    with translation.override("en"):
        assert problem(answer) == (422, "schedule.wrong", [("/schedule", "schedule.wrong")])
    assert answer.json()["detail"] == sentence


@pytest.mark.parametrize(
    ("more", "errors"),
    [
        ({"schedule": {"earliest": "2026-11-23T18:00:00"}}, [("/schedule/earliest", "no_zone")]),
        ({"schedule": {"earliest": "9999-12-31T23:59:59-12:00"}}, None),
        ({"schedule": {"earliest": "tomorrow"}}, [("/schedule/earliest", "invalid")]),
        ({"schedule": {"from": in_(hours=1)}}, [("/schedule/from", "unknown")]),
        ({"schedule": "later"}, [("/schedule", "invalid")]),
        ({"priority": "urgent"}, [("/priority", "invalid_choice")]),
        ({"priority": 3}, [("/priority", "invalid_choice")]),
    ],
)
def test_what_is_not_understood_is_named(
    api: ApiClient, order: dict[str, Any], more: dict[str, Any], errors: list[tuple[str, str]] | None
) -> None:
    answer = api.post(CALLS, order | more)
    if errors is None:
        assert answer.status_code in (400, 422)
    else:
        assert problem(answer) == (400, "invalid", errors)


def test_the_three_fields_of_the_site_know_no_schedule(api: ApiClient, order: dict[str, Any]) -> None:
    answer = api.post(START, order | {"schedule": {"earliest": in_(hours=1)}})
    assert problem(answer) == (400, "invalid", [("/schedule", "unknown")])


@pytest.mark.usefixtures("phone_line")
def test_a_consent_has_to_hold_when_the_call_is_made(api: ApiClient, order: dict[str, Any], api_key: ApiKey) -> None:
    claim = {"purpose": "demo_call", "basis": "form", "obtained_at": in_(minutes=-1), "text_version": "1"}
    answer = api.post(CALLS, order | {"consent": claim, "schedule": {"earliest": in_(hours=25)}})
    assert (answer.status_code, answer.json()["code"]) == (422, "policy.consent")
    assert api.post(CALLS, order | {"consent": claim, "schedule": {"earliest": in_(hours=20)}}).status_code == 202


def test_a_call_in_the_queue_is_followed(api: ApiClient, order: dict[str, Any]) -> None:
    Line.objects.filter(kind="sandbox").update(is_open=False)
    first, second = (api.post(START, order | {"phone_number": pt_mobile(n)}).json() for n in (1, 2))
    assert (first["queue"], api.get(CALLS).json()["results"][0]["queue"]) == (None, None)
    assert [api.get(call["status_url"]).json()["queue"] for call in (first, second)] == [
        {"position": position, "more_than": False, "why": "line_closed", "until": None} for position in (1, 2)
    ]
