"""What must hold when several do it at once: real threads, each with a connection of its own, on whichever database is configured."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Organization
from calls import cancellation, idempotency, lifecycle, places, witness
from calls.exceptions import CallError, NumberInCall, StillAnswering
from calls.models import Call, CallEvent, CallRequest, Line, LineKind, RoomEvent, RoomEventKind, Who
from calls.requests import Accepted, request_call
from calls.states import Outcome, Reason, Status
from personas.models import PersonaVersion
from tests.call_factories import CLAIM, a_requester, an_order, make_call
from tests.numbers import pt_mobile

from .livekit_api import FakeLiveKit
from .watching import Watcher, lost_call

pytestmark = pytest.mark.usefixtures("own_connections")


def at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """What each task returned, or the CallError it raised; all start together."""
    gate = threading.Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return task()
        except CallError as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as threads:
        return list(threads.map(run, tasks))


@pytest.mark.usefixtures("phone_line", "persona_version")
def test_fifty_requests_at_once_for_one_number_are_one_call(organization: Organization) -> None:
    order = an_order()
    results = at_once(*[lambda: request_call(organization=organization, by=a_requester(), order=order)] * 50)
    assert Counter(type(result) for result in results) == {Accepted: 1, NumberInCall: 49}
    assert (Call.objects.count(), CallEvent.objects.count()) == (1, 1)
    assert Counter(CallRequest.objects.values_list("code", flat=True)) == {"accepted": 1, "number.in_call": 49}


@pytest.mark.usefixtures("phone_line", "persona_version")
def test_one_idempotency_key_at_once_is_one_call_and_one_answer(organization: Organization) -> None:
    order = an_order()
    results = at_once(*[lambda: request_call(organization=organization, by=a_requester(), order=order, idempotency_key="k")] * 12)
    assert Counter(result.replayed for result in results) == {False: 1, True: 11}
    assert {result.answer["id"] for result in results} == {str(Call.objects.get().pk)}


@pytest.mark.usefixtures("persona_version")
def test_who_waits_too_long_for_the_first_answer_is_told_so(organization: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "OTHERS_WAIT_S", 1)
    order = an_order()
    has_the_key, may_go_on = threading.Event(), threading.Event()

    def slow_answer(call: Call) -> dict[str, Any]:
        has_the_key.set()
        assert may_go_on.wait(30)
        return {"first": True}

    def first() -> Accepted:
        return request_call(organization=organization, by=a_requester(), order=order, idempotency_key="k", answer=slow_answer)

    def second() -> CallError:
        assert has_the_key.wait(30)
        # The refusal itself is kept once the database takes it again.
        monkeypatch.setattr("calls.requests.refuse", lambda **_: None)
        with pytest.raises(StillAnswering) as refusal:
            request_call(organization=organization, by=a_requester(), order=order, idempotency_key="k")
        may_go_on.set()
        return refusal.value

    first_result, second_result = at_once(first, second)
    assert (first_result.replayed, second_result.code) == (False, "idempotency.in_progress")
    again = request_call(organization=organization, by=a_requester(), order=order, idempotency_key="k")
    assert (again.replayed, again.answer, Call.objects.count()) == (True, {"first": True}, 1)


@pytest.mark.usefixtures("persona_version")
def test_two_who_meet_a_person_first_meet_the_same_person(organization: Organization) -> None:
    results = at_once(*[lambda: request_call(organization=organization, by=a_requester(), order=an_order())] * 8)
    assert len({result.call.contact.pk for result in results}) == 1


@pytest.mark.parametrize("line", LineKind)
def test_several_dialers_never_take_more_than_the_lines_places(persona_version: PersonaVersion, line: LineKind) -> None:
    Line.objects.update_or_create(kind=line, defaults={"places": 4})
    for n in range(10):
        make_call(number=pt_mobile(n), version=persona_version, line=line)
    taken = at_once(*[lambda: places.take(line, by="dialer", may_still=lambda *_: True, most=3).calls] * 4)
    claimed = [call.pk for calls in taken for call in calls]
    assert (len(claimed), len(set(claimed))) == (4, 4)
    assert Call.objects.filter(status=Status.DISPATCHED).count() == 4


def test_of_many_jobs_one_gets_to_dial(persona_version: PersonaVersion) -> None:
    call = make_call(Status.DISPATCHED, version=persona_version)
    got = at_once(
        *[lambda n=n: lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by=f"job:{n}", worker=f"job:{n}") for n in range(10)]
    )
    winners = [taken.worker for taken in got if taken]
    assert winners == [Call.objects.get().worker]
    assert list(CallEvent.objects.values_list("new", "by")) == [("dialing", winners[0])]


def test_of_many_ends_one_is_believed(persona_version: PersonaVersion) -> None:
    call = make_call(Status.RINGING, version=persona_version)
    reasons = [Reason.CALLEE_DECLINED, Reason.DIAL_NO_ANSWER, Reason.STAFF_CANCELED, Reason.ERROR_PLATFORM_WORKER_LOST]

    def ends(reason: Reason) -> bool:
        return lifecycle.end(Call.objects.get(pk=call.pk), by=str(reason), outcome=Outcome.FAILED, reason=reason)

    believed = at_once(*[lambda reason=reason: ends(reason) for reason in reasons])
    assert Counter(believed) == {True: 1, False: 3}
    assert [event.why for event in CallEvent.objects.all()] == [Call.objects.get().ended_reason]


@pytest.mark.parametrize("attempt", range(8))
def test_a_call_that_is_canceled_while_a_job_takes_it_never_rings_after_its_end(
    attempt: int, persona_version: PersonaVersion, livekit_line: FakeLiveKit
) -> None:
    call = make_call(Status.DISPATCHED, version=persona_version)
    livekit_line.rooms.add(call.room)
    mine, result = at_once(
        lambda: lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1"),
        lambda: cancellation.cancel(call=Call.objects.get(pk=call.pk), by="user:1", reason=Reason.STAFF_CANCELED),
    )
    ended = Call.objects.get()
    assert (ended.status, ended.outcome, ended.ended_reason) == ("ended", "canceled", "staff.canceled")
    # Who was late finds no room to dial from; who was early had it taken away.
    assert livekit_line.rooms == set()
    assert list(CallEvent.objects.values_list("new", flat=True))[-1] == "ended"
    assert result == (cancellation.CancelResult.WAS_DIALLED if mine else cancellation.CancelResult.NEVER_RANG)


def looks_once(reconciler: Watcher) -> bool:
    try:
        return reconciler.look()
    finally:
        reconciler.close()


def test_several_reconcilers_are_as_good_as_one(persona_version: PersonaVersion, livekit_line: FakeLiveKit) -> None:
    reconcilers = [Watcher().has_watched() for _each in range(4)]
    lost = [lost_call(livekit_line, number=pt_mobile(n), version=persona_version) for n in range(6)]
    at_once(*[lambda reconciler=reconciler: looks_once(reconciler) for reconciler in reconcilers])
    # One that took a call from another goes on where that one was; at the latest its next look does.
    last = Watcher().has_watched()
    last.close()
    assert set(Call.objects.values_list("status", "outcome", "ended_reason")) == {("ended", "answered", "error.platform.worker_lost")}
    for kind in ("status", "mended"):
        assert Counter(CallEvent.objects.filter(kind=kind).values_list("call", flat=True)) == {call.pk: 1 for call in lost}
    assert livekit_line.rooms == set()


def test_several_reconcilers_put_a_call_back_once(persona_version: PersonaVersion, livekit_line: FakeLiveKit) -> None:
    reconcilers = [Watcher() for _each in range(4)]
    call = make_call(Status.DISPATCHED, version=persona_version)
    for reconciler in reconcilers:
        reconciler.watch(10.5)
    at_once(*[lambda reconciler=reconciler: looks_once(reconciler) for reconciler in reconcilers])
    last = Watcher().has_watched()
    last.close()
    assert Call.objects.get().status == Status.QUEUED
    assert list(CallEvent.objects.filter(call=call).values_list("kind", "why")) == [("status", "nobody_came"), ("mended", "nobody_came")]


def test_an_event_that_livekit_sends_twice_at_once_is_one_row(persona_version: PersonaVersion) -> None:
    call = make_call(Status.IN_PROGRESS, version=persona_version)

    def tells() -> bool:
        witness.record(RoomEvent(event_id="EV_1", kind=RoomEventKind.LEFT, room=call.room, who=Who.CALLEE, at=timezone.now()))
        return witness.apply_due()

    at_once(*[tells] * 6)
    assert list(RoomEvent.objects.values_list("event_id", "call")) == [("EV_1", call.pk)]
