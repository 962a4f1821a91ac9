"""LiveKit's webhooks: whether LiveKit sent it, what it says, and an answer at once. What follows from it is `calls.witness`'s.

LiveKit signs a token with our own API secret and puts the SHA-256 of the body into it. The token is read with PyJWT, as LiveKit's
library does: that library itself would cost the web process 42 MB, and its first webhook half a second.
"""

import base64
import hashlib
import hmac
import json
import math
import re
from datetime import UTC, datetime
from typing import Any

import jwt
import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from . import witness
from .gateway import CALLEE
from .models import RoomEvent, RoomEventKind, Who

log = structlog.get_logger(__name__)

MOST_BYTES = 64 * 1024
# LiveKit's clock and ours: its tokens hold for five minutes from when they were made.
CLOCKS_DIFFER_BY_S = 90
# `call_{persona}_{uuid}`. Rooms of others are none of our business, and their names may say anything.
OUR_ROOM = re.compile(r"call_[-a-zA-Z0-9_]{1,50}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ID = re.compile(r"[-A-Za-z0-9_.]{1,64}")
SID = re.compile(r"[A-Za-z]{2}_[A-Za-z0-9]{1,29}")
REASON = re.compile(r"[A-Z_]{1,32}")
CALL_STATUS = re.compile(r"[a-z_]{1,16}")


@csrf_exempt
@require_POST
def livekit(request: HttpRequest) -> HttpResponse:
    """Answer LiveKit: 200 when the event is kept (or is none of ours), 401 unless LiveKit signed it, 400 when it cannot be read."""
    digest = _signed_digest(request.headers.get("Authorization", ""))
    if digest is None:
        return HttpResponse(status=401)
    if _length(request) > MOST_BYTES:
        return HttpResponse(status=413)
    try:
        body = request.body
    except (UnreadablePostError, RequestDataTooBig):
        return HttpResponse(status=400)
    if not hmac.compare_digest(hashlib.sha256(body).digest(), digest):
        return HttpResponse(status=401)
    try:
        event = read(body)
    except ValueError:
        log.warning("a webhook of LiveKit cannot be read", bytes=len(body))
        return HttpResponse(status=400)
    if event is not None:
        witness.record(event)
    return HttpResponse(status=200)


def read(body: bytes) -> RoomEvent | None:
    """The event that LiveKit's JSON tells, as a row that is not saved; None when it says nothing of a call of ours. Raises ValueError."""
    told = json.loads(body)
    if not isinstance(told, dict):
        raise ValueError("no object")
    kind, room = told.get("event"), _text(_object(told, "room"), "name", OUR_ROOM)
    if kind not in RoomEventKind.values or not room:
        return None
    event_id = _text(told, "id", ID)
    if not event_id:
        raise ValueError("no id")
    someone = _object(told, "participant")
    who = _who(someone)
    return RoomEvent(
        event_id=event_id,
        kind=kind,
        room=room,
        at=_time(told),
        who=who,
        participant_sid=_text(someone, "sid", SID),
        disconnect_reason=_text(someone, "disconnectReason", REASON),
        call_status=_text(_object(someone, "attributes"), "sip.callStatus", CALL_STATUS) if who == Who.CALLEE else "",
    )


def _signed_digest(token: str) -> bytes | None:
    """The digest of the body that the token vouches for; None when it is not LiveKit's, or too old."""
    if not (settings.LIVEKIT_API_KEY and settings.LIVEKIT_API_SECRET):
        return None
    try:
        claims = jwt.decode(
            token.removeprefix("Bearer "),
            settings.LIVEKIT_API_SECRET,
            algorithms=["HS256"],
            issuer=settings.LIVEKIT_API_KEY,
            leeway=CLOCKS_DIFFER_BY_S,
            # Without the digest it is a token to join a room: its bearer is not LiveKit.
            options={"require": ["exp", "iss", "sha256"]},
        )
        return base64.b64decode(claims["sha256"], validate=True)
    except (jwt.InvalidTokenError, ValueError, TypeError):
        return None


def _length(request: HttpRequest) -> float:
    said = request.META.get("CONTENT_LENGTH") or "0"
    return int(said) if said.isdecimal() else math.inf


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _text(holder: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    """The text of that name, if it is what it should be; else nothing of it is kept."""
    value = holder.get(name)
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _who(someone: dict[str, Any]) -> Who:
    if not someone:
        return Who.NOBODY
    if someone.get("kind") == "AGENT":
        return Who.AGENT
    return Who.CALLEE if someone.get("identity") == CALLEE else Who.OTHER


def _time(told: dict[str, Any]) -> datetime:
    """LiveKit's seconds since 1970, which Protocol Buffers write as text. Raises ValueError."""
    try:
        return datetime.fromtimestamp(int(told.get("createdAt", 0)), UTC)
    except (TypeError, OverflowError, OSError) as error:
        raise ValueError("no time") from error
