"""How often a person may be tried, by the purpose of the call (R9). Asked of retries: a persona's limits can only tighten it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.purposes import Purpose

from ..exceptions import AnsweredSince, AttemptsUsedUp
from ..models import Call
from ..states import Outcome
from .ask import Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """At most so many dials `in_all`, in 24 hours, in seven days, and so far `apart`.

    Of one consent, or of the purpose: then all dials of the organization to the number count, on whatever evidence.
    """

    in_all: int
    of_one_consent: bool
    apart: timedelta | None = None
    a_day: int | None = None
    a_week: int | None = None


CAPS = {
    Purpose.DEMO_CALL: Caps(in_all=2, of_one_consent=True),
    Purpose.TRANSACTIONAL: Caps(in_all=5, of_one_consent=True),
    Purpose.MARKETING: Caps(in_all=5, of_one_consent=False, apart=timedelta(hours=4), a_day=2, a_week=3),
}


def dials_for(call: Call) -> Sequence[datetime]:
    """When the person was dialled for what `call` is for, the newest first; no more than any cap counts."""
    caps = CAPS[call.purpose]
    dials = Call.objects.filter(organization=call.organization_id, line=call.line, number_index=call.number_index, dialing_at__isnull=False)
    dials = dials.filter(consent=call.consent_id) if caps.of_one_consent else dials.filter(consent__purpose=call.purpose)
    return list(dials.order_by("-dialing_at").values_list("dialing_at", flat=True)[: caps.in_all])  # type: ignore[arg-type]


def earliest(caps: Caps, dials: Sequence[datetime]) -> datetime | None:
    """Before when the person is not to be dialled again; None: it may be at once."""
    periods = ((1, caps.apart), (caps.a_day, timedelta(days=1)), (caps.a_week, timedelta(days=7)))
    return max((dials[count - 1] + period for count, period in periods if count and period and len(dials) >= count), default=None)


def check_attempts(ask: Ask) -> None:
    """Raise AnsweredSince when somebody was reached after the call that is tried again, AttemptsUsedUp when it would be too often."""
    retry = ask.retry
    if retry is None or retry.retry_of is None:
        return
    answered = Call.objects.filter(
        organization=ask.organization, line=ask.line, number_index=ask.number_index, answered_at__gt=retry.retry_of.created_at
    )
    if answered.exclude(outcome=Outcome.VOICEMAIL).exists():
        raise AnsweredSince
    caps, dials = CAPS[retry.purpose], dials_for(retry)
    not_before = earliest(caps, dials)
    if len(dials) >= caps.in_all or (not_before is not None and ask.at < not_before):
        raise AttemptsUsedUp
