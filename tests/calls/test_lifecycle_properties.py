"""Whatever many actors do to calls, in whatever order and however their transactions overlap, the lifecycle's promises hold.

On PostgreSQL up to three actors are at work at once, each held between two of its statements for as long as the search likes; on SQLite,
which has one writer, they come one after the other. More by hand: `pytest --hypothesis-profile long`, on PostgreSQL by
`python -m tests.on_postgresql --hypothesis-profile long tests/calls/test_lifecycle_properties.py`.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from calls import cancellation, heartbeats, lifecycle, schedule
from calls.cancellation import CancelResult
from calls.exceptions import WrongWay
from calls.models import Call, CallEvent, LineKind
from calls.states import DIALLED, HOLDS_THE_NUMBER, WAYS, EndedBy, Fault, Outcome, Reason, Status
from contacts import numbers
from personas.models import PersonaVersion
from tests.call_factories import make_consent
from tests.numbers import pt_mobile

from .hands import Hands

ACTORS = 3
STATEMENTS = 8  # the longest of the actions has about so many
NUMBERS = 2
BEFORE_THE_DIAL = {"", Status.SCHEDULED, Status.QUEUED, Status.DISPATCHED}


class World:
    """What stays from one run of the machine to the next: whom one calls, on what evidence, and the threads that act."""

    def __init__(self, version: PersonaVersion) -> None:
        self.version = version
        self.consents = [make_consent(organization=version.persona.organization, number=pt_mobile(n)) for n in range(NUMBERS)]
        # Whom a job was told to dial, and the token that it showed.
        self.dialled: list[tuple[uuid.UUID, str]] = []
        self.ended: dict[uuid.UUID, dict[str, Any]] = {}
        self.hands = Hands(ACTORS) if connection.vendor == "postgresql" else None

    def begin_anew(self) -> None:
        CallEvent.objects.all()._raw_delete("default")
        Call.objects.all()._raw_delete("default")
        self.dialled.clear()
        self.ended.clear()

    def check(self) -> dict[uuid.UUID, dict[str, Any]]:
        """That every promise holds of what is in the database now; the calls' rows, oldest first."""
        with transaction.atomic():
            rows = {row["id"]: row for row in Call.objects.order_by("created_at").values()}
            events = list(CallEvent.objects.filter(kind="status").order_by("pk").values())
        alive = Counter(row["number_index"] for row in rows.values() if row["status"] in HOLDS_THE_NUMBER)
        assert set(alive.values()) <= {1}, "one call a number"
        for call_id, row in rows.items():
            a_life([event for event in events if event["call_id"] == call_id], row)
            if row["status"] == Status.ENDED:
                assert self.ended.setdefault(call_id, row) == row, "what has ended does not change"
        assert set(self.ended) <= set(rows)
        assert set(Counter(call_id for call_id, _token in self.dialled).values()) <= {1}, "one job dials, once"
        for call_id, token in self.dialled:
            assert rows[call_id]["claim"] == token, "who dials bears the token of the call"
        return rows

    def new_call(self, which: int, *, is_scheduled: bool, retry_of: Call | None = None) -> Call:
        call_id, now = uuid.uuid4(), timezone.now()
        return Call(
            id=call_id,
            organization=self.version.persona.organization,
            persona=self.version.persona,
            persona_version=self.version,
            line=LineKind.PHONE,
            room=f"call_{call_id}",
            number=pt_mobile(which),
            number_index=numbers.index_of(pt_mobile(which)),
            consent=self.consents[which],
            ring_timeout_s=30,
            max_duration_s=300,
            created_at=now - timedelta(seconds=1),
            due_at=now if is_scheduled else now - timedelta(seconds=1),
            expires_at=now + timedelta(hours=1),
            retry_of=retry_of,
            attempt=retry_of.attempt + 1 if retry_of else 1,
        )


# -- what actors do: each reads for itself what it acts on, as processes do ------------------------------------------------


def ask(world: World, which: int, *, is_scheduled: bool, retry_of: Call | None = None) -> None:
    with suppress(IntegrityError), transaction.atomic():  # the number is in another call
        lifecycle.start(world.new_call(which, is_scheduled=is_scheduled, retry_of=retry_of), by="key:1")


def retry(world: World, call: Call, token: str) -> None:
    if call.status == Status.ENDED and call.retryable:
        ask(world, [c.number_index for c in world.consents].index(call.number_index), is_scheduled=True, retry_of=call)


def take_back(world: World, call: Call, token: str) -> None:
    if call.status == Status.DISPATCHED and lifecycle.withdraw(call):
        lifecycle.release(call, by="reconciler", why="gateway")


def dispatch_anew(world: World, call: Call, token: str) -> None:
    take_back(world, call, token)
    if call.status == Status.QUEUED:
        lifecycle.claim_for_dispatch(call, by="dialer")


def dial(world: World, call: Call, token: str) -> None:
    if lifecycle.claim_for_dial(call_id=call.pk, claim=token, by="job:1", worker="job:1") is not None:
        world.dialled.append((call.pk, token))


def job_ends(world: World, call: Call, token: str) -> None:
    how = {"outcome": Outcome.ANSWERED, "reason": Reason.CALLEE_HANGUP, "ended_by": EndedBy.CALLEE}
    if call.answered_at is None:
        how = {"outcome": Outcome.BUSY, "reason": Reason.DIAL_BUSY, "ended_by": EndedBy.CARRIER}
    lifecycle.end(call, by="job:1", claim=token, within=DIALLED, retryable=True, **how)


def reconciler_ends(world: World, call: Call, token: str) -> None:
    lifecycle.end(
        call,
        by="reconciler",
        outcome=Outcome.FAILED,
        reason=Reason.ERROR_PLATFORM_WORKER_LOST,
        fault=Fault.PLATFORM,
        retryable=True,
        within=DIALLED,
    )


ACTIONS: dict[str, Callable[[World, Call, str], Any]] = {
    "promote": lambda _world, call, _token: lifecycle.promote(call, by="dialer"),
    "dispatch": lambda _world, call, _token: lifecycle.claim_for_dispatch(call, by="dialer"),
    "take back": take_back,
    "dispatch anew": dispatch_anew,
    "dial": dial,
    "ring": lambda _world, call, _token: lifecycle.ringing(call, by="job:1"),
    "answer": lambda _world, call, _token: lifecycle.answered(call, by="job:1"),
    "transfer": lambda _world, call, _token: lifecycle.transferring(call, by="job:1"),
    "come back": lambda _world, call, _token: lifecycle.back_from_transfer(call, by="job:1", why="busy"),
    "beat": lambda _world, call, token: heartbeats.beat(call_id=call.pk, claim=token),
    "job ends": job_ends,
    "reconciler ends": reconciler_ends,
    "cancel": lambda _world, call, _token: cancellation.cancel(call=call, by="user:1", reason=Reason.STAFF_CANCELED),
    "expire": lambda _world, call, _token: lifecycle.end_expired(call, by="dialer"),
    "step: promote": lambda _world, _call, _token: schedule.promote_due(),
    "step: expire": lambda _world, _call, _token: schedule.expire_due(),
    "retry": retry,
}


# What a call usually meets next: so that the search comes to where people talk.
USUAL: dict[Status, list[str]] = {
    Status.SCHEDULED: ["promote", "step: promote"],
    Status.QUEUED: ["dispatch"],
    Status.DISPATCHED: ["dial", "dial", "dispatch anew", "take back"],
    Status.DIALING: ["ring", "answer", "beat", "cancel", "job ends"],
    Status.RINGING: ["answer", "answer", "cancel", "job ends"],
    Status.IN_PROGRESS: ["transfer", "beat", "cancel", "job ends", "reconciler ends"],
    Status.TRANSFERRING: ["come back", "cancel", "job ends", "reconciler ends"],
    Status.ENDED: ["retry"],
}


class Lives(RuleBasedStateMachine):
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.begin_anew()
        self.rows: dict[uuid.UUID, dict[str, Any]] = {}
        self.tokens: list[str] = [""]

    def begin(self, act: Callable[[], Any], hold_after: int) -> None:
        if self.world.hands is None:
            act()
            return
        self.world.hands.idle()[0].begin(act, hold_after=hold_after)
        self.world.hands.settle()

    def somebody_is_idle(self) -> bool:
        return self.world.hands is None or bool(self.world.hands.idle())

    @precondition(somebody_is_idle)
    @rule(which=st.integers(0, NUMBERS - 1), is_scheduled=st.booleans(), hold_after=st.integers(0, 3))
    def somebody_asks(self, which: int, is_scheduled: bool, hold_after: int) -> None:
        self.begin(lambda: ask(self.world, which, is_scheduled=is_scheduled), hold_after)

    @precondition(lambda self: self.rows and self.somebody_is_idle())
    @rule(which=st.integers(0, 3), what=st.integers(0, 100), is_usual=st.booleans(), hold_after=st.integers(0, STATEMENTS))
    def somebody_acts(self, which: int, what: int, is_usual: bool, hold_after: int) -> None:
        # The newest are the liveliest. What is unusual: any action, with a token that may be long out of date.
        call_id = list(self.rows)[-1 - which % len(self.rows)]
        row = self.rows[call_id]
        usual = USUAL[Status(row["status"])]
        action = usual[what % len(usual)] if is_usual else list(ACTIONS)[what % len(ACTIONS)]
        shown = row["claim"] if is_usual else self.tokens[-1 - what % len(self.tokens)]

        def act() -> None:
            with suppress(WrongWay):  # who knows the state sees that no way leads on
                ACTIONS[action](self.world, Call.objects.for_briefing().get(pk=call_id), shown)

        self.begin(act, hold_after)

    @precondition(lambda self: self.world.hands is not None and self.world.hands.held())
    @rule(which=st.integers(0, ACTORS - 1))
    def who_was_held_goes_on(self, which: int) -> None:
        assert self.world.hands is not None
        held = self.world.hands.held()
        held[which % len(held)].go_on()
        self.world.hands.settle()

    @invariant()
    def the_promises_hold(self) -> None:
        self.rows = self.world.check()
        self.tokens += [row["claim"] for row in self.rows.values() if row["claim"] not in self.tokens]

    def teardown(self) -> None:
        if self.world.hands is not None:
            self.world.hands.let_all_go()
        self.the_promises_hold()


def a_life(events: list[dict[str, Any]], row: dict[str, Any]) -> None:
    """That the events are one way through the states, and the row stands where they lead."""
    status = ""
    for event in events:
        assert event["old"] == status, "each change begins where the last one ended"
        assert event["new"] in (WAYS[Status(status)] if status else {Status.SCHEDULED, Status.QUEUED}), "along the ways"
        status = event["new"]
    assert row["status"] == status, "events and row agree"
    passed = [event["new"] for event in events]
    assert passed.count(Status.DIALING) <= 1, "one job dials, once"
    if Status.DIALING in passed:
        assert BEFORE_THE_DIAL.isdisjoint(passed[passed.index(Status.DIALING) :]), "what was dialled never goes back"
    assert (row["dialing_at"] is not None) == (Status.DIALING in passed)
    assert (row["answered_at"] is not None) == (Status.IN_PROGRESS in passed)
    is_ended = status == Status.ENDED
    assert (row["ended_at"] is not None, row["outcome"] != "", row["ended_reason"] != "") == (is_ended,) * 3
    if is_ended:
        assert (row["outcome"] == Outcome.ANSWERED) == (Status.IN_PROGRESS in passed), "who picked up was reached"
        assert not (row["retryable"] and Status.IN_PROGRESS in passed), "nobody who was reached is called again"


@pytest.fixture
def world(phone_line: None, own_connections: None, persona_version: PersonaVersion, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # LiveKit lets every room go; what it may answer else, the tests of canceling say.
    monkeypatch.setattr(cancellation, "_let_go", lambda _call: True)
    monkeypatch.setattr(schedule.rooms, "delete_all", lambda _rooms: None)
    it = World(persona_version)
    yield it
    if it.hands is not None:
        it.hands.close()


def test_the_promises_of_the_lifecycle_hold_in_any_interleaving(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lives, "world", world, raising=False)
    # The profile is registered in tests/conftest.py.
    runs = settings.default.max_examples if settings.get_current_profile_name() == "long" else 30
    run_state_machine_as_test(Lives, settings=settings(max_examples=runs, deadline=None, suppress_health_check=list(HealthCheck)))


# -- two actors, one of them held between every two of its statements ------------------------------------------------------

WAY: dict[Status, list[str]] = {
    Status.SCHEDULED: [],
    Status.QUEUED: ["promote"],
    Status.DISPATCHED: ["promote", "dispatch"],
    Status.DIALING: ["promote", "dispatch", "dial"],
    Status.RINGING: ["promote", "dispatch", "dial", "ring"],
    Status.IN_PROGRESS: ["promote", "dispatch", "dial", "answer"],
    Status.TRANSFERRING: ["promote", "dispatch", "dial", "answer", "transfer"],
}


def a_call_that_came_to(status: Status, world: World) -> Call:
    world.begin_anew()
    ask(world, 0, is_scheduled=True)
    for action in WAY[status]:
        call = Call.objects.for_briefing().get()
        ACTIONS[action](world, call, call.claim)
    call = Call.objects.for_briefing().get()
    assert call.status == status
    return call


def while_held(world: World, held: Callable[[], Any], hold_after: int, call: Call, other: str) -> bool:
    """Begin `held`, do `other` when it is held after so many statements, and let it go on. False: it has not so many."""
    assert world.hands is not None
    first, second = world.hands.all[:2]
    first.begin(held, hold_after=hold_after)
    world.hands.settle()
    was_held = first.is_held
    second.begin(lambda: acts(world, other, call), hold_after=0)
    world.hands.settle()
    world.hands.let_all_go()
    return was_held


def acts(world: World, action: str, call: Call) -> None:
    with suppress(WrongWay):
        ACTIONS[action](world, Call.objects.for_briefing().get(pk=call.pk), call.claim)


on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")


@on_postgresql
@pytest.mark.parametrize("other", ACTIONS)
def test_whatever_happens_while_a_job_takes_its_call_the_promises_hold(world: World, other: str) -> None:
    hold_after = 1
    while True:
        call = a_call_that_came_to(Status.DISPATCHED, world)
        if not while_held(world, partial(dial, world, call, call.claim), hold_after, call, other):
            break
        world.check()
        hold_after += 1
    assert hold_after > 4, "it was held in between"


def what_may_happen_to_a_call_that_came_to(status: Status, world: World) -> list[str]:
    """Of all the actions those that move it on; and the step that looks after a call whose canceling stopped half-way."""
    moving = ["step: expire"]
    for action in ACTIONS.keys() - {"cancel"}:
        acts(world, action, a_call_that_came_to(status, world))
        if Call.objects.get().status != status:
            moving.append(action)
    return moving


def told_truly(call: Call, said: CancelResult) -> None:
    """That the answer to a cancel says what happened."""
    passed = set(CallEvent.objects.filter(call=call, kind="status").values_list("new", flat=True))
    ended = Call.objects.get(pk=call.pk)
    assert ended.status == Status.ENDED
    if said == CancelResult.HAD_ENDED:
        assert ended.ended_reason != Reason.STAFF_CANCELED
    elif said == CancelResult.NEVER_RANG:
        assert (Status.DIALING in passed, ended.outcome) == (False, Outcome.CANCELED)
    elif said == CancelResult.WAS_DIALLED:
        assert (Status.DIALING in passed, Status.IN_PROGRESS in passed, ended.outcome) == (True, False, Outcome.CANCELED)
    else:
        assert (said, Status.IN_PROGRESS in passed, ended.outcome) == (CancelResult.WAS_TALKING, True, Outcome.ANSWERED)


@on_postgresql
@pytest.mark.parametrize("status", WAY)
def test_whatever_happens_while_a_call_is_canceled_the_answer_is_true(world: World, status: Status) -> None:
    for other in what_may_happen_to_a_call_that_came_to(status, world):
        hold_after, was_held = 1, True
        while was_held:
            call, said = a_call_that_came_to(status, world), []  # type: tuple[Call, list[CancelResult]]

            def cancel(call: Call = call, said: list[CancelResult] = said) -> None:
                said.append(cancellation.cancel(call=call, by="user:1", reason=Reason.STAFF_CANCELED))

            was_held = while_held(world, cancel, hold_after, call, other)
            world.check()
            told_truly(call, said[0])
            hold_after += 1
