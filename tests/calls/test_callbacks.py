"""“Call me tomorrow at ten”: when that is, is decided here, and nobody is called without having asked for it."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import ApiKey
from accounts.purposes import Purpose
from calls import callbacks, cancellation, lifecycle, retries
from calls.callbacks import Wish, agreed_time, book, withdraw
from calls.cancellation import CancelResult
from calls.dial_results import RetryReason
from calls.exceptions import (
    CallbackImpossible,
    CallbackNotUnderstood,
    CallbackNowhere,
    CallbackOutOfHours,
    CallbackTooFar,
    CallbackTooSoon,
)
from calls.models import Call, CallEvent, CallRequest, LineKind
from calls.policy import Ask, first_objection
from calls.states import Outcome, Reason, Status
from contacts import suppressions
from contacts.models import Consent, Contact, SuppressionReason
from contacts.numbers import parse
from personas.models import PersonaVersion
from tests.call_factories import make_call, make_consent
from tests.numbers import br_mobile, pt_fixed, pt_mobile

pytestmark = pytest.mark.django_db

# A Tuesday afternoon; Lisbon is on UTC, São Paulo three hours behind.
NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
SPAIN = "+34612345678"


def a_wish(**columns: Any) -> Wish:
    tomorrow = (timezone.now() + timedelta(days=1)).replace(hour=13, minute=0, second=0, microsecond=0)
    return Wish(**{"at": tomorrow, "asked_at": timezone.now(), **columns})


def talking(version: PersonaVersion, **columns: Any) -> Call:
    return make_call(Status.IN_PROGRESS, version=version, **columns)


def callback_of(call: Call) -> Call:
    return Call.objects.get(callback_of=call)


# --- When -----------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("number", "date", "time", "moment"),
    [
        (pt_mobile(), "2026-11-25", "10:00", datetime(2026, 11, 25, 10, 0, tzinfo=UTC)),
        (pt_mobile(), " 2026-11-25 ", "10:00:00", datetime(2026, 11, 25, 10, 0, tzinfo=UTC)),
        (pt_mobile(), "2026-11-24", "15:05", datetime(2026, 11, 24, 15, 5, tzinfo=UTC)),
        (pt_mobile(), "2026-12-08", "15:00", datetime(2026, 12, 8, 15, 0, tzinfo=UTC)),
        (pt_mobile(), "2026-11-25", "20:59", datetime(2026, 11, 25, 20, 59, tzinfo=UTC)),
        # A fixed phone of the Azores, an hour behind Lisbon.
        ("+351296000001", "2026-11-25", "10:00", datetime(2026, 11, 25, 11, 0, tzinfo=UTC)),
        (br_mobile(), "2026-11-25", "10:00", datetime(2026, 11, 25, 13, 0, tzinfo=UTC)),
        # Manaus, four hours behind.
        ("+5592990000001", "2026-11-25", "19:59", datetime(2026, 11, 25, 23, 59, tzinfo=UTC)),
    ],
)
def test_a_day_and_an_hour_are_meant_where_the_person_is(number: str, date: str, time: str, moment: datetime) -> None:
    at = agreed_time(parse(number), date=date, time=time, now=NOW)
    assert (at, at.strftime("%H:%M")) == (moment, time.strip()[:5])


@pytest.mark.parametrize(
    ("number", "date", "time", "refusal"),
    [
        (pt_mobile(), "amanhã", "10:00", CallbackNotUnderstood),
        (pt_mobile(), "2026-11-25", "às dez", CallbackNotUnderstood),
        (pt_mobile(), "2026-02-30", "10:00", CallbackNotUnderstood),
        (pt_mobile(), "", "", CallbackNotUnderstood),
        # The model does not decide in which zone somebody lives.
        (pt_mobile(), "2026-11-25", "10:00Z", CallbackNotUnderstood),
        (pt_mobile(), "2026-11-25", "10:00+05:00", CallbackNotUnderstood),
        (pt_mobile(), "2026-11-24", "15:04", CallbackTooSoon),
        (pt_mobile(), "2026-11-24", "10:00", CallbackTooSoon),
        (pt_mobile(), "2025-11-25", "10:00", CallbackTooSoon),
        (pt_mobile(), "2026-12-08", "15:01", CallbackTooFar),
        (pt_mobile(), "2027-11-25", "10:00", CallbackTooFar),
        (pt_mobile(), "2026-11-25", "08:59", CallbackOutOfHours),
        (pt_mobile(), "2026-11-25", "21:00", CallbackOutOfHours),
        (pt_mobile(), "2026-11-25", "03:00", CallbackOutOfHours),
        (br_mobile(), "2026-11-25", "20:00", CallbackOutOfHours),
        (SPAIN, "2026-11-25", "10:00", CallbackNowhere),
    ],
)
def test_what_cannot_be_is_refused_and_says_why(number: str, date: str, time: str, refusal: type[CallbackImpossible]) -> None:
    with pytest.raises(refusal) as said:
        agreed_time(parse(number), date=date, time=time, now=NOW)
    assert (type(said.value), said.value.code.startswith("callback_")) == (refusal, True)


# --- Booking --------------------------------------------------------------------------------------------------------------------
def test_a_callback_is_a_call_on_the_schedule(persona_version: PersonaVersion, api_key: ApiKey) -> None:
    call, wish = talking(persona_version, api_key=api_key, customer_name="Ana", channel="api"), a_wish()
    assert book(str(call.pk), wish) is True
    callback = callback_of(call)
    assert (callback.status, callback.due_at, callback.channel, callback.attempt) == ("scheduled", wish.at, "callback", 1)
    assert callback.expires_at - wish.at == timedelta(minutes=30)
    for name in ("organization", "persona_version", "contact", "number", "number_index", "customer_name", "line", "api_key"):
        assert getattr(callback, name) == getattr(call, name)
    assert list(callback.events.values_list("new", "by")) == [("scheduled", f"call:{call.pk}")]
    assert list(call.events.filter(kind="callback").values_list("by", "facts")) == [(f"call:{call.pk}", {"at": wish.at.isoformat()})]
    kept = CallRequest.objects.get()
    assert (kept.channel, kept.accepted, kept.call, kept.api_key) == ("callback", True, callback, api_key)


@pytest.mark.parametrize("purpose", Purpose)
def test_the_conversation_is_the_evidence(persona_version: PersonaVersion, purpose: Purpose) -> None:
    agreed = make_consent(organization=persona_version.persona.organization, purpose=purpose)
    call = talking(persona_version, consent=agreed)
    wish = a_wish(at=(timezone.now() + timedelta(days=13)).replace(hour=13))
    book(str(call.pk), wish)
    callback = callback_of(call)
    consent = callback.consent
    assert consent is not None
    assert (consent.pk == agreed.pk, consent.purpose, consent.channel) == (False, purpose, "call")
    assert (consent.basis, consent.reference) == ("callback asked for in conversation", str(call.pk))
    assert (consent.obtained_at, consent.text, consent.simulated) == (wish.asked_at, wish.at.isoformat(), False)
    assert (consent.declared_by, consent.contact, consent.number_index) == (f"call:{call.pk}", call.contact, call.number_index)
    # A demonstration's consent ends a day after the agreed time (R1), not after the conversation.
    assert consent.expires_at > wish.at
    assert first_objection(Ask.about(callback, at=wish.at)) is None


def test_an_hour_late_in_the_day_is_not_waited_for_into_the_night(persona_version: PersonaVersion) -> None:
    call, wish = talking(persona_version), a_wish()
    at = parse_lisbon(wish.at, hour=20, minute=50)
    book(str(call.pk), Wish(at=at, asked_at=wish.asked_at))
    assert callback_of(call).expires_at == parse_lisbon(wish.at, hour=21, minute=0)


def parse_lisbon(day: datetime, *, hour: int, minute: int) -> datetime:
    from contacts.numbers import zone_of

    return day.astimezone(zone_of(parse(pt_fixed()))).replace(hour=hour, minute=minute)


def test_who_asks_again_moves_the_callback(persona_version: PersonaVersion) -> None:
    call, first = talking(persona_version), a_wish()
    later = Wish(at=first.at + timedelta(hours=2), asked_at=first.asked_at + timedelta(seconds=9))
    assert [book(str(call.pk), wish) for wish in (first, later, later)] == [True, True, True]
    callback = callback_of(call)
    assert (callback.status, callback.due_at, callback.expires_at) == ("scheduled", later.at, later.at + timedelta(minutes=30))
    # Evidence of each wish; the call stands on the last.
    assert list(Consent.objects.filter(channel="call").order_by("obtained_at").values_list("text", flat=True)) == [
        first.at.isoformat(),
        later.at.isoformat(),
    ]
    assert callback.consent is not None
    assert callback.consent.text == later.at.isoformat()
    assert [event.why for event in callback.events.filter(kind="callback")] == ["moved"]


def test_a_wish_that_is_written_late_does_not_undo_a_later_one(persona_version: PersonaVersion) -> None:
    call, first = talking(persona_version), a_wish()
    later = Wish(at=first.at + timedelta(hours=2), asked_at=first.asked_at + timedelta(seconds=9))
    assert [book(str(call.pk), wish) for wish in (later, first)] == [True, False]
    assert (callback_of(call).due_at, Consent.objects.filter(channel="call").count()) == (later.at, 1)


def test_a_wish_that_is_written_twice_is_one_callback_also_after_it_was_made(persona_version: PersonaVersion) -> None:
    call, wish = talking(persona_version), a_wish()
    book(str(call.pk), wish)
    callback = callback_of(call)
    lifecycle.end(callback, by="job:2", outcome=Outcome.BUSY, reason=Reason.DIAL_BUSY)
    assert (book(str(call.pk), wish), Call.objects.count()) == (False, 2)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_call(Status.SCHEDULED, version=persona_version, callback_of=call)


@pytest.mark.parametrize("line", LineKind)
def test_who_opted_out_is_not_called_back(persona_version: PersonaVersion, line: LineKind) -> None:
    call = talking(persona_version, line=line)
    suppressions.suppress(
        organization=call.organization,
        number_index=call.number_index,
        reason=SuppressionReason.OPT_OUT_ON_CALL,
        by=f"call:{call.pk}",
        simulated=call.simulated,
    )
    assert (book(str(call.pk), a_wish()), Call.objects.count(), Consent.objects.filter(channel="call").count()) == (False, 1, 0)
    assert list(CallEvent.objects.filter(kind="callback").values_list("why", flat=True)) == ["policy.do_not_call"]
    assert list(CallRequest.objects.values_list("channel", "code", "accepted")) == [("callback", "policy.do_not_call", False)]


def test_the_policy_is_asked(persona_version: PersonaVersion) -> None:
    call = talking(persona_version)
    type(call.organization).objects.update(is_active=False)
    assert (book(str(call.pk), a_wish()), CallRequest.objects.get().code) == (False, "policy.organization")


def test_a_wish_that_comes_after_its_time_is_not_booked(persona_version: PersonaVersion) -> None:
    call = talking(persona_version)
    assert book(str(call.pk), a_wish(at=timezone.now() - timedelta(minutes=31))) is False
    assert (Call.objects.count(), CallRequest.objects.get().code) == (1, "schedule.expired")


def test_an_erased_person_is_not_called_back(persona_version: PersonaVersion) -> None:
    call = talking(persona_version)
    Contact.objects.all().delete()
    assert (book(str(call.pk), a_wish()), Call.objects.count()) == (False, 1)


def test_on_the_sandbox_a_callback_is_simulated(persona_version: PersonaVersion) -> None:
    call = talking(persona_version, line=LineKind.SANDBOX)
    book(str(call.pk), a_wish())
    callback = callback_of(call)
    assert callback.consent is not None
    assert (callback.line, callback.simulated, callback.consent.simulated, callback.consent.purpose) == ("sandbox", True, True, "demo_call")


# --- Taking it back -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("why", "reason"),
    [
        (SuppressionReason.OPT_OUT_ON_CALL, "callee.requested_opt_out"),
        (SuppressionReason.KEY_PRESSED, "callee.requested_opt_out"),
        (SuppressionReason.WRONG_NUMBER, "callee.wrong_number"),
    ],
)
def test_an_opt_out_later_in_the_call_takes_the_callback_back(persona_version: PersonaVersion, why: str, reason: str) -> None:
    call = talking(persona_version)
    book(str(call.pk), a_wish())
    assert [withdraw(call, why), withdraw(call, why)] == [True, False]
    callback = callback_of(call)
    assert (callback.status, callback.outcome, callback.ended_reason, callback.ended_by) == ("ended", "canceled", reason, "callee")
    # Nor does the wish that a journal brings later.
    assert book(str(call.pk), a_wish(asked_at=timezone.now())) is False


def test_without_a_callback_there_is_nothing_to_take_back(persona_version: PersonaVersion) -> None:
    assert withdraw(talking(persona_version), SuppressionReason.OPT_OUT_ON_CALL) is False


def test_a_callback_is_canceled_like_any_call(persona_version: PersonaVersion) -> None:
    call = talking(persona_version)
    book(str(call.pk), a_wish())
    assert cancellation.cancel(call=callback_of(call), by="key:7", reason=Reason.API_CANCELED) == CancelResult.NEVER_RANG


def test_a_callback_that_nobody_answers_is_not_tried_again_by_itself(persona_version: PersonaVersion) -> None:
    call = talking(persona_version, channel="api")
    book(str(call.pk), a_wish())
    assert retries.time_of(callback_of(call), RetryReason.BUSY, at=NOW) is None


def test_a_wish_survives_being_written_down() -> None:
    wish = Wish(at=NOW, asked_at=NOW + timedelta(microseconds=7))
    assert Wish.from_json(wish.as_json()) == wish


def test_a_call_that_is_no_more_is_an_error() -> None:
    with pytest.raises(Call.DoesNotExist):
        callbacks.book(str(uuid.uuid4()), a_wish())
