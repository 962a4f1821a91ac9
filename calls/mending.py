"""What the reconciler judges, and what it writes: which call is not as its row says, why, and how it truly ended.

Nothing here asks LiveKit: what it shows is handed in (`Suspect.participants`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Case, Q, When

from . import dialer, heartbeats, lifecycle, witness
from .gateway import Participant
from .models import Call, LineKind
from .models.event import MENDED
from .states import DIALLED, EndedBy, Fault, Mended, Outcome, Reason, Status
from .witness import Evidence

log = structlog.get_logger(__name__)

BY = "reconciler"
# The job and the phone come into the room one after the other, and both come back by themselves after a restart of LiveKit.
ALONE_AFTER_S = 5.0
# A job whose callee is gone still has its session to close and its journal to write.
HANGS_AFTER_S = 45.0
NOBODY_CAME_AFTER_S = 10.0
# A job that is in the room of a call that it has not claimed yet is about to.
IS_TAKING_FOR_S = 30.0


@dataclass(slots=True)
class Suspect:
    """A dialled call that may not be as its row says, with what is known of it besides.

    `is_silent`: its worker gives no sign of life. `participants`: who is in its room; None: LiveKit could not be asked about it.
    """

    call: Call
    is_silent: bool
    evidence: Evidence = witness.NOTHING
    participants: Sequence[Participant] | None = field(default_factory=list)

    @property
    def callee(self) -> Participant | None:
        return next((each for each in self.participants or () if each.is_callee), None)

    @property
    def agent_is_there(self) -> bool:
        return any(each.is_agent for each in self.participants or ())

    @property
    def picked_up(self) -> bool:
        return bool(self.call.answered_at or self.evidence.picked_up or (self.callee and self.callee.picked_up))

    @property
    def hung_up_before(self) -> bool:
        """Whether the callee had hung up when the worker still gave signs of life: then that is how the call ended."""
        hung_up_at, last_beat = self.evidence.hung_up_at, self.call.heartbeat_at
        return hung_up_at is not None and last_beat is not None and hung_up_at <= last_beat and self.call.status != Status.TRANSFERRING


def suspects(lines: Collection[str]) -> list[Suspect]:
    """The dialled calls of these lines whose worker is silent, or of whose room LiveKit told that somebody left it."""
    dialled = Call.objects.filter(line__in=lines, status__in=DIALLED).order_by()
    # Most of the time there is none: Django takes four times as long to ask for whole calls.
    is_silent = dict(
        dialled.filter(heartbeats.stale() | Q(witness.somebody_left()))
        .annotate(is_silent=Case(When(heartbeats.stale(), then=True), default=False))
        .values_list("pk", "is_silent")
    )
    if not is_silent:
        return []
    found = {call.pk: Suspect(call, is_silent=is_silent[call.pk]) for call in _calls(is_silent)}
    for pk, evidence in witness.evidence_of(found).items():
        found[pk].evidence = evidence
    return list(found.values())


def verdict(suspect: Suspect, *, alone_s: float, gone_s: float) -> Mended | None:
    """What is wrong with the call, if anything. `alone_s`: for how long the callee has been seen without the agent, `gone_s`: for
    how long the room without the callee. To be asked of a call about which LiveKit could be asked."""
    if suspect.is_silent:
        return Mended.WORKER_LOST
    if suspect.callee:
        return Mended.CALLEE_ALONE if not suspect.agent_is_there and alone_s >= ALONE_AFTER_S else None
    # A room that LiveKit's Redis has lost shows nobody, and people talk in it: only who was told to have left is gone.
    return Mended.JOB_HANGS if suspect.evidence.left and gone_s >= HANGS_AFTER_S else None


def take(suspect: Suspect) -> bool:
    """Take the call from its job, if what made it suspect still holds. False: it lives after all, or another was quicker."""
    return lifecycle.take_over(suspect.call, still=heartbeats.stale() if suspect.is_silent else Q())


def end(suspect: Suspect, why: Mended, *, now: datetime) -> bool:
    """End a call that was taken and whose phone was let go, as it truly ended. `now` is the database's clock."""
    call = suspect.call
    facts: dict[str, Any] = {
        "callee_was_there": suspect.callee is not None,
        "call_status": suspect.callee.call_status if suspect.callee else "",
        "disconnect_reason": suspect.evidence.disconnect_reason,
    }
    if why is Mended.WORKER_LOST and call.heartbeat_at:
        facts["silent_s"] = round((now - call.heartbeat_at).total_seconds())
    with transaction.atomic():
        ended = _end(suspect, why)
        if ended:
            note(call, why, facts=facts)
    return ended


def _end(suspect: Suspect, why: Mended) -> bool:
    call, outcome = suspect.call, Outcome.ANSWERED if suspect.picked_up else Outcome.FAILED
    if call.cancel_requested_at:
        return lifecycle.end_as_canceled(
            call, by=BY, within=DIALLED, claim=call.claim, outcome=outcome if suspect.picked_up else Outcome.CANCELED
        )
    if suspect.hung_up_before:
        return lifecycle.end(
            call, by=BY, within=DIALLED, claim=call.claim, outcome=outcome, reason=Reason.CALLEE_HANGUP, ended_by=EndedBy.CALLEE
        )
    return lifecycle.end(
        call,
        by=BY,
        within=DIALLED,
        claim=call.claim,
        outcome=outcome,
        reason=Reason.ERROR_PLATFORM_WORKER_LOST if why is Mended.WORKER_LOST else Reason.ERROR_PLATFORM_INTERNAL,
        ended_by=EndedBy.PLATFORM,
        fault=Fault.PLATFORM,
    )


def untaken() -> list[Call]:
    """The calls that were dispatched and that no job has claimed."""
    waiting = list(Call.objects.filter(status=Status.DISPATCHED).order_by().values_list("pk", flat=True))
    return _calls(waiting) if waiting else []


def _calls(ids: Collection[UUID]) -> list[Call]:
    return list(Call.objects.filter(pk__in=ids).defer("number", "customer_name", "variables"))


def put_back(call: Call) -> bool:
    """Give a call that was withdrawn, and whose room is gone, back to the queue."""
    with transaction.atomic():
        released = dialer.put_back(call, by=BY, why=Mended.NOBODY_CAME)
        if released:
            note(call, Mended.NOBODY_CAME)
    return released


def rooms_without_a_call(rooms: Collection[str]) -> set[str]:
    """Of these rooms, those whose call has ended, or was never here."""
    return set(rooms) - set(Call.objects.filter(room__in=rooms).exclude(status=Status.ENDED).values_list("room", flat=True))


def note_room(room: str) -> None:
    """Say on the call, if there is one, that its room was closed after its end."""
    call = Call.objects.filter(room=room).defer("number", "customer_name", "variables").first()
    if call:
        note(call, Mended.ROOM_LEFT)


def note(call: Call, why: Mended, *, facts: dict[str, Any] | None = None) -> None:
    lifecycle.note_event(call, MENDED, by=BY, why=why, facts={name: value for name, value in (facts or {}).items() if value != ""})
    log.warning("call mended", call_id=str(call.pk), line=LineKind(call.line).value, why=why.value)
