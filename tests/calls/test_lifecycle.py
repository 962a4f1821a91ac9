"""A call goes only where a way leads, once, and leaves a row behind; and nothing dials it twice (design §3)."""

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone, translation

from accounts.models import Organization
from calls import lifecycle, policy
from calls.exceptions import CallError, WrongWay
from calls.models import Call, CallEvent, LineKind
from calls.states import UNDIALLED, WAYS, EndedBy, Fault, Outcome, Reason, Status
from contacts import consents, suppressions
from contacts.models import SuppressionReason
from tests.call_factories import CLAIM, make_call, make_consent
from tests.numbers import pt_mobile

pytestmark = pytest.mark.django_db
ALIVE = [status for status in Status if status != Status.ENDED]


def the_end(new: Status) -> dict[str, Any]:
    return {"outcome": Outcome.FAILED, "ended_reason": Reason.ERROR_PLATFORM_INTERNAL} if new == Status.ENDED else {}


def as_written(call: Call) -> Call:
    return Call.objects.for_briefing().get(pk=call.pk)


@pytest.mark.parametrize(("old", "new"), list(product(Status, Status)))
def test_a_call_goes_only_where_a_way_leads(old: Status, new: Status) -> None:
    call = make_call(old)
    if new in WAYS[old]:
        assert lifecycle.go(call, new, by="test", why="because", facts={"n": 1}, **the_end(new))
        assert (call.status, as_written(call).status) == (new, new)
        assert list(call.events.values_list("old", "new", "by", "why", "facts", "kind")) == [
            (old, new, "test", "because", {"n": 1}, "status")
        ]
    else:
        with translation.override("en"), pytest.raises(WrongWay, match=f"A call that is {old} cannot become {new}."):
            lifecycle.go(call, new, by="test", **the_end(new))
        assert (as_written(call).status, call.events.count()) == (old, 0)


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        (Status.SCHEDULED, Status.QUEUED, "queued_at"),
        (Status.QUEUED, Status.DISPATCHED, "dispatched_at"),
        (Status.DISPATCHED, Status.DIALING, "dialing_at"),
        (Status.DIALING, Status.RINGING, "ringing_at"),
        (Status.RINGING, Status.ENDED, "ended_at"),
    ],
)
def test_the_time_of_each_state_is_kept(old: Status, new: Status, column: str) -> None:
    call = make_call(old)
    before = timezone.now()
    lifecycle.go(call, new, by="test", **the_end(new))
    written = getattr(as_written(call), column)
    assert before <= written <= timezone.now()
    assert getattr(call, column) == as_written(call).changed_at == call.events.get().at == written


@pytest.mark.parametrize(("due_in_s", "status"), [(0, "queued"), (60, "scheduled")])
def test_a_new_call_waits_for_its_time(due_in_s: int, status: str) -> None:
    call = make_call()
    Call.objects.all().delete()
    call.due_at = call.created_at + timedelta(seconds=due_in_s)
    lifecycle.start(call, by="key:7")
    event = CallEvent.objects.get()
    assert (as_written(call).status, event.new, event.by) == (status, status, "key:7")
    assert (as_written(call).queued_at is not None) == (status == "queued")


def test_of_two_that_claim_a_call_one_gets_it() -> None:
    first = make_call()
    second = as_written(first)
    assert lifecycle.claim_for_dispatch(first, by="dialer:1")
    assert not lifecycle.claim_for_dispatch(second, by="dialer:2")
    assert (second.status, second.claim) == (Status.QUEUED, "")
    assert as_written(first).claim == first.claim != ""
    assert [event.by for event in first.events.all()] == ["dialer:1"]


def test_a_call_that_goes_back_to_the_queue_gets_a_new_token() -> None:
    call = make_call()
    lifecycle.claim_for_dispatch(call, by="dialer")
    token = call.claim
    assert lifecycle.release(call, by="dialer", why="gateway")
    assert (call.status, call.claim != token) == (Status.QUEUED, True)
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=token, by="job:1", worker="job:1") is None
    lifecycle.claim_for_dispatch(call, by="dialer")
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=token, by="job:1", worker="job:1") is None
    assert as_written(call).status == Status.DISPATCHED


def test_a_job_gets_its_call_once() -> None:
    call = make_call(Status.DISPATCHED)
    mine = lifecycle.claim_for_dial(call_id=str(call.pk), claim=CLAIM, by="job:1", worker="job:1")
    assert mine is not None
    assert (mine.status, mine.worker, mine.heartbeat_at is not None) == (Status.DIALING, "job:1", True)
    assert as_written(call).worker == "job:1"
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:2", worker="job:2") is None
    assert as_written(call).worker == "job:1"


@pytest.mark.parametrize("claim", ["", "f" * 32])
def test_a_job_with_another_token_does_not_get_the_call(claim: str) -> None:
    call = make_call(Status.DISPATCHED)
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=claim, by="job:1", worker="job:1") is None
    assert (as_written(call).status, call.events.count()) == (Status.DISPATCHED, 0)


def test_a_call_that_was_withdrawn_cannot_be_dialled() -> None:
    call = make_call(Status.DISPATCHED)
    assert lifecycle.withdraw(call)
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None


def test_a_call_that_a_job_has_taken_is_not_withdrawn() -> None:
    call = make_call(Status.DISPATCHED)
    mine = lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1")
    assert mine is not None
    assert not lifecycle.withdraw(call)
    assert as_written(call).claim == CLAIM


def test_a_call_that_was_canceled_is_not_dialled() -> None:
    call = make_call(Status.DISPATCHED, cancel_requested_at=timezone.now(), cancel_requested_by="key:7", cancel_reason=Reason.API_CANCELED)
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None
    ended = as_written(call)
    assert (ended.status, ended.outcome, ended.ended_reason, ended.ended_by) == ("ended", "canceled", "api.canceled", "client")
    assert call.events.get().by == "key:7"


def test_a_call_whose_time_is_over_is_not_dialled() -> None:
    call = make_call(Status.DISPATCHED, expires_at=timezone.now() - timedelta(seconds=1))
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None
    ended = as_written(call)
    assert (ended.outcome, ended.ended_reason, ended.ended_by, ended.retryable) == ("canceled", "schedule.expired", "platform", True)


def test_who_opted_out_while_the_agent_got_ready_is_not_dialled() -> None:
    call = make_call(Status.DISPATCHED)
    suppressions.suppress(
        organization=call.organization,
        number_index=call.number_index,
        reason=SuppressionReason.STAFF,
        by="user:1",
        simulated=False,
    )
    with translation.override("en"):
        assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None
    ended = as_written(call)
    assert (ended.outcome, ended.ended_reason, ended.ended_by) == ("blocked", "policy.do_not_call", "platform")
    assert ended.note == "This number asked not to be called."


def test_whose_consent_was_taken_back_is_not_dialled() -> None:
    call = make_call(Status.DISPATCHED)
    assert call.consent is not None
    consents.revoke(consent=call.consent)
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None
    assert as_written(call).ended_reason == "policy.consent"


def test_a_consent_of_the_sandbox_does_not_make_a_phone_ring(organization: Organization) -> None:
    consent = make_consent(organization=organization, simulated=True)
    call = make_call(Status.DISPATCHED, organization=organization, consent=consent)
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None
    assert as_written(call).ended_reason == "policy.consent"


def test_the_sandbox_is_refused_nothing() -> None:
    call = make_call(Status.DISPATCHED, line=LineKind.SANDBOX)
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="sandbox:1", worker="sandbox:1") is not None


def test_a_wish_to_cancel_that_comes_at_the_last_moment_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    call = make_call(Status.DISPATCHED)

    def somebody_cancels(_ask: object) -> None:
        Call.objects.update(cancel_requested_at=timezone.now())

    # Between the job's look at the call and its claim.
    monkeypatch.setattr("calls.policy.first_objection", somebody_cancels)
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None
    assert as_written(call).status == Status.DISPATCHED


def test_a_call_rings_is_answered_is_put_through_and_comes_back() -> None:
    call = make_call(Status.DIALING)
    assert lifecycle.ringing(call, by="job:1")
    assert lifecycle.answered(call, by="job:1", sip_call_id="SCL_1")
    answered_at = as_written(call).answered_at
    assert lifecycle.transferring(call, by="job:1")
    assert lifecycle.back_from_transfer(call, by="job:1", why="error.transfer.failed")
    assert (as_written(call).status, as_written(call).answered_at, as_written(call).sip_call_id) == ("in_progress", answered_at, "SCL_1")
    assert list(call.events.values_list("new", flat=True)) == ["ringing", "in_progress", "transferring", "in_progress"]


@pytest.mark.parametrize("status", ALIVE)
def test_a_call_can_end_from_every_state(status: Status) -> None:
    call = make_call(status)
    assert lifecycle.end(
        call, by="job:1", outcome=Outcome.FAILED, reason=Reason.ERROR_AI_LOST, ended_by=EndedBy.PLATFORM, fault=Fault.AI_PROVIDER
    )
    ended = as_written(call)
    picked_up = status in (Status.IN_PROGRESS, Status.TRANSFERRING)
    assert ended.outcome == ("answered" if picked_up else "failed")
    assert (ended.ended_reason, ended.ended_by, ended.fault, call.events.get().why) == (
        "error.ai.lost",
        "platform",
        "ai_provider",
        "error.ai.lost",
    )


def test_the_first_to_say_how_a_call_ended_is_believed() -> None:
    call = make_call(Status.IN_PROGRESS)
    late = as_written(call)
    assert lifecycle.end(call, by="job", outcome=Outcome.ANSWERED, reason=Reason.CALLEE_HANGUP)
    assert not lifecycle.end(late, by="other", outcome=Outcome.FAILED, reason=Reason.ERROR_PLATFORM_WORKER_LOST)
    assert as_written(call).ended_reason == late.ended_reason == "callee.hangup"
    assert call.events.count() == 1


def test_an_end_follows_a_call_that_moved_meanwhile() -> None:
    call = make_call(Status.DIALING)
    late = as_written(call)
    lifecycle.ringing(call, by="job")
    lifecycle.answered(call, by="job")
    assert lifecycle.end(late, by="other", outcome=Outcome.CANCELED, reason=Reason.STAFF_CANCELED)
    assert (as_written(call).outcome, as_written(call).answered_at) == ("answered", call.answered_at)


def test_voicemail_that_was_reached_stays_voicemail() -> None:
    call = make_call(Status.IN_PROGRESS)
    lifecycle.end(call, by="job", outcome=Outcome.VOICEMAIL, reason=Reason.VOICEMAIL_REACHED)
    assert as_written(call).outcome == "voicemail"


def test_an_answer_that_is_told_with_the_end_counts() -> None:
    call = make_call(Status.DIALING)
    now = timezone.now()
    lifecycle.end(call, by="job", outcome=Outcome.FAILED, reason=Reason.ERROR_AI_LOST, retryable=True, answered_at=now)
    assert (as_written(call).outcome, as_written(call).answered_at, as_written(call).retryable) == ("answered", now, False)


def test_whether_another_call_is_worth_it_is_kept() -> None:
    call = make_call(Status.DIALING)
    lifecycle.end(call, by="job", outcome=Outcome.BUSY, reason=Reason.DIAL_BUSY, retryable=True, sip_status_code=486)
    assert (as_written(call).retryable, as_written(call).sip_status_code) == (True, 486)


def test_a_job_that_was_replaced_has_nothing_to_say() -> None:
    call = make_call(Status.DISPATCHED)
    stale = as_written(call)
    lifecycle.release(call, by="dialer", why="gateway")
    assert not lifecycle.end(stale, by="job:1", outcome=Outcome.FAILED, reason=Reason.ERROR_PLATFORM_INTERNAL, claim=CLAIM)
    assert as_written(call).status == Status.QUEUED


@pytest.mark.parametrize("status", sorted(set(ALIVE) - UNDIALLED))
def test_a_call_that_was_dialled_neither_expires_nor_is_blocked(status: Status) -> None:
    call = make_call(status)
    assert not lifecycle.end_expired(call, by="dialer")
    assert not lifecycle.end_blocked(call, by="dialer", objection=WrongWay(old="", new=""))
    assert as_written(call).status == status


def test_staff_who_cancel_are_named() -> None:
    call = make_call(Status.RINGING, cancel_requested_by="user:42", cancel_reason=Reason.STAFF_CANCELED)
    assert lifecycle.end_as_canceled(call, by="job:1")
    ended = as_written(call)
    assert (ended.outcome, ended.ended_reason, ended.ended_by, call.events.get().by) == ("canceled", "staff.canceled", "staff", "user:42")


def test_a_note_on_the_timeline_changes_nothing_else() -> None:
    call = make_call(Status.IN_PROGRESS)
    event = lifecycle.note_event(call, "tool", by="job:1", why="end_call", facts={"ms": 3})
    assert (as_written(call).status, str(event)) == ("in_progress", f"{event.at:%H:%M:%S} tool end_call")
    assert CallEvent.objects.get().facts == {"ms": 3}


# -- what the database promises -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(set(ALIVE) - {Status.SCHEDULED}))
def test_a_phone_is_held_by_one_call_over_all_organizations(status: Status) -> None:
    make_call(status)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_call(Status.QUEUED)


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.ENDED])
def test_a_call_that_waits_or_has_ended_holds_no_phone(status: Status) -> None:
    make_call(status)
    make_call(Status.QUEUED)
    assert Call.objects.count() == 2


def test_sandbox_calls_hold_no_phone() -> None:
    make_call(line=LineKind.SANDBOX)
    make_call(line=LineKind.SANDBOX)
    make_call(line=LineKind.PHONE)
    assert Call.objects.count() == 3


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "ended"},
        {"status": "ended", "ended_at": timezone.now(), "outcome": "failed"},
        {"status": "ended", "ended_at": timezone.now(), "ended_reason": "dial.busy"},
        {"status": "ended", "outcome": "failed", "ended_reason": "dial.busy"},
        {"outcome": "failed"},
        {"ended_reason": "dial.busy"},
        {"ended_at": timezone.now()},
    ],
)
def test_an_end_has_a_time_an_outcome_and_a_reason_and_nothing_else_has(columns: dict[str, Any]) -> None:
    call = make_call()
    with pytest.raises(IntegrityError, match="an_end_has_a_time"), transaction.atomic():
        Call.objects.filter(pk=call.pk).update(**columns)


@pytest.mark.parametrize(("line", "simulated"), [(LineKind.PHONE, True), (LineKind.SANDBOX, False)])
def test_sandbox_calls_are_simulated_and_no_others(line: LineKind, simulated: bool) -> None:
    with pytest.raises(IntegrityError, match="sandbox_calls_are_simulated"), transaction.atomic():
        make_call(line=line, simulated=simulated)


def test_no_phone_call_is_without_a_consent() -> None:
    with pytest.raises(IntegrityError, match="no_phone_call_without_a_consent"), transaction.atomic():
        make_call(consent=None)


def test_the_duration_counts_from_answer_to_end() -> None:
    call = make_call(Status.IN_PROGRESS, number=pt_mobile(2))
    assert call.duration_s is None
    lifecycle.end(call, by="job", outcome=Outcome.ANSWERED, reason=Reason.CALLEE_HANGUP)
    call.ended_at = (call.answered_at or timezone.now()) + timedelta(seconds=61.9)
    assert call.duration_s == 61
    assert make_call(Status.ENDED).duration_s is None
    assert str(call) == f"{call.persona_version.slug} · {call.created_at:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(("column", "reason"), [("phone_line", "line.phone_not_available"), ("is_active", "policy.organization")])
def test_an_organization_that_lost_its_line_since_rings_no_phone(column: str, reason: str) -> None:
    call = make_call(Status.DISPATCHED)
    Organization.objects.update(**{column: False})
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None
    assert (as_written(call).outcome, as_written(call).ended_reason, as_written(call).dialing_at) == ("blocked", reason, None)


def test_an_opt_out_while_the_rules_were_asked_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    call = make_call(Status.DISPATCHED)
    ask_the_rules = policy.first_objection

    def somebody_is_quick(ask: policy.Ask) -> CallError | None:
        said = ask_the_rules(ask)
        suppressions.suppress(
            organization=call.organization, number_index=call.number_index, reason=SuppressionReason.API, by="key:1", simulated=False
        )
        return said

    monkeypatch.setattr(policy, "first_objection", somebody_is_quick)
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="job:1", worker="job:1") is None
    ended = as_written(call)
    assert (ended.status, ended.outcome, ended.ended_reason, ended.dialing_at) == (Status.ENDED, "blocked", "policy.do_not_call", None)
    assert [event.new for event in ended.events.all()] == [Status.ENDED]


def test_a_sandbox_call_is_taken_whatever_was_said_meanwhile() -> None:
    call = make_call(Status.DISPATCHED, line=LineKind.SANDBOX)
    suppressions.suppress(
        organization=call.organization, number_index=call.number_index, reason=SuppressionReason.API, by="key:1", simulated=True
    )
    assert lifecycle.claim_for_dial(call_id=call.pk, claim=CLAIM, by="sandbox:1", worker="sandbox:1") is not None


@pytest.mark.parametrize("status", [status for status in Status if status != Status.TRANSFERRING])
def test_only_who_was_being_transferred_comes_back(status: Status) -> None:
    with pytest.raises(WrongWay):
        lifecycle.back_from_transfer(make_call(status), by="job:1", why="busy")


def test_a_call_is_answered_once() -> None:
    call = make_call(Status.TRANSFERRING)
    with pytest.raises(WrongWay):
        lifecycle.answered(call, by="job:1")
