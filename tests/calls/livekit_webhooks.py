"""LiveKit's webhooks, as livekit-server writes and signs them."""

import base64
import hashlib
import time
from typing import Any

import jwt

KEY, SECRET = "chamada", "a-secret-of-the-tests-that-is-long-enough"
ADDRESS, CONTENT_TYPE = "/livekit/webhook", "application/webhook+json"
UNKNOWN = "call_restaurante_00000000-0000-4000-8000-000000000000"


def token(body: bytes, *, secret: str = SECRET, **claims: Any) -> str:
    """As livekit-server signs: a token of its API key with the body's digest, good for five minutes."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    now = int(time.time())
    said = {"iss": KEY, "nbf": now, "exp": now + 300, "sha256": digest} | claims
    return jwt.encode({name: value for name, value in said.items() if value is not None}, secret, algorithm="HS256")


def told(room: str, event: str = "participant_left", **more: Any) -> dict[str, Any]:
    """As protojson writes it: names in camelCase, 64-bit numbers as text, the default of an enumeration left out."""
    callee = {
        "sid": "PA_9mR4tbXgPqkD",
        "identity": "callee",
        "name": "Phone +351912000001",
        "kind": "SIP",
        "attributes": {"sip.callStatus": "hangup", "sip.phoneNumber": "+351912000001", "sip.callID": "SCL_1"},
        "disconnectReason": "CLIENT_INITIATED",
    }
    return {
        "event": event,
        "id": "EV_aBcD1234",
        "createdAt": "1795492800",
        "room": {"sid": "RM_1", "name": room, "numParticipants": 2},
        "participant": callee,
    } | more
