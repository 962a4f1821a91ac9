"""“Call me tomorrow at ten”: a call that the person asked for in conversation, on a consent of its own (R9).

What was said is read by a model; whether and when somebody is called is decided here.
"""

from dataclasses import asdict, dataclass
from datetime import date as calendar_date
from datetime import datetime, timedelta
from datetime import time as clock_time
from typing import Self

from django.db import transaction
from django.utils import timezone

from contacts import consents, numbers, suppressions
from contacts.consents import Evidence
from contacts.exceptions import Suppressed
from contacts.models import Consent, Contact, SuppressionReason
from contacts.numbers import PhoneNumber

from . import lifecycle, local_hours, policy, requests
from .exceptions import (
    CallbackNotUnderstood,
    CallbackNowhere,
    CallbackOutOfHours,
    CallbackTooFar,
    CallbackTooSoon,
    CallError,
    Refused,
    RetryTooLate,
)
from .follow_up import following
from .models import Call
from .orders import Requester
from .states import EndedBy, Outcome, Reason, Status

BY = "callback"
NOT_WITHIN = timedelta(minutes=5)
NOT_AFTER = timedelta(days=14)
# Who waits for a call at ten does not want it at eleven.
WANTED_FOR = timedelta(minutes=30)
SOONEST = timedelta(seconds=1)
BASIS = "callback asked for in conversation"
TEXT_VERSION = "callback-1"
TAKEN_BACK_BECAUSE = {SuppressionReason.WRONG_NUMBER: Reason.CALLEE_WRONG_NUMBER}


@dataclass(frozen=True, slots=True)
class Wish:
    """To be called again `at` a time, as the person said it at `asked_at`."""

    at: datetime
    asked_at: datetime

    def as_json(self) -> dict[str, str]:
        return {name: moment.isoformat() for name, moment in asdict(self).items()}

    @classmethod
    def from_json(cls, raw: dict[str, str]) -> Self:
        return cls(**{name: datetime.fromisoformat(moment) for name, moment in raw.items()})


def agreed_time(number: PhoneNumber, *, date: str, time: str, now: datetime) -> datetime:
    """The moment that somebody means who says `date` and `time` (ISO 8601, without a zone) where `number` is; in that zone.

    Raises CallbackNotUnderstood, CallbackNowhere, CallbackTooSoon, CallbackTooFar, CallbackOutOfHours.
    """
    if not local_hours.are_known(number):
        raise CallbackNowhere
    try:
        local = datetime.combine(calendar_date.fromisoformat(date.strip()), clock_time.fromisoformat(time.strip()))
    except ValueError:
        raise CallbackNotUnderstood from None
    if local.tzinfo is not None:
        raise CallbackNotUnderstood
    at = local.replace(tzinfo=numbers.zone_of(number))
    if at < now + NOT_WITHIN:
        raise CallbackTooSoon
    if at > now + NOT_AFTER:
        raise CallbackTooFar(days=NOT_AFTER.days)
    if not local_hours.is_open(number, at):
        raise CallbackOutOfHours
    return at


def book(call_id: str, wish: Wish) -> bool:
    """Put the callback that was asked for in a call on the schedule, or move it. True: it stands at the time wished for.

    May be repeated, and come late; of several wishes the one that was said last holds. Not booked is what the policy refuses, what
    would be after an opt-out, what is over, and whom nobody knows any more.
    """
    with transaction.atomic():
        # One after another: a journal on disk may be written while the job that kept it still tries.
        call = Call.objects.select_for_update(of=("self",), no_key=True).for_briefing().get(pk=call_id)
        booked = Call.objects.select_for_update(of=("self",), no_key=True).select_related("consent").filter(callback_of=call).first()
        if call.contact is None:
            return False
        return _book(call, wish, call.contact) if booked is None else _move(booked, call, wish, call.contact)


def withdraw(call: Call, why: str) -> bool:
    """Take back the callback that was asked for in `call`, whose callee opted out since (`why`: a SuppressionReason)."""
    booked = call.callbacks.first()
    return booked is not None and lifecycle.end(
        booked,
        by=f"call:{call.pk}",
        outcome=Outcome.CANCELED,
        reason=TAKEN_BACK_BECAUSE.get(SuppressionReason(why), Reason.CALLEE_REQUESTED_OPT_OUT),
        ended_by=EndedBy.CALLEE,
        within=(Status.SCHEDULED, Status.QUEUED),
    )


def _book(call: Call, wish: Wish, contact: Contact) -> bool:
    at, consent = timezone.now(), _consent(call, wish)
    callback = following(
        call,
        channel=BY,
        consent=consent,
        at=at,
        due_at=max(wish.at, at + SOONEST),
        expires_at=_expiry(call, wish),
        callback_of=call,
    )
    by = Requester(user=call.requested_by, api_key=call.api_key, channel=BY)
    objection = _objection(callback)
    if objection is not None:
        lifecycle.note_event(call, "callback", by=f"call:{call.pk}", why=objection.code)
        slug = call.persona_version.slug
        requests.refuse(by=by, code=objection.code, organization=call.organization, phone_number=call.number, persona=slug)
        return False
    callback.consent = consents.record(consent, contact=contact)
    lifecycle.start(callback, by=f"call:{call.pk}", facts={"at": wish.at.isoformat()})
    lifecycle.note_event(call, "callback", by=f"call:{call.pk}", facts={"at": wish.at.isoformat()})
    requests.keep_made(by=by, call=callback)
    return True


def _move(booked: Call, call: Call, wish: Wish, contact: Contact) -> bool:
    """What was said last holds: an earlier wish that is written late changes nothing."""
    assert booked.consent is not None
    if booked.status != Status.SCHEDULED or booked.consent.obtained_at >= wish.asked_at:
        return booked.status == Status.SCHEDULED and booked.due_at == wish.at
    consent = consents.record(_consent(call, wish), contact=contact)
    Call.objects.filter(pk=booked.pk).update(consent=consent, due_at=wish.at, expires_at=_expiry(call, wish))
    lifecycle.note_event(booked, "callback", by=f"call:{call.pk}", why="moved", facts={"at": wish.at.isoformat()})
    return True


def _objection(callback: Call) -> CallError | None:
    """Why nobody is called back after all."""
    if callback.expires_at <= callback.due_at:
        return RetryTooLate()
    # Also on the sandbox line, which refuses nothing else: somebody who opted out in this very call is not called back.
    try:
        suppressions.check_not_suppressed(
            organization=callback.organization, number_index=callback.number_index, simulated=callback.simulated
        )
    except Suppressed as said:
        return Refused(code=said.code, sentence=str(said))
    return policy.first_objection(policy.Ask.about(callback, at=callback.due_at))


def _consent(call: Call, wish: Wish) -> Consent:
    """The evidence that the call itself is; not in the database yet. It holds from the agreed time on."""
    evidence = Evidence(
        purpose=call.purpose,
        basis=BASIS,
        channel="call",
        text=wish.at.isoformat(),
        text_version=TEXT_VERSION,
        locale=call.persona_version.locale,
        reference=str(call.pk),
        obtained_at=wish.asked_at,
        holds_from=wish.at,
        declared_by=f"call:{call.pk}",
    )
    return consents.prepare(organization=call.organization, number_index=call.number_index, evidence=evidence, simulated=call.simulated)


def _expiry(call: Call, wish: Wish) -> datetime:
    return min(wish.at + WANTED_FOR, local_hours.closing(numbers.parse(call.number), wish.at))
