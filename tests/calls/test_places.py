"""A line's limits are kept, no organization starves the others, and a claim costs the same however many calls wait."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calls import clock, lifecycle, places
from calls.models import Call, Line, LineKind, LineShare
from calls.states import Priority, Status
from personas.models import PersonaVersion
from tests.call_factories import make_call
from tests.factories import OrganizationFactory, published_version
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db
AGO = timedelta(seconds=1)


def a_line(**limits: Any) -> Line:
    """The phone line; without a pace, unless `limits` say one."""
    return Line.objects.update_or_create(kind=LineKind.PHONE, defaults={"calls_per_second": None} | limits)[0]


def take(**more: Any) -> places.Taken:
    return places.take(LineKind.PHONE, **{"by": "dialer", "may_still": lambda *_: True} | more)


def waiting(version: PersonaVersion, *numbers: int, **columns: Any) -> list[Call]:
    """Calls in the queue, the first the oldest."""
    now = timezone.now()
    return [
        make_call(number=pt_mobile(n), version=version, due_at=now - AGO - timedelta(seconds=len(numbers) - at), **columns)
        for at, n in enumerate(numbers)
    ]


@pytest.fixture
def other_version() -> PersonaVersion:
    return published_version(organization=OrganizationFactory())


def test_what_is_urgent_comes_first_then_who_holds_fewest_then_who_waited_longest(
    persona_version: PersonaVersion, other_version: PersonaVersion
) -> None:
    a_line(places=5)
    make_call(Status.RINGING, number=pt_mobile(1), version=persona_version)
    oldest, old = waiting(persona_version, 2, 3)
    (urgent,) = waiting(persona_version, 4, priority=Priority.HIGH)
    young, youngest = (make_call(number=pt_mobile(n), version=other_version) for n in (5, 6))
    # The other organization holds none yet, and comes to as many in turn.
    assert take().calls == [urgent, young, youngest, oldest]
    assert not take().calls
    assert Call.objects.get(status=Status.QUEUED) == old


@pytest.mark.parametrize(
    ("of_the_line", "own", "expected"), [(None, None, 4), (2, None, 2), (2, 3, 3), (3, 1, 1)], ids=["none", "line's", "more", "less"]
)
def test_an_organization_holds_no_more_places_than_its_share(
    persona_version: PersonaVersion, of_the_line: int | None, own: int | None, expected: int
) -> None:
    line = a_line(places=4, share=of_the_line)
    if own:
        LineShare.objects.create(line=line, organization=persona_version.persona.organization, places=own)
    waiting(persona_version, *range(6))
    assert len(take().calls) == expected


def test_behind_an_organization_that_used_up_its_share_the_others_are_called(
    persona_version: PersonaVersion, other_version: PersonaVersion
) -> None:
    a_line(places=4, share=2)
    many = waiting(persona_version, *range(6), priority=Priority.HIGH)
    at_the_tail = make_call(number=pt_mobile(9), version=other_version, priority=Priority.LOW)
    assert take().calls == [*many[:2], at_the_tail]


def test_a_line_with_a_pace_begins_its_calls_evenly(persona_version: PersonaVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    line = a_line(calls_per_second=2)
    waiting(persona_version, 1, 2)
    start = timezone.now()
    seen = [(0, [0.0], None), (200, [], 0.3), (499, [], 0.001), (500, [0.5], None)]
    for after_ms, began, next_in_s in seen:
        monkeypatch.setattr(clock, "database_now", lambda at=start + timedelta(milliseconds=after_ms): at)
        taken = take()
        assert ([(call.dispatched_at - start).total_seconds() for call in taken.calls], taken.next_in_s) == (began, next_in_s)  # type: ignore[operator]
    # What waits does not add up: there is no burst after a quiet time.
    line.refresh_from_db()
    assert line.next_slot_at == start + timedelta(seconds=1)


def test_a_pace_that_was_raised_holds_at_once() -> None:
    at = timezone.now()
    line = Line(calls_per_second=10, next_slot_at=at + timedelta(minutes=1))
    assert places.seconds_to_next(line, at) == 0.1
    line.calls_per_second = None
    assert places.seconds_to_next(line, at) == 0.0


def test_no_second_holds_one_call_more_than_the_pace() -> None:
    assert [places.slot(rate) * rate >= timedelta(seconds=1) for rate in (0.3, 3, 7, 9, 70)] == [True] * 5


def test_a_call_that_is_refused_takes_no_place_and_no_slot(persona_version: PersonaVersion) -> None:
    a_line(calls_per_second=1)
    refused, wanted = waiting(persona_version, 1, 2)

    def may_still(call: Call, at: datetime) -> bool:
        return call != refused or not lifecycle.end_expired(call, by="test")

    assert take(may_still=may_still).calls == [wanted]


def test_the_line_is_let_go_between_many_refusals(persona_version: PersonaVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "REFUSED_AT_ONCE", 2)
    a_line(calls_per_second=1)
    waiting(persona_version, *range(5))
    assert take(may_still=lambda call, _at: not lifecycle.end_expired(call, by="test")).calls == []
    assert Call.objects.filter(status=Status.ENDED).count() == 3


def test_what_somebody_was_quicker_to_take_is_passed_over(persona_version: PersonaVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    a_line(places=2)
    waiting(persona_version, 1)
    monkeypatch.setattr(lifecycle, "claim_for_dispatch", lambda *_, **__: False)
    assert take().calls == []


def test_who_emptied_the_database_gets_a_line_with_a_pace(persona_version: PersonaVersion) -> None:
    Line.objects.all().delete()
    waiting(persona_version, 1, 2)
    assert len(take().calls) == 1
    assert Line.objects.get().calls_per_second == 10.0


def test_a_claim_asks_the_database_as_often_however_many_wait() -> None:
    a_line(calls_per_second=1)
    asked = []
    for number in range(3):
        waiting(published_version(organization=OrganizationFactory()), *range(number * 10, number * 10 + 4))
        Line.objects.update(next_slot_at=None)
        with CaptureQueriesContext(connection) as queries:
            assert len(take().calls) == 1
        asked.append(len(queries))
    assert len(set(asked)) == 1
