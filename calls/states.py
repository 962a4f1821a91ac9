"""The states of a call, the ways between them, and the words for how a call ended."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    SCHEDULED = "scheduled", _("scheduled")
    QUEUED = "queued", _("in the queue")
    DISPATCHED = "dispatched", _("given to an agent")
    DIALING = "dialing", _("dialling")
    RINGING = "ringing", _("ringing")
    IN_PROGRESS = "in_progress", _("in conversation")
    TRANSFERRING = "transferring", _("being transferred")
    ENDED = "ended", _("ended")


WAYS: dict[Status, frozenset[Status]] = {
    Status.SCHEDULED: frozenset({Status.QUEUED, Status.ENDED}),
    Status.QUEUED: frozenset({Status.DISPATCHED, Status.ENDED}),
    # Back to the queue only here: nobody has dialled yet.
    Status.DISPATCHED: frozenset({Status.QUEUED, Status.DIALING, Status.ENDED}),
    Status.DIALING: frozenset({Status.RINGING, Status.IN_PROGRESS, Status.ENDED}),
    Status.RINGING: frozenset({Status.IN_PROGRESS, Status.ENDED}),
    Status.IN_PROGRESS: frozenset({Status.TRANSFERRING, Status.ENDED}),
    Status.TRANSFERRING: frozenset({Status.IN_PROGRESS, Status.ENDED}),
    Status.ENDED: frozenset(),
}

# From the queue to the hang-up a number belongs to one call.
HOLDS_THE_NUMBER = frozenset(Status) - {Status.SCHEDULED, Status.ENDED}
# A place of the line is taken from the moment that LiveKit may hear of the call.
HOLDS_A_PLACE = HOLDS_THE_NUMBER - {Status.QUEUED}
# The phone may have rung: nothing ever dials such a call again.
DIALLED = frozenset({Status.DIALING, Status.RINGING, Status.IN_PROGRESS, Status.TRANSFERRING})
# Nobody has dialled: such a call may end while its room still lives, since its claim for the dial can no longer be had.
UNDIALLED = frozenset({Status.SCHEDULED, Status.QUEUED, Status.DISPATCHED})


def listed(statuses: frozenset[Status]) -> str:
    """The statuses for a statement that is written already, in the order in which the partial indexes name them: ('ended')."""
    return "(" + ", ".join(f"'{status}'" for status in sorted(statuses)) + ")"


def may_go(old: Status, new: Status) -> bool:
    return new in WAYS[old]


def diagram() -> str:
    """The states and the ways between them, for docs/states.md (Mermaid)."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.SCHEDULED}", f"    [*] --> {Status.QUEUED}"]
    lines += [f"    {old} --> {new}" for old in Status for new in Status if may_go(old, new)]
    return "\n".join([*lines, f"    {Status.ENDED} --> [*]"])


class Priority(models.IntegerChoices):
    """Who comes first of those that are due: the higher number. A line's limits hold for all."""

    LOW = 1, _("low priority")
    NORMAL = 2, _("normal priority")
    HIGH = 3, _("high priority")


class Outcome(models.TextChoices):
    ANSWERED = "answered", _("answered")
    VOICEMAIL = "voicemail", _("voicemail")
    BUSY = "busy", _("busy")
    NO_ANSWER = "no_answer", _("no answer")
    DECLINED = "declined", _("declined")
    UNREACHABLE = "unreachable", _("unreachable")
    CANCELED = "canceled", _("canceled")
    BLOCKED = "blocked", _("blocked")
    FAILED = "failed", _("failed")


class Fault(models.TextChoices):
    NONE = "none", _("nobody's")
    CONFIGURATION = "configuration", _("configuration")
    PLATFORM = "platform", _("the platform's")
    AI_PROVIDER = "ai_provider", _("the AI provider's")
    CARRIER = "carrier", _("the carrier's")


class EndedBy(models.TextChoices):
    CALLEE = "callee", _("the person called")
    ASSISTANT = "assistant", _("the assistant")
    PLATFORM = "platform", _("the platform")
    CLIENT = "client", _("the API client")
    STAFF = "staff", _("staff")
    CARRIER = "carrier", _("the carrier")


class Reason(models.TextChoices):
    """Why a call ended, as the API says it: additive and documented. A policy's refusal adds its own `policy.…` code."""

    CALLEE_HANGUP = "callee.hangup", _("the person hung up")
    CALLEE_DECLINED = "callee.declined", _("the person declined the call")
    CALLEE_REQUESTED_OPT_OUT = "callee.requested_opt_out", _("the person asked not to be called again")
    CALLEE_REQUESTED_CALLBACK = "callee.requested_callback", _("the person asked for another time")
    CALLEE_WRONG_NUMBER = "callee.wrong_number", _("wrong number")
    ASSISTANT_END_CALL = "assistant.end_call", _("the assistant said goodbye")
    ASSISTANT_GOAL_REACHED = "assistant.goal_reached", _("all was settled")
    TRANSFER_COMPLETED = "transfer.completed", _("put through to a person")
    DIAL_NO_ANSWER = "dial.no_answer", _("nobody picked up")
    DIAL_BUSY = "dial.busy", _("the line was busy")
    DIAL_INVALID_NUMBER = "dial.invalid_number", _("the number does not exist")
    DIAL_UNREACHABLE = "dial.unreachable", _("the phone could not be reached")
    DIAL_REJECTED_BY_NETWORK = "dial.rejected_by_network", _("the network refused the call")
    VOICEMAIL_REACHED = "voicemail.reached", _("voicemail picked up")
    LIMIT_MAX_DURATION = "limit.max_duration", _("the longest duration was reached")
    LIMIT_SILENCE = "limit.silence", _("nobody spoke")
    SCHEDULE_EXPIRED = "schedule.expired", _("its time passed in the queue")
    API_CANCELED = "api.canceled", _("canceled by the API client")
    STAFF_CANCELED = "staff.canceled", _("canceled by staff")
    ERROR_CONFIGURATION_TRUNK = "error.configuration.trunk", _("the trunk is missing or unknown")
    ERROR_CONFIGURATION_KEY = "error.configuration.key", _("a key is missing or refused")
    ERROR_CONFIGURATION_MODEL = "error.configuration.model", _("the model is unknown")
    ERROR_CONFIGURATION_PERSONA = "error.configuration.persona", _("the persona cannot be used")
    ERROR_PLATFORM_WORKER_LOST = "error.platform.worker_lost", _("the agent worker was lost")
    ERROR_PLATFORM_INTERNAL = "error.platform.internal", _("an error of ours")
    ERROR_AI_CONNECT = "error.ai.connect", _("the voice model could not be reached")
    ERROR_AI_LOST = "error.ai.lost", _("the voice model was lost during the call")
    ERROR_AI_RATE_LIMITED = "error.ai.rate_limited", _("the voice model was over its limit")
    ERROR_AI_QUOTA = "error.ai.quota", _("the voice model's credit is used up")
    ERROR_CARRIER_AUTH = "error.carrier.auth", _("the carrier refused our credentials")
    ERROR_CARRIER_UNAVAILABLE = "error.carrier.unavailable", _("the carrier was not available")
    ERROR_CARRIER_MEDIA = "error.carrier.media", _("the sound was lost")
    ERROR_TRANSFER_FAILED = "error.transfer.failed", _("the call could not be put through")


class Mended(models.TextChoices):
    """Why the reconciler had to act on a call."""

    WORKER_LOST = "worker_lost", _("its agent gave no sign of life any more")
    CALLEE_ALONE = "callee_alone", _("the person called was alone on the line")
    JOB_HANGS = "job_hangs", _("the person called was gone, and the agent did not end the call")
    NOBODY_CAME = "nobody_came", _("no agent took it")
    ROOM_LEFT = "room_left", _("its room was still there after its end")
