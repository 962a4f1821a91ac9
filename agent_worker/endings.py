"""How a call ended, as the worker saw it; and what the worker writes of it."""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from django.utils import timezone

from calls import callbacks, lifecycle, retries
from calls.dial_results import RetryReason
from calls.models import Call
from calls.states import DIALLED, EndedBy, Fault, Outcome, Reason
from contacts.suppressions import suppress


@dataclass(frozen=True)
class Ending:
    """How a call ended. `reason` is a Reason, or the `policy.…` code of a rule. `columns` are the call's other fields to write.

    A `quiet` ending writes nothing: the call was never this job's, or is not any more. `sentence` is what the callee hears
    before the line is closed: a key of the platform's `spoken_without_model`.
    """

    outcome: str
    reason: str
    ended_by: str = ""
    fault: str = Fault.NONE
    columns: dict[str, Any] = field(default_factory=dict)
    quiet: bool = False
    sentence: str = ""
    # A RetryReason, when the dial's own final answer leaves another attempt open.
    retry: str = ""
    # ISO 8601; for a call whose answer could not be written while the database was away.
    answered_at: str = ""

    def with_columns(self, **columns: Any) -> "Ending":
        return replace(self, columns={**self.columns, **columns})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Ending":
        return cls(**raw)


NOT_OURS = Ending(outcome="", reason="", quiet=True)


def after_answer(reason: str, ended_by: EndedBy, *, fault: Fault = Fault.NONE, sentence: str = "") -> Ending:
    """The end of a call that was picked up: answered, whatever failed later (design §3)."""
    return Ending(outcome=Outcome.ANSWERED, reason=reason, ended_by=ended_by, fault=fault, sentence=sentence)


def before_answer(reason: str, *, outcome: Outcome = Outcome.FAILED, fault: Fault = Fault.NONE) -> Ending:
    """The end of a call that nobody picked up, by our own doing."""
    return Ending(outcome=outcome, reason=reason, ended_by=EndedBy.PLATFORM, fault=fault)


# What only the job knows of a call, and no state: written whoever ended the call.
_OF_THE_JOB = frozenset({"usage", "latency", "opening_text", "opening_spoken", "opening_heard_to_end", "opening_at_ms"})


def write_end(call_id: str, ending: Ending, *, claim: str, by: str) -> bool:
    """Write the end of the call; the first to say how it ended is believed, False means that somebody was.

    What only this job knows (usage, latency, the opening) is written in any case. May be repeated.
    """
    own = {name: value for name, value in ending.columns.items() if name in _OF_THE_JOB}
    if own:
        Call.objects.filter(pk=call_id).update(**own)
    if ending.quiet:
        return False
    call = Call.objects.get(pk=call_id)
    changes = {name: value for name, value in ending.columns.items() if name not in _OF_THE_JOB}
    if ending.answered_at and call.answered_at is None:
        changes["answered_at"] = datetime.fromisoformat(ending.answered_at)
    if ending.retry:
        changes["retry_at"] = retries.time_of(call, RetryReason(ending.retry), at=timezone.now())
    return lifecycle.end(
        call,
        by=by,
        claim=claim,
        outcome=Outcome(ending.outcome),
        reason=ending.reason,
        ended_by=ending.ended_by,
        fault=Fault(ending.fault),
        **changes,
    )


def end_broken_off(room: str, *, by: str) -> bool:
    """Write the end of the call in `room`, which its worker was forced to break off. False: it had ended, or nobody had dialled."""
    call = Call.objects.get(room=room)
    return lifecycle.end(
        call,
        by=by,
        outcome=Outcome.FAILED,
        reason=Reason.ERROR_PLATFORM_WORKER_LOST,
        ended_by=EndedBy.PLATFORM,
        fault=Fault.PLATFORM,
        within=DIALLED,
    )


def suppress_callee(call_id: str, why: str) -> None:
    """Have the number of a call left in peace, because of what was said in it; also by the callback asked for before. May be repeated."""
    call = Call.objects.select_related("organization").get(pk=call_id)
    suppress(organization=call.organization, number_index=call.number_index, reason=why, by=f"call:{call.pk}", simulated=call.simulated)
    callbacks.withdraw(call, why)
