"""Lists, one call, its transcript; and canceling it."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from calls import lifecycle
from calls.models import Call, CallEvent
from calls.states import EndedBy, Fault, Outcome, Status
from calls.transcripts import TurnDraft, record
from tests.conftest import Login
from tests.factories import published_version

from .conftest import CALLS, ApiClient, MakeCall

pytestmark = pytest.mark.django_db


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200
    return [call["id"] for call in answer.json()["results"]]


def test_the_list_is_newest_first_in_pages_that_lose_nothing(api: ApiClient, make_call: MakeCall) -> None:
    calls = [str(make_call(n).pk) for n in range(5)]
    # Three of them at the very same moment: a page ends among them.
    Call.objects.filter(pk__in=calls[1:4]).update(created_at=Call.objects.get(pk=calls[2]).created_at)
    newest_first = [str(call.pk) for call in Call.objects.order_by("-created_at", "-id")]

    first = api.get(CALLS, {"limit": 2})
    late = str(make_call(7).pk)
    second = api.get(first.json()["next"])
    third = api.get(second.json()["next"])
    assert (ids(first), ids(second), ids(third)) == (newest_first[:2], newest_first[2:4], newest_first[4:])
    assert third.json()["next"] is None
    assert ids(api.get(CALLS)) == [late, *newest_first]


def test_a_page_keeps_the_filters_of_the_first(api: ApiClient, make_call: MakeCall) -> None:
    calls = [make_call(n) for n in range(4)]
    lifecycle.end(calls[1], by="test", outcome=Outcome.BUSY, reason="dial.busy")
    first = api.get(CALLS, {"limit": 2, "status": ["queued", "ringing"]})
    assert ids(first) + ids(api.get(first.json()["next"])) == [str(calls[n].pk) for n in (3, 2, 0)]


UUID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    "cursor",
    ["é", "a", f"2026-11-23T10:00:00 {UUID}", f"yesterday {UUID}", f"0001-01-01T00:00:00+14:00 {UUID}", "2026-11-23T10:00:00+00:00 7"],
)
def test_a_cursor_that_somebody_wrote_himself(api: ApiClient, cursor: str) -> None:
    for written in (cursor, base64.urlsafe_b64encode(cursor.encode()).decode()):
        answer = api.get(CALLS, {"cursor": written})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many", "٣", "9" * 30, "00000005099", "9" * 5000])
def test_a_page_has_1_to_100_calls(api: ApiClient, limit: str) -> None:
    answer = api.get(CALLS, {"limit": limit})
    assert (answer.status_code, [error["parameter"] for error in answer.json()["errors"]]) == (400, ["limit"])


def test_the_list_is_filtered(api: ApiClient, make_call: MakeCall) -> None:
    waiting, busy = make_call(1), make_call(2)
    other = published_version(organization=waiting.organization, slug="clinica")
    Call.objects.filter(pk=waiting.pk).update(persona=other.persona, persona_version=other)
    lifecycle.end(busy, by="test", outcome=Outcome.BUSY, reason="dial.busy")
    Call.objects.filter(pk=busy.pk).update(created_at=timezone.now() - timedelta(days=2))
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()
    cases: list[tuple[dict[str, Any], list[Call]]] = [
        ({"status": "queued"}, [waiting]),
        ({"status": ["queued", "ended"]}, [waiting, busy]),
        ({"outcome": "busy"}, [busy]),
        ({"persona": "restaurante"}, [busy]),
        ({"persona": "nobody"}, []),
        ({"line": "sandbox"}, [waiting, busy]),
        ({"line": "phone"}, []),
        ({"created_after": yesterday}, [waiting]),
        ({"created_before": yesterday}, [busy]),
    ]
    for query, expected in cases:
        assert ids(api.get(CALLS, query)) == [str(call.pk) for call in expected], query


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ({"stauts": "queued"}, "stauts", "unknown"),
        ({"status": "dreaming"}, "status", "invalid_choice"),
        ({"line": "radio"}, "line", "invalid_choice"),
        ({"created_after": "yesterday"}, "created_after", "invalid"),
        ({"created_before": "9999-12-31T23:59:59-12:00"}, "created_before", "max_value"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(api: ApiClient, query: dict[str, str], parameter: str, code: str) -> None:
    answer = api.get(CALLS, query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [(error["parameter"], error["code"]) for error in answer.json()["errors"]] == [(parameter, code)]


def test_a_call_that_ended_says_how_and_why(api: ApiClient, make_call: MakeCall) -> None:
    call = make_call()
    lifecycle.claim_for_dispatch(call, by="dialer")
    lifecycle.go(call, Status.DIALING, by="job:AJ_1", sip_call_id="SCL_1")
    lifecycle.ringing(call, by="job:AJ_1")
    lifecycle.answered(call, by="job:AJ_1", opening_spoken="stored", opening_heard_to_end=True, opening_at_ms=96)
    lifecycle.end(
        call,
        by="job:AJ_1",
        outcome=Outcome.ANSWERED,
        reason="error.ai.lost",
        ended_by=EndedBy.PLATFORM,
        fault=Fault.AI_PROVIDER,
        sip_status_code=200,
        sip_status="OK",
        usage={"input": {"audio": 12}},
        latency={"count": 2, "p50": 800},
        note="The voice model was lost.",
    )
    assert call.ended_at
    Call.objects.filter(pk=call.pk).update(answered_at=call.ended_at - timedelta(seconds=61, milliseconds=500))
    said = api.get(f"{CALLS}{call.pk}/").json()
    assert {name: said[name] for name in ("status", "outcome", "ended_reason", "ended_by", "fault", "retryable", "note", "duration_s")} == {
        "status": "ended",
        "outcome": "answered",
        "ended_reason": "error.ai.lost",
        "ended_by": "platform",
        "fault": "ai_provider",
        "retryable": False,
        "note": "The voice model was lost.",
        "duration_s": 61,
    }
    assert said["sip"] == {"status_code": 200, "status": "OK", "call_id": "SCL_1"}
    assert said["opening"] == {"spoken": "stored", "heard_to_end": True, "at_ms": 96}
    assert (said["usage"], said["latency"]) == ({"input": {"audio": 12}}, {"count": 2, "p50": 800})
    times = [said[f"{state}_at"] for state in ("created", "queued", "dispatched", "dialing", "ringing", "ended")]
    assert times == sorted(times)


def test_a_head_request_is_a_get_without_the_body(api: ApiClient, make_call: MakeCall) -> None:
    answer = api.generic("HEAD", f"{CALLS}{make_call().pk}/")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_transcript_is_what_was_said_in_order(api: ApiClient, make_call: MakeCall) -> None:
    call, start = make_call(), timezone.now()
    for seconds, draft in enumerate(
        [
            {"role": "assistant", "text": "Olá, fala a assistente.", "is_opening": True},
            {"role": "user", "text": "A que horas abrem?"},
            {"role": "tool", "text": "Às nove.", "tool": "lookup_information", "arguments": {"question": "horas"}},
            {"role": "assistant", "text": "Abrimos às", "interrupted": True, "latency_ms": 812},
        ]
    ):
        record(call.pk, TurnDraft(item_id=f"i{seconds}", started_at=start + timedelta(seconds=seconds), **draft))  # type: ignore[arg-type]
    turns = api.get(f"{CALLS}{call.pk}/transcript/").json()["turns"]
    assert [(turn["role"], turn["text"]) for turn in turns] == [
        ("assistant", "Olá, fala a assistente."),
        ("user", "A que horas abrem?"),
        ("tool", "Às nove."),
        ("assistant", "Abrimos às"),
    ]
    assert turns[3] == {
        "role": "assistant",
        "text": "Abrimos às",
        "started_at": (start + timedelta(seconds=3)).isoformat().replace("+00:00", "Z"),
        "interrupted": True,
        "opening": False,
        "latency_ms": 812,
        "tool": None,
        "arguments": {},
    }
    assert (turns[0]["opening"], turns[2]["tool"], turns[2]["arguments"]) == (True, "lookup_information", {"question": "horas"})


def test_a_canceled_call_has_ended_and_says_who_did_it(api: ApiClient, make_call: MakeCall, api_key: Any) -> None:
    call = make_call()
    said = api.post(f"{CALLS}{call.pk}/cancel/", HTTP_ACCEPT_LANGUAGE="en").json()
    assert {name: said[name] for name in ("status", "outcome", "ended_reason", "ended_by", "detail")} == {
        "status": "ended",
        "outcome": "canceled",
        "ended_reason": "api.canceled",
        "ended_by": "client",
        "detail": "The call was canceled. The phone never rang.",
    }
    assert CallEvent.objects.filter(call=call).last().by == f"key:{api_key.pk}"  # type: ignore[union-attr]


def test_canceling_twice_does_no_harm(api: ApiClient, make_call: MakeCall) -> None:
    call = make_call()
    first = api.post(f"{CALLS}{call.pk}/cancel/").json()
    again = api.post(f"{CALLS}{call.pk}/cancel/", HTTP_ACCEPT_LANGUAGE="en")
    assert (again.status_code, again.json()["detail"]) == (200, "The call had ended already.")
    assert again.json()["ended_at"] == first["ended_at"]


def test_a_person_cancels_in_their_own_name(login: Login, bob: User, make_call: MakeCall) -> None:
    call = make_call()
    ApiClient(client=login(bob)).post(f"{CALLS}{call.pk}/cancel/")
    assert CallEvent.objects.filter(call=call).last().by == f"user:{bob.pk}"  # type: ignore[union-attr]
