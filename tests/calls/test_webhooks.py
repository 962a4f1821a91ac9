"""LiveKit's webhooks are taken when LiveKit signed them, kept once, brought to their calls, and believed as far as they can be."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import jwt
import pytest
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from calls import doorbell, witness
from calls.models import Call, CallEvent, RoomEvent, RoomEventKind, Who
from calls.states import Status
from calls.witness import Evidence
from tests.call_factories import make_call

from .livekit_webhooks import ADDRESS, CONTENT_TYPE, KEY, SECRET, UNKNOWN, token, told

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def keys(settings: Settings) -> None:
    settings.LIVEKIT_API_KEY, settings.LIVEKIT_API_SECRET = KEY, SECRET


def post(body: bytes, authorization: str | None = None) -> HttpResponse:
    headers = {"authorization": token(body) if authorization is None else authorization}
    return Client().post(ADDRESS, body, content_type=CONTENT_TYPE, headers=headers)  # type: ignore[return-value]


def send(event: dict[str, Any]) -> int:
    return post(json.dumps(event).encode()).status_code


def test_what_livekit_signed_is_kept_without_what_is_personal() -> None:
    call = make_call(Status.IN_PROGRESS)
    assert send(told(call.room)) == 200
    kept = RoomEvent.objects.values().get()
    assert kept.pop("received_at") - timezone.now() < timedelta(seconds=5)
    del kept["id"]
    assert kept == {
        "event_id": "EV_aBcD1234",
        "kind": "participant_left",
        "room": call.room,
        "call_id": None,
        "who": "callee",
        "participant_sid": "PA_9mR4tbXgPqkD",
        "disconnect_reason": "CLIENT_INITIATED",
        "call_status": "hangup",
        "at": datetime(2026, 11, 24, 4, 0, tzinfo=UTC),
        "applied_at": None,
    }


def test_it_is_answered_within_200_ms_also_the_first_time() -> None:
    call = make_call(Status.IN_PROGRESS)
    began = time.process_time()  # what it costs, however busy the machine is
    assert send(told(call.room)) == 200
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    "forge",
    [
        lambda body: "",
        lambda body: "nonsense",
        lambda body: token(body, secret="x" * 40),
        lambda body: token(body, iss="another-key"),
        lambda body: token(body + b" "),
        lambda body: token(body, exp=int(time.time()) - 300),
        lambda body: token(body, exp=None),
        lambda body: token(body, sha256=None),
        lambda body: token(body, sha256="no base64!"),
        lambda body: token(body, sha256=7),
        lambda body: jwt.encode({"iss": KEY, "exp": time.time() + 300, "sha256": "x"}, None, algorithm="none"),
    ],
    ids=[
        "none",
        "no token",
        "other secret",
        "other key",
        "other body",
        "too old",
        "for ever",
        "to join a room",
        "no digest",
        "a number",
        "unsigned",
    ],
)
def test_what_livekit_did_not_sign_is_refused(forge: Callable[[bytes], str]) -> None:
    body = json.dumps(told(make_call(Status.IN_PROGRESS).room)).encode()
    assert post(body, forge(body)).status_code == 401
    assert not RoomEvent.objects.exists()


def test_a_clock_that_is_off_by_a_minute_loses_no_event() -> None:
    body = json.dumps(told(make_call(Status.IN_PROGRESS).room)).encode()
    now = int(time.time())
    assert post(body, token(body, nbf=now + 60, exp=now + 360)).status_code == 200
    assert post(body, "Bearer " + token(body, nbf=now - 360, exp=now - 60)).status_code == 200


def test_without_livekit_nobody_is_believed(settings: Settings) -> None:
    settings.LIVEKIT_API_KEY = settings.LIVEKIT_API_SECRET = ""
    assert post(b"{}", token(b"{}")).status_code == 401


@pytest.mark.parametrize("length", [str(64 * 1024 + 1), "much", "-1"])
def test_a_body_that_is_too_long_is_not_read(length: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpRequest, "body", property(lambda _request: pytest.fail("it was read")))
    headers = {"authorization": token(b"{}")}
    answer = Client().post(ADDRESS, b"{}", content_type="application/json", headers=headers, CONTENT_LENGTH=length)
    assert answer.status_code == 413


def test_a_body_that_does_not_arrive_is_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(_request: HttpRequest) -> bytes:
        raise UnreadablePostError("the connection broke")

    monkeypatch.setattr(HttpRequest, "body", property(breaks_off))
    assert post(b"{}").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[]",
        json.dumps(told(UNKNOWN, id="")).encode(),
        json.dumps(told(UNKNOWN, createdAt="yesterday")).encode(),
        json.dumps(told(UNKNOWN, createdAt=[])).encode(),
        json.dumps(told(UNKNOWN, createdAt=str(10**30))).encode(),
    ],
    ids=["no JSON", "no text", "no object", "no id", "no time", "a list", "the end of time"],
)
def test_what_cannot_be_read_is_refused_and_breaks_nothing(body: bytes) -> None:
    assert post(body).status_code == 400
    assert not RoomEvent.objects.exists()


def test_only_posts_are_answered() -> None:
    assert Client().get(ADDRESS).status_code == 405


def test_livekit_beside_us_is_not_sent_to_https(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert send(told(make_call().room)) == 200


@pytest.mark.parametrize(
    "event",
    [
        told("call_+351912000001"),
        told("sip-trunk-test"),
        told(UNKNOWN, event="egress_updated"),
        told(UNKNOWN, event=None),
        told("") | {"room": "no object"},
    ],
    ids=["a number for a name", "a room of others", "another matter", "no matter", "no room"],
)
def test_what_is_none_of_ours_is_acknowledged_and_not_kept(event: dict[str, Any]) -> None:
    assert send(event) == 200
    assert not RoomEvent.objects.exists()


@pytest.mark.parametrize(
    ("participant", "who"),
    [
        ({"identity": "agent-AJ_1", "kind": "AGENT"}, Who.AGENT),
        ({"identity": "sip_+351912000001", "kind": "SIP", "attributes": {"sip.callStatus": "active"}}, Who.OTHER),
        ({"identity": "callee", "attributes": {"sip.callStatus": "+351912000001"}, "sid": "+351912000001"}, Who.CALLEE),
        ({}, Who.NOBODY),
    ],
    ids=["the agent", "somebody else's telephone", "odd words", "the room"],
)
def test_of_a_participant_only_the_part_that_it_plays_is_kept(participant: dict[str, Any], who: Who) -> None:
    send(told(make_call().room, participant=participant))
    kept = RoomEvent.objects.get()
    assert (kept.who, kept.participant_sid, kept.call_status, kept.disconnect_reason) == (who, "", "", "")


def test_an_event_that_comes_twice_is_kept_and_applied_once() -> None:
    call = make_call(Status.IN_PROGRESS)
    assert (send(told(call.room)), witness.apply_due()) == (200, True)
    applied_at = RoomEvent.objects.get().applied_at
    assert (send(told(call.room)), witness.apply_due()) == (200, False)
    assert (RoomEvent.objects.get().applied_at, RoomEvent.objects.get().call) == (applied_at, call)


def test_an_event_of_an_unknown_room_is_applied_to_nobody() -> None:
    send(told(UNKNOWN))
    assert witness.apply_due()
    assert not witness.apply_due()
    assert RoomEvent.objects.get().call is None


def test_who_is_gone_rings_for_the_reconciler(monkeypatch: pytest.MonkeyPatch) -> None:
    rang: list[str] = []
    monkeypatch.setattr(doorbell, "ring", lambda: rang.append("!"))
    call = make_call(Status.IN_PROGRESS)
    for number, event in enumerate(RoomEventKind.values):
        send(told(call.room, event=event, id=f"EV_{number}"))
    assert (len(rang), RoomEvent.objects.count()) == (3, 5)


STORY = [
    ("participant_joined", "dialing", ""),
    ("track_published", "ringing", ""),
    ("participant_left", "hangup", "CLIENT_INITIATED"),
]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("status", [Status.DIALING, Status.IN_PROGRESS, Status.ENDED])
def test_in_whatever_order_they_come_no_state_moves_and_the_same_is_known(order: tuple[int, ...], status: Status) -> None:
    call = make_call(status)
    for number in order:
        event, call_status, reason = STORY[number]
        participant = {"identity": "callee", "attributes": {"sip.callStatus": call_status}, "disconnectReason": reason}
        send(told(call.room, event=event, id=f"EV_{number}", createdAt=str(1795492800 + number), participant=participant))
        witness.apply_due()
    assert (Call.objects.get().status, CallEvent.objects.count()) == (status, 0)
    told_at = RoomEvent.objects.get(event_id="EV_2").received_at
    assert witness.evidence_of([call.pk]) == {
        call.pk: Evidence(picked_up=True, left=True, hung_up_at=told_at, disconnect_reason="CLIENT_INITIATED")
    }


def test_nobody_is_said_to_have_hung_up_whose_room_was_deleted() -> None:
    call = make_call(Status.IN_PROGRESS)
    callee = {"identity": "callee", "attributes": {"sip.callStatus": "hangup"}, "disconnectReason": "ROOM_DELETED"}
    send(told(call.room, participant=callee))
    witness.apply_due()
    assert witness.evidence_of([call.pk]) == {call.pk: Evidence(picked_up=True, left=True, disconnect_reason="ROOM_DELETED")}


def test_an_event_reads_as_what_happened() -> None:
    send(told(make_call().room))
    assert str(RoomEvent.objects.get()) == "04:00:00 participant_left callee"
