"""The one writer of a call's status.

Every change is a compare-and-swap on status and claim token, and leaves a CallEvent in the same transaction. Who loses a race is
told so (False, None), and usually has nothing left to do.
"""

import secrets
from collections.abc import Container
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from . import clock, doorbell, policy
from .exceptions import CallError, WrongWay
from .models import Call, CallEvent
from .states import DIALLED, UNDIALLED, EndedBy, Fault, Outcome, Reason, Status, may_go

log = structlog.get_logger(__name__)

# The column that holds when a call came to a state. `answered_at` is written by `answered`: a call comes back from a transfer.
TIME_OF = {
    Status.QUEUED: "queued_at",
    Status.DISPATCHED: "dispatched_at",
    Status.DIALING: "dialing_at",
    Status.RINGING: "ringing_at",
    Status.ENDED: "ended_at",
}
# Whatever fails later, somebody picked up (design §3).
PICKED_UP = frozenset({Outcome.ANSWERED, Outcome.VOICEMAIL})
ALIVE = frozenset(Status) - {Status.ENDED}
# The dialer has something to look at: a call to dispatch, or a place that became free.
RINGS_THE_DIALER = frozenset({Status.QUEUED, Status.ENDED})
# What may have changed under a call that is held in memory.
CHANGES_HERE = (
    "status",
    "claim",
    "dialing_at",
    "answered_at",
    "heartbeat_at",
    "cancel_requested_at",
    "cancel_requested_by",
    "cancel_reason",
    "ended_at",
    "outcome",
    "ended_reason",
)


def go(call: Call, new: Status, *, by: str, why: str = "", facts: dict[str, Any] | None = None, **changes: Any) -> bool:
    """Move `call` to `new`, with `changes` to its other columns, and leave an event with `why` and `facts` (no personal data).

    Returns False when somebody else moved the call first; `call` is then as it was read. `by` names who acts: "dialer",
    "job:AJ_1", "user:42", "key:7". Raises WrongWay when no way leads from the state that the caller knows to `new`.
    """
    return _move(call, new, Q(), by=by, why=why, facts=facts, changes=changes)


def _move(call: Call, new: Status, still: Q, *, by: str, why: str, facts: dict[str, Any] | None, changes: dict[str, Any]) -> bool:
    old = Status(call.status)
    if not may_go(old, new):
        raise WrongWay(old=old, new=new)
    now = timezone.now()
    written = {"status": new, "changed_at": now, **({TIME_OF[new]: now} if new in TIME_OF else {}), **changes}
    # Within a transaction that is under way a failure takes all of it back: a savepoint of its own would only cost time.
    with transaction.atomic(savepoint=False):
        if Call.objects.filter(still, pk=call.pk, status=old, claim=call.claim).update(**written) != 1:
            return False
        CallEvent.objects.create(call_id=call.pk, at=now, old=old, new=new, by=by, why=why, facts=facts or {})
        if new in RINGS_THE_DIALER:
            doorbell.ring()
    for name, value in written.items():
        setattr(call, name, value)
    log.info("call moved", call_id=str(call.pk), old=old.value, new=new.value, by=by, why=why)
    return True


def start(call: Call, *, by: str, facts: dict[str, Any] | None = None) -> None:
    """Put a new call into the queue, or, when it is not due yet, on the schedule. To be called within the transaction that also
    keeps what the call needs.

    Raises IntegrityError (one_call_per_number) when it goes into the queue and its number is being called already.
    """
    is_due = call.due_at <= call.created_at
    call.status = Status.QUEUED if is_due else Status.SCHEDULED
    call.queued_at = call.created_at if is_due else None
    call.changed_at = call.created_at
    if is_due:
        # By the clock that the dialer reads: a web server's own may be a minute ahead.
        call.due_at = clock.now_there()
    call.save(force_insert=True)
    if is_due:
        call.due_at = call.created_at
    CallEvent.objects.create(call_id=call.pk, at=call.created_at, new=call.status, by=by, facts=facts or {})
    if is_due:
        doorbell.ring()


def promote(call: Call, *, by: str) -> bool:
    """Put a scheduled call whose time has come into the queue. False: its number is in another call, or somebody was quicker."""
    try:
        with transaction.atomic():
            return go(call, Status.QUEUED, by=by)
    except IntegrityError:
        # one_call_per_number: it goes on waiting, until that call has ended or its own time is over.
        return False


def end(
    call: Call,
    *,
    by: str,
    outcome: Outcome,
    reason: str,
    ended_by: EndedBy | str = "",
    fault: Fault = Fault.NONE,
    retryable: bool = False,
    claim: str | None = None,
    within: Container[Status] = ALIVE,
    facts: dict[str, Any] | None = None,
    **changes: Any,
) -> bool:
    """End `call`, from whatever state it has come to. The first to say how it ended is believed; False means that somebody was.

    A call that was picked up ends as answered (or voicemail), whatever `outcome` says: `reason` and `fault` tell the rest. With
    `claim`, only while the call still bears it: a job that was replaced has nothing to say any more. `within`: only from these states.
    `retry_at` among the `changes`: when another call is to follow, if nobody picked up.
    Who calls this has let the phone go before: the room is deleted (design §3, rule 4).
    """
    while call.status in within and claim in (None, call.claim):
        # A worker that could not write the answer while the database was away brings it with the end.
        picked_up = (call.answered_at or changes.get("answered_at")) is not None
        changes |= {
            "outcome": Outcome.ANSWERED if picked_up and outcome not in PICKED_UP else outcome,
            "ended_reason": reason,
            "ended_by": ended_by,
            "fault": fault,
            "retryable": retryable and not picked_up,
            "retry_at": None if picked_up else changes.get("retry_at"),
        }
        if _move(call, Status.ENDED, Q(), by=by, why=reason, facts=facts, changes=changes):
            return True
        call.refresh_from_db(fields=CHANGES_HERE)
    return False


def claim_for_dispatch(call: Call, *, by: str, at: datetime | None = None) -> bool:
    """Take a queued call for LiveKit (or the sandbox), under a new claim token. Commit before LiveKit hears of it (rule 2).

    `at` is the database's time, by which a line's pace is kept; this machine's when none is given.
    """
    return go(call, Status.DISPATCHED, by=by, claim=_new_token(), worker="", heartbeat_at=None, dispatched_at=at or timezone.now())


def withdraw(call: Call) -> bool:
    """Take a dispatched call away from whichever job was to dial it, by a new token. False: a job was quicker.

    The room can then be deleted without cutting off a phone that rings.
    """
    token = _new_token()
    if Call.objects.filter(pk=call.pk, status=Status.DISPATCHED, claim=call.claim).update(claim=token) != 1:
        return False
    call.claim = token
    return True


def take_over(call: Call, *, still: Q) -> bool:
    """Take a dialled call away from the job that holds it, by a new token: what that job writes of its state from now on is refused.

    Only while `still` holds. False: it does not, or somebody else was quicker. The taker hangs the phone up, then ends the call.
    """
    token = _new_token()
    if Call.objects.filter(still, pk=call.pk, status__in=DIALLED, claim=call.claim).update(claim=token) != 1:
        return False
    call.claim = token
    return True


def release(call: Call, *, by: str, why: str, **changes: Any) -> bool:
    """Give a call that nobody has dialled back to the queue, under a new token: who still holds the old one cannot dial.

    The caller has deleted the room: a room that lives would take no second dispatch (rule 2).
    """
    return go(call, Status.QUEUED, by=by, why=why, claim=_new_token(), **changes)


def claim_for_dial(*, call_id: UUID | str, claim: str, by: str, worker: str) -> Call | None:
    """Take a dispatched call for this one job: the point of no return, to be committed before the INVITE (rule 3).

    None: the call is not this job's (another token, ended, dialled), or it ended here, because it was canceled, its time is
    over, or the policy, asked for the last time, says no. The job then ends quietly.
    """
    now = timezone.now()
    call = Call.objects.for_briefing().filter(pk=call_id, status=Status.DISPATCHED, claim=claim).first()
    if call is None:
        return None
    if call.cancel_requested_at:
        end_as_canceled(call, by=by, within=UNDIALLED)
        return None
    if call.expires_at <= now:
        end_expired(call, by=by)
        return None
    objection = policy.first_objection(policy.Ask.about(call, at=now))
    if objection is not None:
        end_blocked(call, by=by, objection=objection)
        return None
    with transaction.atomic():
        taken = _move(
            call,
            Status.DIALING,
            # What was ordered since the call was read above counts too.
            Q(cancel_requested_at=None, expires_at__gt=now),
            by=by,
            why="",
            facts=None,
            changes={"worker": worker, "heartbeat_at": Now()},
        )
        # An opt-out may have been committed while the rules were asked: it is looked for behind the row's lock.
        objection = policy.suppression_of(policy.Ask.about(call, at=now)) if taken else None
        if objection is not None:
            transaction.set_rollback(True)
    if objection is not None:
        call.refresh_from_db(fields=CHANGES_HERE)
        end_blocked(call, by=by, objection=objection)
        return None
    call.heartbeat_at = now
    return call if taken else None


def ringing(call: Call, *, by: str) -> bool:
    """The callee's phone rings."""
    return go(call, Status.RINGING, by=by)


def answered(call: Call, *, by: str, at: datetime | None = None, **changes: Any) -> bool:
    """Somebody (or something) picked up; `at`, when that is only now written.

    Raises WrongWay for a call that does not ring: it was answered before.
    """
    if call.status == Status.TRANSFERRING:
        raise WrongWay(old=Status.TRANSFERRING, new=Status.IN_PROGRESS)
    return go(call, Status.IN_PROGRESS, by=by, answered_at=at or timezone.now(), **changes)


def transferring(call: Call, *, by: str) -> bool:
    """The callee is being put through to a person."""
    return go(call, Status.TRANSFERRING, by=by)


def back_from_transfer(call: Call, *, by: str, why: str) -> bool:
    """The transfer failed, and the callee is still there. Raises WrongWay for a call that is not being transferred."""
    if call.status != Status.TRANSFERRING:
        raise WrongWay(old=Status(call.status), new=Status.IN_PROGRESS)
    return go(call, Status.IN_PROGRESS, by=by, why=why)


def end_expired(call: Call, *, by: str) -> bool:
    """Nobody could dial before the call's time was over. False when somebody just did."""
    return end(
        call,
        by=by,
        outcome=Outcome.CANCELED,
        reason=Reason.SCHEDULE_EXPIRED,
        ended_by=EndedBy.PLATFORM,
        retryable=True,
        within=UNDIALLED,
    )


def end_blocked(call: Call, *, by: str, objection: CallError) -> bool:
    """The policy said no at the last moment: its code is the reason, its sentence is kept for staff to read."""
    return end(
        call,
        by=by,
        outcome=Outcome.BLOCKED,
        reason=objection.code,
        ended_by=EndedBy.PLATFORM,
        within=UNDIALLED,
        note=str(objection)[:255],
    )


def end_as_canceled(
    call: Call, *, by: str, within: Container[Status] = ALIVE, claim: str | None = None, outcome: Outcome = Outcome.CANCELED
) -> bool:
    """End a call for the reason, and in the name, that its canceling left on it (`calls.cancellation`). See `end`."""
    return end(
        call,
        by=call.cancel_requested_by or by,
        claim=claim,
        outcome=outcome,
        reason=call.cancel_reason,
        ended_by=EndedBy.CLIENT if call.cancel_reason == Reason.API_CANCELED else EndedBy.STAFF,
        within=within,
    )


def note_event(call: Call, kind: str, *, by: str, why: str = "", facts: dict[str, Any] | None = None) -> CallEvent:
    """Add to the call's timeline what is no change of status: a tool, the opening, an error. Ids, codes and figures only."""
    return CallEvent.objects.create(call_id=call.pk, at=timezone.now(), kind=kind, by=by, why=why, facts=facts or {})


def _new_token() -> str:
    return secrets.token_hex(16)
