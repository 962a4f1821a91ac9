"""How a SIP service reports what became of an INVITE or a REFER: psrpc codes by SIP status.

From `sipCodeToGRPCCode` of livekit/protocol (livekit/sip.go, v1.50.5) and livekit/sip's pkg/sip/errors.go. 401 and 407 never get that far:
a trunk without credentials fails before.
"""

from .psrpc import RpcError

REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    480: "Temporarily Unavailable",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Server Time-out",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    607: "Unwanted",
    608: "Rejected",
}

_CODES = {
    "permission_denied": (402, 403, 433, 470, 603, 607, 608),
    "not_found": (301, 302, 404, 410, 481, 604),
    "deadline_exceeded": (408, 504),
    "resource_exhausted": (440, 480, 486, 600),
    "aborted": (487, 491),
    "failed_precondition": (409, 412, 482, 483, 500, 501, 502, 503),
}
_CODE_OF = {status: code for code, statuses in _CODES.items() for status in statuses}


def refused(status: int) -> RpcError:
    """The error for a final answer of `status` (300 and above) to an INVITE or a REFER."""
    if status in (401, 407):
        return RpcError("failed_precondition", "sip server required auth, but no username or password was provided")
    fallback = "failed_precondition" if 500 <= status < 600 else "invalid_argument"
    reason = REASONS.get(status, f"Status {status}")
    return RpcError(_CODE_OF.get(status, fallback), f"INVITE failed: sip status: {status}: {reason}", sip_code=status, sip_reason=reason)


def rang_out() -> RpcError:
    """Nobody answered in time, or the room went away while it rang."""
    return RpcError("canceled", "sip request timed out")


def nobody_there() -> RpcError:
    """Not even a 100 came back for 32 s: timer B (RFC 3261 §17.1.1.2)."""
    return RpcError("canceled", "transaction failed to complete (0 intermediate responses)")
