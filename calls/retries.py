"""A call that nobody answered, tried again: a call of its own, after the dial's own final answer (design §3, rule 3).

That a retry is due is written with the end, in one transaction (`retry_at`); a step of the queue worker puts it on the schedule. A
crash in between loses nothing, since the row says so, and doubles nothing: `retry_at` is emptied by compare-and-swap in the
transaction that makes the retry.
"""

from datetime import datetime, timedelta

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from contacts import numbers

from . import due, lifecycle, local_hours, policy, requests
from .dial_results import RetryReason
from .exceptions import CallError, RetryCanceled, RetryTooLate
from .follow_up import following
from .models import Call, LineKind
from .orders import Requester
from .policy.attempts import CAPS, dials_for, earliest

log = structlog.get_logger(__name__)

BY = "retry"
# What could not be dialled by then is not wanted any more.
WANTED_FOR = timedelta(hours=1)
PLANNED_AT_ONCE = 50
# The end that leaves it open has been written, and nobody has put it on the schedule.
WAITS = Q(retry_at__isnull=False)
# A retry is always on the schedule first: there it waits for its number, which may be in another call.
SOONEST = timedelta(seconds=1)


def time_of(call: Call, reason: RetryReason, *, at: datetime) -> datetime | None:
    """When to try a call again that ends `at` as unanswered for `reason`; None: not by itself.

    Only what was asked for by API, on the phone line, within the persona's limits, the purpose's caps and the callee's hours.
    """
    version, number = call.persona_version, numbers.parse(call.number)
    minutes = {
        RetryReason.BUSY: version.retry_busy_after_min,
        RetryReason.NO_ANSWER: version.retry_no_answer_after_min,
        RetryReason.TECHNICAL: version.retry_technical_after_min,
    }[reason]
    caps = CAPS[call.purpose]
    may_retry = call.line == LineKind.PHONE and call.channel == "api" and local_hours.are_known(number)
    if not may_retry or minutes is None or call.attempt >= min(version.max_attempts, caps.in_all):
        return None
    wanted = at + timedelta(minutes=minutes)
    return local_hours.next_opening(number, max(wanted, earliest(caps, dials_for(call)) or wanted))


def plan_due() -> bool:
    """Put the retries that are due to be planned on the schedule. One that fails stays due, and does not hold up the others."""
    waiting = Call.objects.for_briefing().filter(WAITS).order_by("retry_at")[:PLANNED_AT_ONCE]
    planned = [_planned(call) for call in waiting]
    return any(planned)


def may_plan() -> bool:
    return due.any_to_be_retried()


def _planned(call: Call) -> bool:
    try:
        return _plan(call, at=timezone.now())
    except IntegrityError:
        log.exception("a retry could not be planned", call_id=str(call.pk))
        return False


@transaction.atomic
def _plan(call: Call, *, at: datetime) -> bool:
    """Take the call's retry, and make it, or say why not. False: somebody else took it, or called it off."""
    wanted = call.retry_at
    assert wanted is not None
    if Call.objects.filter(pk=call.pk, retry_at=wanted).update(retry_at=None) != 1:
        return False
    call.refresh_from_db(fields=["cancel_requested_at"])
    retry = following(
        call,
        channel=call.channel,
        consent=call.consent,
        at=at,
        due_at=max(wanted, at + SOONEST),
        expires_at=min(wanted + WANTED_FOR, local_hours.closing(numbers.parse(call.number), wanted)),
        retry_of=call,
        attempt=call.attempt + 1,
    )
    by = Requester(user=call.requested_by, api_key=call.api_key, channel=BY)
    objection = _objection(call, retry)
    if objection is not None:
        lifecycle.note_event(call, "retry", by=BY, why=objection.code)
        slug = call.persona_version.slug
        requests.refuse(by=by, code=objection.code, organization=call.organization, phone_number=call.number, persona=slug)
        return True
    lifecycle.start(retry, by=BY, facts={"attempt": retry.attempt})
    lifecycle.note_event(call, "retry", by=BY, why="planned", facts={"attempt": retry.attempt})
    requests.keep_made(by=by, call=retry)
    return True


def _objection(call: Call, retry: Call) -> CallError | None:
    """Why the call is not tried again after all. The policy is asked for the time at which it would be."""
    if call.cancel_requested_at:
        return RetryCanceled()
    if retry.expires_at <= retry.due_at:
        return RetryTooLate()
    return policy.first_objection(policy.Ask.about(retry, at=retry.due_at))
