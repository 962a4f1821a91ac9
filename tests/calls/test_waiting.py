"""A call that waits says why, how many come before it, and until when at least."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from calls import places, waiting
from calls.models import Call, Line, LineKind
from calls.states import Priority, Status
from calls.waiting import Waiting, Why, waiting_of
from personas.models import PersonaVersion
from tests.call_factories import make_call
from tests.factories import OrganizationFactory, published_version
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db
LATER = timezone.now() + timedelta(hours=1)


@pytest.fixture
def line() -> Line:
    return Line.objects.update_or_create(kind=LineKind.PHONE, defaults={"calls_per_second": None})[0]


def set_line(line: Line, **limits: Any) -> None:
    Line.objects.filter(pk=line.pk).update(**limits)


def queued(version: PersonaVersion, number: int, *, age_s: int = 10, **columns: Any) -> Call:
    return make_call(number=pt_mobile(number), version=version, due_at=timezone.now() - timedelta(seconds=age_s), **columns)


@pytest.mark.parametrize("status", [Status.DISPATCHED, Status.RINGING, Status.IN_PROGRESS, Status.ENDED])
def test_a_call_that_is_under_way_or_over_does_not_wait(status: Status) -> None:
    assert waiting_of(make_call(status)) is None


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED])
def test_a_call_whose_time_has_not_come_says_when(status: Status) -> None:
    assert waiting_of(make_call(status, due_at=LATER)) == Waiting(Why.NOT_YET_TIME, until=LATER)


def test_a_scheduled_call_waits_for_its_number(persona_version: PersonaVersion) -> None:
    call = make_call(Status.SCHEDULED, version=persona_version, due_at=timezone.now() - timedelta(seconds=1))
    assert waiting_of(call) == Waiting(Why.NEXT)
    make_call(Status.IN_PROGRESS, version=persona_version)
    assert waiting_of(call) == Waiting(Why.NUMBER_IN_CALL)


def test_no_number_is_held_on_the_sandbox(persona_version: PersonaVersion) -> None:
    make_call(Status.IN_PROGRESS, version=persona_version)
    call = make_call(Status.SCHEDULED, version=persona_version, line=LineKind.SANDBOX, due_at=timezone.now() - timedelta(seconds=1))
    assert waiting_of(call) == Waiting(Why.NEXT)


def test_why_a_call_waits_in_the_queue(line: Line, persona_version: PersonaVersion) -> None:
    call = queued(persona_version, 1)
    make_call(Status.RINGING, number=pt_mobile(2), version=persona_version)
    assert waiting_of(call) == Waiting(Why.NEXT, position=1)
    set_line(line, calls_per_second=10, next_slot_at=LATER)
    assert waiting_of(call) == Waiting(Why.RATE, position=1, until=LATER)
    set_line(line, places=1)
    assert waiting_of(call) == Waiting(Why.LINE_FULL, position=1)
    set_line(line, share=1)
    assert waiting_of(call) == Waiting(Why.ORGANIZATION_SHARE, position=1)
    set_line(line, is_open=False)
    assert waiting_of(call) == Waiting(Why.LINE_CLOSED, position=1)


def test_each_slot_of_the_line_is_for_one_call(line: Line, persona_version: PersonaVersion) -> None:
    set_line(line, calls_per_second=0.5, next_slot_at=LATER)
    calls = [queued(persona_version, n, age_s=10 - n) for n in range(3)]
    assert [waiting_of(call) for call in calls] == [
        Waiting(Why.RATE, position=n + 1, until=LATER + timedelta(seconds=2 * n)) for n in range(3)
    ]
    set_line(line, next_slot_at=None)
    assert waiting_of(calls[0]) == Waiting(Why.NEXT, position=1)
    second = waiting_of(calls[1])
    assert second is not None
    assert (second.why, second.until is not None) == (Why.RATE, True)


def test_a_line_that_has_no_row_yet_has_its_defaults(persona_version: PersonaVersion) -> None:
    Line.objects.all().delete()
    assert waiting_of(queued(persona_version, 1)) == Waiting(Why.NEXT, position=1)


def test_a_call_that_left_the_queue_since_it_was_read_does_not_wait(persona_version: PersonaVersion) -> None:
    call = queued(persona_version, 1)
    Call.objects.all().delete()
    assert waiting_of(call) is None


def test_the_positions_are_the_order_in_which_the_calls_are_given_out(line: Line, persona_version: PersonaVersion) -> None:
    others = [published_version(organization=OrganizationFactory()) for _ in range(2)]
    make_call(Status.RINGING, number=pt_mobile(90), version=persona_version)
    make_call(Status.RINGING, number=pt_mobile(91), version=others[0])
    make_call(Status.RINGING, number=pt_mobile(92), version=others[0])
    calls = [queued(persona_version, n, age_s=60 - n) for n in range(5)]
    calls += [queued(others[0], n, age_s=45 - n) for n in range(10, 13)]
    calls += [queued(others[1], n, age_s=45 - n) for n in range(20, 26)]
    calls += [queued(others[1], 30, priority=Priority.LOW, age_s=300), queued(others[0], 31, priority=Priority.HIGH)]
    positions = {call.pk: found.position for call in calls if (found := waiting_of(call))}
    set_line(line, places=100)
    taken = places.take(LineKind.PHONE, by="dialer", may_still=lambda *_: True).calls
    assert [positions[call.pk] for call in taken] == list(range(1, len(calls) + 1))


def test_a_queue_of_others_that_used_up_their_share_is_not_before_it(line: Line, persona_version: PersonaVersion) -> None:
    set_line(line, share=1)
    other = published_version(organization=OrganizationFactory())
    make_call(Status.RINGING, number=pt_mobile(1), version=other)
    for n in range(2, 5):
        queued(other, n, age_s=60, priority=Priority.HIGH)
    assert waiting_of(queued(persona_version, 9)) == Waiting(Why.NEXT, position=1)


def test_a_long_queue_is_not_counted_to_its_end(line: Line, persona_version: PersonaVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "COUNTED", 3)
    other = published_version(organization=OrganizationFactory())
    for n in range(5):
        queued(persona_version, n, age_s=60 - n)
        queued(other, 10 + n, age_s=60 - n)
    set_line(line, calls_per_second=1, next_slot_at=LATER)
    assert waiting_of(queued(persona_version, 9)) == Waiting(Why.RATE, position=3, more_than=True)
