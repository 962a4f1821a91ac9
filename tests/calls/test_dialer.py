"""What is due is dialled: in order, within the line's places, after the policy was asked again; and a LiveKit that cannot is dealt with."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone, translation
from pytest_django import Settings

from accounts.models import Organization
from calls import dialer, lifecycle
from calls import rooms as rooms_module
from calls.exceptions import FailureKind, GatewayError
from calls.gateway import Gateway
from calls.models import Call, Line, LineKind
from calls.rooms import Cleared, RoomOrder, Rooms
from calls.states import Priority, Reason, Status
from contacts import suppressions
from contacts.models import SuppressionReason
from personas.models import PersonaVersion
from tests.call_factories import CLAIM, make_call
from tests.numbers import pt_mobile

from .livekit_api import LOST, FakeLiveKit, TwirpError

pytestmark = pytest.mark.django_db
SOON = 10.0


@pytest.fixture
def rooms(livekit_line: FakeLiveKit) -> Iterator[Rooms]:
    opener = Rooms()
    yield opener
    opener.close()


def as_written(call: Call) -> Call:
    return Call.objects.get(pk=call.pk)


def suppress(call: Call, *, simulated: bool = False) -> None:
    suppressions.suppress(
        organization=call.organization,
        number_index=call.number_index,
        reason=SuppressionReason.STAFF,
        by="user:1",
        simulated=simulated,
    )


# -- dialling -------------------------------------------------------------------------------------------------------------


def test_a_due_call_gets_its_room_with_ids_alone(rooms: Rooms, livekit_line: FakeLiveKit) -> None:
    call = make_call(customer_name="Ana")
    assert dialer.dial_due(rooms)
    assert rooms.settle(SOON)
    dispatched = as_written(call)
    assert (dispatched.status, dispatched.claim != "") == (Status.DISPATCHED, True)
    (request,) = livekit_line.asked_for("CreateRoom")
    assert request.name == call.room
    assert json.loads(request.agents[0].metadata) == {
        "call_id": str(call.pk),
        "persona": call.persona_version.slug,
        "claim": dispatched.claim,
    }
    assert request.agents[0].agent_name == "chamada"
    assert not dialer.dial_due(rooms)


def test_agents_of_others_can_be_told_number_and_name(rooms: Rooms, livekit_line: FakeLiveKit, settings: Settings) -> None:
    settings.LIVEKIT_DISPATCH_METADATA = "full"
    make_call(customer_name="Ana")
    dialer.dial_due(rooms)
    rooms.settle(SOON)
    metadata = json.loads(livekit_line.asked_for("CreateRoom")[0].agents[0].metadata)
    assert (metadata["phone_number"], metadata["customer_name"]) == (pt_mobile(), "Ana")


@pytest.mark.parametrize(
    "columns",
    [
        {"due_at": timezone.now() + timedelta(hours=1)},
        {"expires_at": timezone.now() - timedelta(seconds=1)},
        {"cancel_requested_at": timezone.now()},
        {"line": LineKind.SANDBOX},
    ],
    ids=["not yet", "not any more", "not wanted", "no phone"],
)
def test_what_is_not_due_is_not_dialled(rooms: Rooms, columns: dict[str, Any]) -> None:
    call = make_call(**columns)
    assert not dialer.dial_due(rooms)
    assert as_written(call).status == Status.QUEUED


def test_who_waited_longest_is_called_first_within_the_places(rooms: Rooms, persona_version: PersonaVersion) -> None:
    set_line(places=3, calls_per_second=None)
    now = timezone.now()
    make_call(Status.RINGING, number=pt_mobile(100), version=persona_version)
    make_call(Status.IN_PROGRESS, number=pt_mobile(101), version=persona_version, line=LineKind.SANDBOX)
    waiting = [make_call(number=pt_mobile(n), version=persona_version, due_at=now - timedelta(seconds=n)) for n in range(5)]
    dialer.dial_due(rooms)
    assert [call for call in waiting if as_written(call).status == Status.DISPATCHED] == waiting[3:]
    lifecycle.end_expired(waiting[4], by="test")
    dialer.dial_due(rooms)
    assert as_written(waiting[2]).status == Status.DISPATCHED


def test_a_line_with_fewer_places_than_calls_takes_none(rooms: Rooms, persona_version: PersonaVersion) -> None:
    for n in range(2):
        make_call(Status.RINGING, number=pt_mobile(n), version=persona_version)
    set_line(places=1)
    make_call(number=pt_mobile(5), version=persona_version)
    assert not dialer.dial_due(rooms)


def set_line(kind: LineKind = LineKind.PHONE, **columns: Any) -> None:
    Line.objects.update_or_create(kind=kind, defaults=columns)


def test_the_migration_makes_both_lines_open() -> None:
    Line.objects.all().delete()
    migration = import_module("calls.migrations.0002_lines")
    for _twice in range(2):
        migration.make_lines(apps, connection.schema_editor())
    with translation.override("en"):
        assert [(str(line), line.places, line.is_open) for line in Line.objects.order_by("kind")] == [
            ("phone", 10, True),
            ("sandbox", 10, True),
        ]


def test_a_closed_line_takes_no_calls(rooms: Rooms) -> None:
    set_line(is_open=False)
    make_call()
    assert not dialer.dial_due(rooms)


def test_who_opted_out_while_the_call_waited_is_not_dialled(rooms: Rooms, livekit_line: FakeLiveKit) -> None:
    call = make_call()
    suppress(call)
    assert not dialer.dial_due(rooms)
    ended = as_written(call)
    assert (ended.status, ended.outcome, ended.ended_reason) == ("ended", "blocked", "policy.do_not_call")
    assert livekit_line.asked == []


def test_one_slow_answer_of_livekit_delays_one_call(rooms: Rooms, livekit_line: FakeLiveKit, persona_version: PersonaVersion) -> None:
    all_asked = threading.Barrier(3)
    # Each answer waits until all three were asked for.
    livekit_line.before["CreateRoom"] = lambda: all_asked.wait(SOON)
    set_line(calls_per_second=None)
    for n in range(3):
        make_call(number=pt_mobile(n), version=persona_version)
    dialer.dial_due(rooms)
    assert rooms.settle(SOON)
    assert len(livekit_line.rooms) == 3


def test_sandbox_calls_are_for_the_agent_worker(persona_version: PersonaVersion) -> None:
    calls = [make_call(number=pt_mobile(n), line=LineKind.SANDBOX, version=persona_version) for n in range(3)]
    make_call(version=persona_version)
    suppress(calls[0], simulated=True)
    assert dialer.claim_sandbox(worker="sandbox:1", free=0) == []
    claimed = dialer.claim_sandbox(worker="sandbox:1", free=2)
    assert claimed == calls[:2]
    assert [call.status for call in claimed] == ["dispatched", "dispatched"]
    # None is refused, and each bears what the phone line would have said.
    assert list(calls[0].events.values_list("kind", "why", "by")) == [
        ("policy", "consent.missing", "sandbox:1"),
        ("policy", "policy.do_not_call", "sandbox:1"),
        ("status", "", "sandbox:1"),
    ]


# -- what becomes of a room that could not be opened -----------------------------------------------------------------------


@pytest.mark.parametrize("error", [TwirpError("unavailable"), LOST], ids=["said no", "no answer"])
def test_a_livekit_that_cannot_just_now_is_asked_again_in_a_new_room(rooms: Rooms, livekit_line: FakeLiveKit, error: TwirpError) -> None:
    livekit_line.fails("CreateRoom", error, None)
    call = make_call()
    dialer.dial_due(rooms)
    rooms.settle(SOON)
    token = as_written(call).claim
    assert dialer.settle_due(rooms)
    # Nobody can dial from the room that may be there, before it is deleted.
    assert as_written(call).claim != token
    rooms.settle(SOON)
    assert [name for name, _request in livekit_line.asked] == ["CreateRoom", "ListRooms", "DeleteRoom"]
    assert livekit_line.rooms == set()
    assert dialer.settle_due(rooms)
    again = as_written(call)
    assert (again.status, again.due_at > timezone.now()) == (Status.QUEUED, True)
    assert not dialer.settle_due(rooms)
    Call.objects.update(due_at=timezone.now())
    Line.objects.update(next_slot_at=None)
    dialer.dial_due(rooms)
    rooms.settle(SOON)
    assert livekit_line.rooms == {call.room}
    assert len({json.loads(request.agents[0].metadata)["claim"] for request in livekit_line.asked_for("CreateRoom")}) == 2
    assert [(event.kind, event.new or event.why) for event in call.events.all()] == [
        ("status", "dispatched"),
        ("error", "gateway.ambiguous" if error is LOST else "gateway.service_away"),
        ("status", "queued"),
        ("status", "dispatched"),
    ]


def test_each_try_waits_longer_than_the_one_before(rooms: Rooms) -> None:
    call = make_call(Status.DISPATCHED)
    pauses = []
    for _try in range(7):
        before = timezone.now()
        dialer.put_back(call, by="dialer", why="gateway")
        pauses.append(round((call.due_at - before).total_seconds(), 1))
        lifecycle.claim_for_dispatch(call, by="dialer")
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


@pytest.mark.parametrize(
    ("error", "reason", "fault"),
    [
        (TwirpError("unauthenticated"), Reason.ERROR_CONFIGURATION_KEY, "configuration"),
        (TwirpError("invalid_argument"), Reason.ERROR_CONFIGURATION_TRUNK, "configuration"),
    ],
    ids=["key", "request"],
)
def test_what_asking_again_cannot_help_ends_the_call(
    rooms: Rooms, livekit_line: FakeLiveKit, error: TwirpError, reason: Reason, fault: str
) -> None:
    livekit_line.fails("CreateRoom", error)
    call = make_call()
    dialer.dial_due(rooms)
    rooms.settle(SOON)
    assert dialer.settle_due(rooms)
    ended = as_written(call)
    assert (ended.outcome, ended.ended_reason, ended.fault, ended.ended_by) == ("failed", reason, fault, "platform")


def test_a_room_whose_answer_was_lost_is_left_to_the_job_that_dialled_from_it(rooms: Rooms, livekit_line: FakeLiveKit) -> None:
    livekit_line.fails("CreateRoom", LOST)
    call = make_call()
    dialer.dial_due(rooms)
    rooms.settle(SOON)
    claim = as_written(call).claim
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=claim, by="job:1", worker="job:1") is not None
    assert dialer.settle_due(rooms)
    assert (as_written(call).status, as_written(call).claim, livekit_line.asked_for("DeleteRoom")) == ("dialing", claim, [])


def test_a_job_that_is_quicker_than_the_withdrawal_keeps_its_call(
    rooms: Rooms, livekit_line: FakeLiveKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    livekit_line.fails("CreateRoom", LOST)
    make_call()
    dialer.dial_due(rooms)
    rooms.settle(SOON)
    monkeypatch.setattr(lifecycle, "withdraw", lambda _call: False)
    dialer.settle_due(rooms)
    assert livekit_line.asked_for("DeleteRoom") == []


def test_the_dialer_says_when_its_line_lets_the_next_call_come(rooms: Rooms, persona_version: PersonaVersion) -> None:
    set_line(calls_per_second=0.01)
    for n in range(2):
        make_call(number=pt_mobile(n), version=persona_version)
    told: list[float] = []
    assert dialer.dial_due(rooms, told.append)
    assert not dialer.dial_due(rooms, told.append)
    assert not dialer.dial_due(rooms)
    assert [99 < seconds <= 100 for seconds in told] == [True]


def test_of_two_due_calls_the_one_of_higher_priority_is_given_out_first(rooms: Rooms) -> None:
    Line.objects.update(places=1)
    make_call(number=pt_mobile(1), due_at=timezone.now() - timedelta(minutes=1))
    urgent = make_call(number=pt_mobile(2), priority=Priority.HIGH)
    dialer.dial_due(rooms)
    assert Call.objects.get(status=Status.DISPATCHED) == urgent


# -- the opener of rooms ------------------------------------------------------------------------------------------------------


def order(call: Call, until: timedelta = timedelta(minutes=1)) -> RoomOrder:
    return RoomOrder(call_id=call.pk, claim=CLAIM, room=call.room, metadata={}, agent_name="chamada", until=timezone.now() + until)


def test_a_room_is_deleted_however_long_that_takes(rooms: Rooms, livekit_line: FakeLiveKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms_module, "DELETES_AGAIN_AFTER_S", 0.01)
    livekit_line.fails("DeleteRoom", TwirpError("unavailable"), TwirpError("unavailable"), None)
    wanted = order(make_call(Status.DISPATCHED))
    livekit_line.rooms.add(wanted.room)
    rooms.clear(wanted)
    assert rooms.settle(SOON)
    assert (rooms.news(), livekit_line.rooms, len(livekit_line.asked_for("DeleteRoom"))) == ([Cleared(wanted)], set(), 3)


def test_a_room_of_a_call_whose_time_is_over_is_not_fought_for(rooms: Rooms, livekit_line: FakeLiveKit) -> None:
    rooms.clear(order(make_call(Status.DISPATCHED), until=timedelta(0)))
    assert rooms.settle(SOON)
    assert (rooms.news(), livekit_line.asked) == ([], [])


def test_closing_does_not_wait_for_ever(livekit_line: FakeLiveKit) -> None:
    may_answer = threading.Event()
    livekit_line.before["DeleteRoom"] = may_answer.wait
    opener = Rooms()
    opener.clear(order(make_call(Status.DISPATCHED)))
    opener.close(timeout_s=0.1)
    may_answer.set()
    assert not opener._thread.is_alive()


def test_an_opener_without_a_livekit_says_so(settings: Settings) -> None:
    with pytest.raises(GatewayError) as missing:
        Rooms(Gateway.from_settings)
    assert missing.value.kind == FailureKind.NOT_CONFIGURED


def test_an_organization_that_lost_the_phone_line_waits_in_no_queue(rooms: Rooms) -> None:
    call = make_call()
    Organization.objects.update(phone_line=False)
    assert not dialer.dial_due(rooms)
    assert (as_written(call).outcome, as_written(call).ended_reason) == ("blocked", "line.phone_not_available")
