"""A call that nobody answered is tried again, once for each try, and only after the dial's own final answer."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone, translation

from accounts.models import ApiKey, Organization, User
from accounts.purposes import Purpose
from calls import cancellation, dialer, lifecycle, places, requests, retries, schedule, tasks
from calls.cancellation import CancelResult
from calls.dial_results import FINAL, RetryReason, retry_reason
from calls.engine.steps import Step
from calls.exceptions import AnsweredSince, DialFailed, FailureKind
from calls.models import Call, CallEvent, CallRequest, LineKind
from calls.policy import Ask, attempts, first_objection
from calls.policy.attempts import CAPS, Caps
from calls.states import Outcome, Reason, Status
from contacts import consents, suppressions
from contacts.models import SuppressionReason
from contacts.numbers import parse
from personas.models import PersonaVersion
from tests.call_factories import a_requester, an_order, make_call, make_consent
from tests.numbers import br_mobile, pt_mobile

pytestmark = pytest.mark.django_db

# A Tuesday, ten in the morning in Lisbon.
TEN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def version(persona_version: PersonaVersion) -> PersonaVersion:
    PersonaVersion.objects.filter(pk=persona_version.pk).update(
        max_attempts=3, retry_busy_after_min=5, retry_no_answer_after_min=60, retry_technical_after_min=None
    )
    persona_version.refresh_from_db()
    return persona_version


def api_call(version: PersonaVersion, status: Status = Status.DIALING, **columns: Any) -> Call:
    return make_call(status, version=version, **{"channel": "api", **columns})


def unanswered(version: PersonaVersion, *, retry_at: datetime | None = None, **columns: Any) -> Call:
    """A call by API that found the line busy, and is to be retried."""
    call = api_call(version, **columns)
    at = retry_at or (timezone.now() + DAY).replace(hour=12)  # in Lisbon's hours, whenever the test runs
    assert lifecycle.end(call, by="job:1", outcome=Outcome.BUSY, reason=Reason.DIAL_BUSY, retryable=True, retry_at=at)
    return call


def retry_of(call: Call) -> Call:
    return Call.objects.get(retry_of=call)


def notes(call: Call, kind: str = "retry") -> list[tuple[str, str]]:
    return list(CallEvent.objects.filter(call=call, kind=kind).values_list("by", "why"))


# --- After what a call may be tried again ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (DialFailed(FailureKind.SIP, sip_status_code=486), RetryReason.BUSY),
        (DialFailed(FailureKind.SIP, sip_status_code=600), RetryReason.BUSY),
        (DialFailed(FailureKind.SIP, sip_status_code=408), RetryReason.NO_ANSWER),
        (DialFailed(FailureKind.SIP, sip_status_code=480), RetryReason.NO_ANSWER),
        (DialFailed(FailureKind.SIP, sip_status_code=503), RetryReason.TECHNICAL),
        (DialFailed(FailureKind.SIP, sip_status_code=603), None),
        (DialFailed(FailureKind.SIP, sip_status_code=404), None),
        (DialFailed(FailureKind.SIP, sip_status_code=403), None),
        (DialFailed(FailureKind.SIP, sip_status_code=401), None),
        (DialFailed(FailureKind.SIP, sip_status_code=488), None),
        (DialFailed(FailureKind.RANG_OUT), RetryReason.NO_ANSWER),
        (DialFailed(FailureKind.SERVICE_AWAY), RetryReason.TECHNICAL),
        *((DialFailed(kind), None) for kind in FailureKind if kind not in FINAL),
    ],
)
def test_only_the_dials_own_final_answer_leaves_another_try(failure: DialFailed, reason: RetryReason | None) -> None:
    assert retry_reason(failure) == reason


@pytest.mark.parametrize(
    ("reason", "after"), [(RetryReason.BUSY, 5 * MINUTE), (RetryReason.NO_ANSWER, HOUR), (RetryReason.TECHNICAL, None)]
)
def test_the_persona_says_after_how_long_for_each_reason(version: PersonaVersion, reason: RetryReason, after: timedelta | None) -> None:
    at = retries.time_of(api_call(version), reason, at=TEN)
    assert at == (None if after is None else TEN + after)


@pytest.mark.parametrize(
    "columns",
    [
        {"channel": "staff"},
        {"channel": "callback"},
        {"channel": ""},
        {"line": LineKind.SANDBOX},
        {"attempt": 3},
        # Of a country whose hours nobody knows.
        {"number": "+34612345678"},
    ],
)
def test_nothing_but_calls_by_api_is_tried_again_and_not_for_ever(version: PersonaVersion, columns: dict[str, Any]) -> None:
    assert retries.time_of(api_call(version, **columns), RetryReason.BUSY, at=TEN) is None


def test_a_request_by_api_is_known_as_one(organization: Organization, persona_version: PersonaVersion) -> None:
    for channel in ("api", "staff"):
        call = requests.request_call(organization=organization, by=a_requester(channel=channel), order=an_order()).call
        assert call.channel == channel


@pytest.mark.parametrize(
    ("number", "ended", "retried"),
    [
        # Lisbon is on UTC in winter, São Paulo three hours behind.
        (pt_mobile(), datetime(2026, 11, 24, 20, 54, tzinfo=UTC), datetime(2026, 11, 24, 20, 59, tzinfo=UTC)),
        (pt_mobile(), datetime(2026, 11, 24, 20, 55, tzinfo=UTC), datetime(2026, 11, 25, 9, 0, tzinfo=UTC)),
        (pt_mobile(), datetime(2026, 11, 24, 3, 0, tzinfo=UTC), datetime(2026, 11, 24, 9, 0, tzinfo=UTC)),
        (br_mobile(), datetime(2026, 11, 24, 22, 58, tzinfo=UTC), datetime(2026, 11, 25, 12, 0, tzinfo=UTC)),
    ],
)
def test_a_retry_comes_in_the_callees_hours(version: PersonaVersion, number: str, ended: datetime, retried: datetime) -> None:
    assert retries.time_of(api_call(version, number=number), RetryReason.BUSY, at=ended) == retried


def test_a_demonstration_is_dialled_twice_whatever_the_persona_says(version: PersonaVersion, organization: Organization) -> None:
    consent = make_consent(organization=organization, purpose=Purpose.DEMO_CALL)
    first = api_call(version, Status.ENDED, consent=consent)
    assert retries.time_of(first, RetryReason.BUSY, at=TEN) == TEN + 5 * MINUTE
    assert retries.time_of(api_call(version, Status.ENDED, consent=consent, attempt=2), RetryReason.BUSY, at=TEN) is None


def test_offers_are_four_hours_apart_and_twice_a_day(version: PersonaVersion, organization: Organization) -> None:
    PersonaVersion.objects.update(max_attempts=5)

    def dialled(ago: timedelta) -> Call:
        consent = make_consent(organization=organization, purpose=Purpose.MARKETING)
        return api_call(version, Status.ENDED, consent=consent, dialing_at=TEN - ago)

    assert retries.time_of(dialled(timedelta(0)), RetryReason.BUSY, at=TEN) == TEN + 4 * HOUR
    assert retries.time_of(dialled(5 * HOUR), RetryReason.BUSY, at=TEN) == TEN - 5 * HOUR + DAY + 4 * HOUR  # 05:00 is out of hours
    assert retries.time_of(dialled(2 * DAY), RetryReason.BUSY, at=TEN) == TEN - 2 * DAY + 7 * DAY
    # What was for something else does not count.
    api_call(version, Status.ENDED, dialing_at=TEN)
    assert len(attempts.dials_for(Call.objects.filter(consent__purpose=Purpose.MARKETING).first())) == 3  # type: ignore[arg-type]


def test_caps_say_before_when_nobody_is_dialled_again() -> None:
    caps = Caps(in_all=5, of_one_consent=False, apart=HOUR, a_day=2, a_week=None)
    assert attempts.earliest(caps, []) is None
    assert attempts.earliest(caps, [TEN]) == TEN + HOUR
    assert attempts.earliest(caps, [TEN, TEN - HOUR]) == TEN - HOUR + DAY
    assert {purpose: caps.in_all for purpose, caps in CAPS.items()} == {"demo_call": 2, "transactional": 5, "marketing": 5}


# --- The end writes it ----------------------------------------------------------------------------------------------------------
def test_that_a_retry_is_due_is_written_with_the_end(version: PersonaVersion) -> None:
    call = unanswered(version, retry_at=TEN)
    call.refresh_from_db()
    assert (call.status, call.retry_at, call.retryable) == ("ended", TEN, True)


def test_a_call_that_was_picked_up_is_not_tried_again(version: PersonaVersion) -> None:
    call = api_call(version, Status.IN_PROGRESS)
    lifecycle.end(call, by="job:1", outcome=Outcome.FAILED, reason=Reason.ERROR_AI_LOST, retry_at=TEN)
    call.refresh_from_db()
    assert (call.outcome, call.retry_at, retries.plan_due()) == ("answered", None, False)


def test_a_call_that_has_not_ended_waits_for_no_retry(version: PersonaVersion) -> None:
    call = api_call(version)
    with pytest.raises(IntegrityError), transaction.atomic():
        Call.objects.filter(pk=call.pk).update(retry_at=TEN)


# --- The step that plans --------------------------------------------------------------------------------------------------------
def test_the_retry_is_a_call_of_its_own_on_the_schedule(version: PersonaVersion, api_key: ApiKey) -> None:
    limits = {"max_duration_s": 90, "ring_timeout_s": 20, "priority": 3}
    call = unanswered(version, api_key=api_key, customer_name="Ana", metadata={"order": 7}, **limits)
    at = call.retry_at
    assert (retries.plan_due(), retries.plan_due()) == (True, False)
    retry = retry_of(call)
    assert (retry.status, retry.attempt, retry.due_at, retry.claim, retry.channel) == ("scheduled", 2, at, "", "api")
    for name in ("organization", "persona_version", "contact", "consent", "number", "number_index", "customer_name", "metadata", "api_key"):
        assert getattr(retry, name) == getattr(call, name)
    assert (retry.max_duration_s, retry.ring_timeout_s, retry.priority, retry.line, retry.simulated) == (90, 20, 3, "phone", False)
    assert retry.opening_text.startswith("Olá, fala a assistente virtual de inteligência artificial da Taberna do Cais.")
    assert retry.room == f"call_restaurante_{retry.pk}"
    call.refresh_from_db()
    assert (call.retry_at, notes(call)) == (None, [("retry", "planned")])
    assert list(retry.events.values_list("new", "by", "facts")) == [("scheduled", "retry", {"attempt": 2})]


def test_every_retry_is_kept_as_a_request(version: PersonaVersion, api_key: ApiKey) -> None:
    call = unanswered(version, api_key=api_key)
    retries.plan_due()
    kept = CallRequest.objects.get()
    assert (kept.channel, kept.code, kept.accepted, kept.call, kept.api_key) == ("retry", "accepted", True, retry_of(call), api_key)
    assert (kept.number, kept.number_index, kept.persona) == (call.number, call.number_index, "restaurante")


def test_a_retry_expires(version: PersonaVersion) -> None:
    call = unanswered(version)
    retries.plan_due()
    retry = retry_of(call)
    assert retry.expires_at - retry.due_at == HOUR


def test_a_retry_that_is_planned_an_hour_late_is_not_wanted_any_more(version: PersonaVersion) -> None:
    call = unanswered(version, retry_at=timezone.now() - HOUR)
    assert (retries.plan_due(), notes(call)) == (True, [("retry", "schedule.expired")])
    assert (Call.objects.count(), CallRequest.objects.get().code) == (1, "schedule.expired")


def test_a_retry_waits_for_a_number_that_is_in_another_call(version: PersonaVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    at = timezone.now()
    monkeypatch.setattr(retries.local_hours, "closing", lambda *_: at + DAY)
    call = unanswered(version, retry_at=at)
    other = api_call(version, Status.RINGING)
    retries.plan_due()
    Call.objects.filter(retry_of=call).update(due_at=at)
    assert (schedule.promote_due(), retry_of(call).status) == (False, "scheduled")
    lifecycle.end(other, by="job:2", outcome=Outcome.BUSY, reason=Reason.DIAL_BUSY)
    assert (schedule.promote_due(), retry_of(call).status) == (True, "queued")


@pytest.mark.parametrize("what", ["suppressed", "consent", "revoked", "organization", "line"])
def test_the_whole_policy_is_asked_before_a_retry_is_planned(version: PersonaVersion, what: str) -> None:
    call = unanswered(version)
    organization, consent = call.organization, call.consent
    assert consent is not None
    if what == "suppressed":
        suppressions.suppress(
            organization=organization, number_index=call.number_index, reason=SuppressionReason.API, by="key:1", simulated=False
        )
    elif what == "consent":
        # It holds now, and does not at the time of the retry.
        type(consent).objects.filter(pk=consent.pk).update(expires_at=timezone.now() + MINUTE)
    elif what == "revoked":
        consents.revoke(consent=consent)
    else:
        Organization.objects.filter(pk=organization.pk).update(**{{"organization": "is_active", "line": "phone_line"}[what]: False})
    code = {"suppressed": "policy.do_not_call", "consent": "policy.consent", "revoked": "policy.consent"}
    code |= {"organization": "policy.organization", "line": "line.phone_not_available"}
    assert (retries.plan_due(), Call.objects.count(), notes(call)) == (True, 1, [("retry", code[what])])
    assert list(CallRequest.objects.values_list("channel", "code", "accepted")) == [("retry", code[what], False)]


def test_an_opt_out_stops_a_retry_that_is_on_the_schedule(version: PersonaVersion) -> None:
    call = unanswered(version)
    retries.plan_due()
    suppressions.suppress(
        organization=call.organization, number_index=call.number_index, reason=SuppressionReason.API, by="key:1", simulated=False
    )
    Call.objects.filter(retry_of=call).update(due_at=timezone.now())
    schedule.promote_due()
    places.take(LineKind.PHONE, by="dialer", may_still=partial(dialer._may_still, by="dialer"))
    retry = retry_of(call)
    assert (retry.outcome, retry.ended_reason, retry.retry_at) == ("blocked", "policy.do_not_call", None)


def test_who_was_reached_meanwhile_is_not_tried_again(version: PersonaVersion) -> None:
    call = unanswered(version)
    retries.plan_due()
    retry = retry_of(call)
    ask = Ask.about(retry, at=timezone.now())
    assert first_objection(ask) is None
    # A machine that picked up is nobody who was reached.
    Call.objects.filter(pk=api_call(version, Status.ENDED).pk).update(answered_at=timezone.now(), outcome=Outcome.VOICEMAIL)
    assert first_objection(ask) is None
    Call.objects.filter(pk=api_call(version, Status.ENDED).pk).update(answered_at=timezone.now(), outcome=Outcome.ANSWERED)
    said = first_objection(ask)
    assert said is not None
    assert (said.code, type(said)) == ("policy.attempts", AnsweredSince)


def test_a_purposes_caps_hold_at_the_time_of_the_dial(version: PersonaVersion, organization: Organization) -> None:
    consent = make_consent(organization=organization, purpose=Purpose.MARKETING, obtained_at=TEN - DAY)
    call = unanswered(version, consent=consent)
    Call.objects.filter(pk=call.pk).update(dialing_at=TEN, created_at=TEN)
    retry = api_call(version, Status.SCHEDULED, consent=consent, retry_of=call, attempt=2)
    codes = [said and said.code for hours in (3, 4) for said in [first_objection(Ask.about(retry, at=TEN + hours * HOUR))]]
    assert codes == ["policy.attempts", None]
    for day in range(4):
        api_call(version, Status.ENDED, consent=consent, dialing_at=TEN - (day + 10) * DAY)
    said = first_objection(Ask.about(retry, at=TEN + 30 * DAY))
    assert said is not None
    assert said.code == "policy.attempts"


def test_the_policy_asks_nothing_of_attempts_of_a_call_that_is_no_retry(version: PersonaVersion) -> None:
    call = api_call(version, Status.QUEUED)
    assert (Ask.about(call, at=timezone.now()).retry, first_objection(Ask.about(call, at=timezone.now()))) == (None, None)


def test_a_failure_in_between_loses_nothing_and_doubles_nothing(version: PersonaVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, sound = unanswered(version), unanswered(version, number=pt_mobile(2))
    keep = requests.keep_made

    def breaks(**kept: Any) -> Any:
        if kept["call"].retry_of_id == broken.pk:
            raise IntegrityError("the connection broke at the last statement")
        return keep(**kept)

    with monkeypatch.context() as patched:
        patched.setattr(requests, "keep_made", breaks)
        # One that fails does not hold up the others.
        assert (retries.plan_due(), retry_of(sound).attempt) == (True, 2)
        broken.refresh_from_db()
        assert (broken.retry_at is not None, broken.retries.count(), notes(broken)) == (True, 0, [])
        assert retries.plan_due() is False
    assert (retries.plan_due(), broken.retries.count(), CallRequest.objects.filter(call__retry_of=broken).count()) == (True, 1, 1)


def test_a_retry_that_somebody_else_planned_is_not_planned_again(version: PersonaVersion) -> None:
    call = unanswered(version)
    assert (retries.plan_due(), retries._planned(call), Call.objects.count()) == (True, False, 2)


def test_the_database_takes_one_retry_of_a_call(version: PersonaVersion) -> None:
    call = unanswered(version)
    retries.plan_due()
    with pytest.raises(IntegrityError), transaction.atomic():
        api_call(version, Status.SCHEDULED, retry_of=call)


def test_planning_is_a_step_of_the_queue_worker(version: PersonaVersion) -> None:
    due = tasks.STEPS[Step.RETRY]
    assert (due.is_due(), due.task.func()) == (False, False)
    call = unanswered(version)
    assert (due.is_due(), due.task.func(), due.is_due()) == (True, True, False)
    assert retry_of(call).status == "scheduled"


# --- Calling it off -------------------------------------------------------------------------------------------------------------
def test_canceling_an_ended_call_calls_its_retry_off_before_it_is_planned(version: PersonaVersion, alice: User) -> None:
    call = unanswered(version)
    result = cancellation.cancel(call=call, by="key:7", reason=Reason.API_CANCELED)
    with translation.override("en"):
        assert (result, str(result.sentence)) == (CancelResult.RETRY_CALLED_OFF, "The call had ended already. It is not tried again.")
    assert (retries.plan_due(), Call.objects.count(), notes(call)) == (False, 1, [("key:7", "api.canceled")])
    assert cancellation.cancel(call=call, by="key:7", reason=Reason.API_CANCELED) == CancelResult.HAD_ENDED


def test_canceling_an_ended_call_cancels_the_retry_that_is_on_the_schedule(version: PersonaVersion) -> None:
    first = unanswered(version)
    retries.plan_due()
    second = retry_of(first)
    Call.objects.filter(pk=second.pk).update(
        status=Status.ENDED, ended_at=timezone.now(), outcome=Outcome.BUSY, ended_reason="dial.busy", retry_at=timezone.now() + HOUR
    )
    retries.plan_due()
    # The whole chain: who cancels knows the first call's id.
    assert cancellation.cancel(call=first, by="key:7", reason=Reason.API_CANCELED) == CancelResult.RETRY_CALLED_OFF
    third = retry_of(second)
    assert (third.attempt, third.status, third.ended_reason, third.ended_by) == (3, "ended", "api.canceled", "client")
    assert cancellation.cancel(call=first, by="key:7", reason=Reason.API_CANCELED) == CancelResult.HAD_ENDED


def test_a_retry_that_rings_already_is_canceled_by_its_own_name_only(version: PersonaVersion) -> None:
    call = unanswered(version)
    Call.objects.update(retry_at=None)
    api_call(version, Status.RINGING, retry_of=call, attempt=2)
    assert cancellation.cancel(call=call, by="key:7", reason=Reason.API_CANCELED) == CancelResult.HAD_ENDED
    assert retry_of(call).status == "ringing"


def test_a_cancel_that_came_with_the_end_leaves_no_retry(version: PersonaVersion) -> None:
    call = unanswered(version)
    Call.objects.filter(pk=call.pk).update(cancel_requested_at=timezone.now(), cancel_reason="api.canceled")
    assert (retries.plan_due(), Call.objects.count(), notes(call)) == (True, 1, [("retry", "retry.canceled")])


def test_the_hours_are_those_of_the_country() -> None:
    assert retries.local_hours.closing(parse(pt_mobile()), TEN) == datetime(2026, 11, 24, 21, 0, tzinfo=UTC)
