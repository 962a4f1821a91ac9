"""The table from what a dial came to, to how the call ended (design §3), and to whether another call may follow by itself."""

from enum import StrEnum
from typing import NamedTuple

from .exceptions import DialFailed, FailureKind
from .states import EndedBy, Fault, Outcome, Reason


class DialResult(NamedTuple):
    """How a call that nobody answered ends. `retryable`: another call, later, may do better."""

    outcome: Outcome
    reason: Reason
    fault: Fault
    retryable: bool

    @property
    def ended_by(self) -> EndedBy:
        """Who ended it, as far as the phone network tells."""
        if self.outcome in (Outcome.BUSY, Outcome.DECLINED):
            return EndedBy.CALLEE
        return EndedBy.CARRIER if self.fault in (Fault.NONE, Fault.CARRIER) else EndedBy.PLATFORM


BUSY = DialResult(Outcome.BUSY, Reason.DIAL_BUSY, Fault.NONE, retryable=True)
DECLINED = DialResult(Outcome.DECLINED, Reason.CALLEE_DECLINED, Fault.NONE, retryable=False)
NO_ANSWER = DialResult(Outcome.NO_ANSWER, Reason.DIAL_NO_ANSWER, Fault.NONE, retryable=True)
UNREACHABLE = DialResult(Outcome.UNREACHABLE, Reason.DIAL_UNREACHABLE, Fault.NONE, retryable=True)
NO_SUCH_NUMBER = DialResult(Outcome.UNREACHABLE, Reason.DIAL_INVALID_NUMBER, Fault.NONE, retryable=False)
REJECTED_BY_NETWORK = DialResult(Outcome.UNREACHABLE, Reason.DIAL_REJECTED_BY_NETWORK, Fault.NONE, retryable=False)
CARRIER_AUTH = DialResult(Outcome.FAILED, Reason.ERROR_CARRIER_AUTH, Fault.CARRIER, retryable=False)
CARRIER_AWAY = DialResult(Outcome.FAILED, Reason.ERROR_CARRIER_UNAVAILABLE, Fault.CARRIER, retryable=True)
NO_CODEC = DialResult(Outcome.FAILED, Reason.ERROR_CARRIER_MEDIA, Fault.CARRIER, retryable=False)
TRUNK = DialResult(Outcome.FAILED, Reason.ERROR_CONFIGURATION_TRUNK, Fault.CONFIGURATION, retryable=False)
KEY = DialResult(Outcome.FAILED, Reason.ERROR_CONFIGURATION_KEY, Fault.CONFIGURATION, retryable=False)
# It may have rung, or not: nobody dials again on a guess (rule 5).
NOT_KNOWN = DialResult(Outcome.FAILED, Reason.ERROR_PLATFORM_INTERNAL, Fault.PLATFORM, retryable=False)

# RFC 3261 §21, RFC 8197 (607), RFC 8688 (608).
BY_SIP_STATUS: dict[int, DialResult] = {
    401: CARRIER_AUTH,
    402: CARRIER_AUTH,
    403: REJECTED_BY_NETWORK,
    404: NO_SUCH_NUMBER,
    407: CARRIER_AUTH,
    408: NO_ANSWER,
    410: NO_SUCH_NUMBER,
    415: NO_CODEC,
    480: UNREACHABLE,
    484: NO_SUCH_NUMBER,
    486: BUSY,
    487: NO_ANSWER,
    488: NO_CODEC,
    600: BUSY,
    603: DECLINED,
    604: NO_SUCH_NUMBER,
    606: NO_CODEC,
    607: DECLINED,
    608: DECLINED,
}
BY_KIND: dict[FailureKind, DialResult] = {
    FailureKind.SIP: CARRIER_AWAY,
    FailureKind.RANG_OUT: NO_ANSWER,
    FailureKind.CARRIER_SILENT: CARRIER_AWAY,
    FailureKind.CARRIER_AUTH: CARRIER_AUTH,
    FailureKind.SERVICE_AWAY: CARRIER_AWAY,
    FailureKind.TRUNK_UNKNOWN: TRUNK,
    FailureKind.ROOM_GONE: NOT_KNOWN,
    FailureKind.KEY_REFUSED: KEY,
    FailureKind.NOT_CONFIGURED: KEY,
    FailureKind.NOT_UNDERSTOOD: TRUNK,
    FailureKind.AWAY: NOT_KNOWN,
    FailureKind.AMBIGUOUS: NOT_KNOWN,
}


def result_of(failure: DialFailed) -> DialResult:
    """How the call ends whose dial failed so. A SIP status that the table does not name is the carrier's trouble."""
    if failure.sip_status_code is None:
        return BY_KIND[failure.kind]
    return BY_SIP_STATUS.get(failure.sip_status_code, CARRIER_AWAY)


class RetryReason(StrEnum):
    """Why a call is tried again; a persona's calling limits say for each after how long."""

    BUSY = "busy"
    NO_ANSWER = "no_answer"
    TECHNICAL = "technical"


# The dial's own final answer (design §3, rule 3): a SIP status, LiveKit's word that it rang out, or that there was nobody to send the
# INVITE. Whatever else failed, the phone may have rung or be ringing.
FINAL = frozenset({FailureKind.SIP, FailureKind.RANG_OUT, FailureKind.SERVICE_AWAY})
RETRIED_AS: dict[DialResult, RetryReason] = {
    BUSY: RetryReason.BUSY,
    NO_ANSWER: RetryReason.NO_ANSWER,
    UNREACHABLE: RetryReason.NO_ANSWER,
    CARRIER_AWAY: RetryReason.TECHNICAL,
}


def retry_reason(failure: DialFailed) -> RetryReason | None:
    """As what a call whose dial failed so may be tried again by itself; None: not at all."""
    return RETRIED_AS.get(result_of(failure)) if failure.kind in FINAL else None
