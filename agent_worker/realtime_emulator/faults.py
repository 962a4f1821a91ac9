"""What can be told to go wrong, and when."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any


class ScriptError(Exception):
    """A script or a fault is written wrongly; the message is one sentence for its author."""


AT_UPGRADE = "http"
AT_CONNECT = ("refuse", "close", "error")
ANY_TIME = ("close", "drop", "error", "expire")
PER_RESPONSE = ("fail", "stall", "slow", "drop", "close", "error")
KINDS = ("http", "refuse", "close", "drop", "error", "expire", "fail", "stall", "slow", "transcription_failed")

MESSAGES = {
    "invalid_api_key": "Incorrect API key provided.",
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
    "rate_limit_exceeded": "Rate limit reached for this model. Please try again in 1.2s.",
    "session_expired": "Your session hit the maximum duration of 60 minutes.",
    "server_error": "The server had an error while processing your request.",
}
# The codes with which the service closes a socket that it accepted; the one for no credit is a guess.
CLOSE_CODES = {"invalid_api_key": 3000, "insufficient_quota": 4000, "session_expired": 1001}
# HTTP status of a refused upgrade -> type and code of the error in its body.
HTTP_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "access_denied"),
    429: ("requests", "rate_limit_exceeded"),
    503: ("server_error", "server_error"),
}


@dataclass(frozen=True, eq=False)
class Fault:
    """One thing that goes wrong. Two that are written alike are two: each counts its own `times`.

    When: `after_s` seconds after the session opened (or the fault was set); at the session's response number `response`, at
    every one where it is left out; `turn`, the same for the caller's turns; at the connect where neither is given and the kind
    allows it. `times` limits how often it happens to one API key.
    """

    kind: str
    status: int = 503
    code: str = "server_error"
    message: str = ""
    after_s: float | None = None
    response: int | None = None
    after_audio_ms: int = 0
    turn: int | None = None
    times: int | None = None
    count: int = 1
    ms: int = 0

    @property
    def text(self) -> str:
        return self.message or MESSAGES.get(self.code, self.code)

    @property
    def error_type(self) -> str:
        return {"server_error": "server_error", "rate_limit_exceeded": "requests", "insufficient_quota": "insufficient_quota"}.get(
            self.code, "invalid_request_error"
        )

    @property
    def at_connect(self) -> bool:
        return self.kind in AT_CONNECT and self.after_s is None and self.response is None

    def hits_response(self, number: int) -> bool:
        if self.kind not in PER_RESPONSE or self.after_s is not None or self.at_connect:
            return False
        return self.response in (None, number)

    @property
    def refuses_the_key(self) -> bool:
        """Would this key be refused everywhere, `/v1/models` included?"""
        return (self.kind == "refuse" and self.code == "invalid_api_key") or (self.kind == AT_UPGRADE and self.status == 401)


def parse_faults(raw: Iterable[Mapping[str, Any]]) -> tuple[Fault, ...]:
    """Faults as a script or the control API writes them. Raises ScriptError."""
    return tuple(_parse(each) for each in raw)


_DEFAULT_CODES = {"fail": "rate_limit_exceeded", "expire": "session_expired", "refuse": "invalid_api_key"}


def _parse(raw: Mapping[str, Any]) -> Fault:
    if not isinstance(raw, Mapping) or raw.get("kind") not in KINDS:
        raise ScriptError(f"A fault needs a kind ({', '.join(KINDS)}): {raw!r}.")
    types = {each.name: each.type for each in fields(Fault)}
    if unknown := sorted(set(raw) - set(types)):
        raise ScriptError(f"A fault has no {', '.join(map(repr, unknown))}; it has {', '.join(sorted(types))}.")
    for name, value in raw.items():
        numeric = "int" in str(types[name]) or "float" in str(types[name])
        if numeric and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ScriptError(f"A fault's {name} is a number, not {value!r}.")
    fault = Fault(**{"code": _DEFAULT_CODES.get(raw["kind"], "server_error"), **raw})
    if fault.kind == AT_UPGRADE and fault.status not in HTTP_ERRORS:
        raise ScriptError(f"A refused upgrade has one of the statuses {', '.join(map(str, HTTP_ERRORS))}, not {fault.status}.")
    if fault.kind == "refuse" and fault.code not in CLOSE_CODES:
        raise ScriptError(f"A refused session has one of the codes {', '.join(CLOSE_CODES)}, not {fault.code!r}.")
    if fault.kind in ("drop", "expire") and fault.after_s is None and fault.response is None:
        raise ScriptError(f"A fault of kind {fault.kind!r} needs after_s or response.")
    return fault


class Ledger:
    """How often each fault has happened to each key: what `times` counts."""

    def __init__(self) -> None:
        self._happened: Counter[tuple[str, Fault]] = Counter()

    def take(self, key: str, fault: Fault) -> bool:
        """May it happen once more? Counts it, if so."""
        if fault.times is not None and self._happened[key, fault] >= fault.times:
            return False
        self._happened[key, fault] += 1
        return True

    def due(self, key: str, faults: Iterable[Fault]) -> Iterator[Fault]:
        return (fault for fault in faults if self.take(key, fault))
