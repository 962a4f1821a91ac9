"""What the protocol looks like on the wire: ids, sizes in tokens, the session's configuration and its defaults.

Names and shapes follow the GA Realtime API (no `OpenAI-Beta` header, `response.output_audio.*`, `conversation.item.added`).
"""

import copy
import secrets
import time
from typing import Any

Json = dict[str, Any]

PCM: Json = {"type": "audio/pcm", "rate": 24_000}
SERVER_VAD: Json = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
SEMANTIC_VAD: Json = {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}
SESSION_SECONDS = 3600

# Objects that an update replaces as a whole; all others are merged key by key.
_REPLACED = {"transcription", "tool_choice", "tracing", "format", "noise_reduction"}


class ClientError(Exception):
    """The client asked for something that the service refuses: goes out as an `error` event with the client's event id."""

    def __init__(self, message: str, code: str = "invalid_value", param: str | None = None) -> None:
        self.code, self.param = code, param
        super().__init__(message)


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(10)}"


def tokens(text: str) -> int:
    """How many tokens a text has, roughly."""
    return max(1, round(len(text) / 3.6)) if text else 0


def heard_tokens(milliseconds: int) -> int:
    """The caller's audio: about one token for 100 ms."""
    return round(milliseconds / 100)


def spoken_tokens(milliseconds: int) -> int:
    """The model's audio: about one token for 50 ms."""
    return round(milliseconds / 50)


def default_session(session_id: str, model: str) -> Json:
    """The configuration that a session starts with, as `session.created` shows it."""
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": int(time.time()) + SESSION_SECONDS,
        "include": None,
        "audio": {
            "input": {"format": dict(PCM), "transcription": None, "noise_reduction": None, "turn_detection": dict(SERVER_VAD)},
            "output": {"format": dict(PCM), "voice": "alloy", "speed": 1.0},
        },
    }


def updated_session(current: Json, change: Json) -> Json:
    """The configuration after a `session.update`. Raises ClientError for what the service, or this emulator, does not take."""
    if change.get("type", "realtime") != "realtime":
        raise ClientError(f"Invalid value: '{change['type']}'. Supported values are: 'realtime'.", param="session.type")
    _check_modalities(change.get("output_modalities"), "session.output_modalities")
    merged = copy.deepcopy(current)
    _merge(merged, change)
    for direction in ("input", "output"):
        if merged["audio"][direction]["format"].get("type") != "audio/pcm":
            raise ClientError("The emulator speaks audio/pcm only.", param=f"session.audio.{direction}.format")
    return merged


def response_modalities(session: Json, params: Json) -> list[str]:
    """What a response is made of: its own `output_modalities`, else the session's."""
    _check_modalities(params.get("output_modalities"), "response.output_modalities")
    return list(params.get("output_modalities") or session["output_modalities"])


def _check_modalities(value: object, param: str) -> None:
    if value is not None and value not in (["audio"], ["text"]):
        raise ClientError(f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio'].", param=param)


def _merge(target: Json, change: Json) -> None:
    for key, value in change.items():
        if key == "turn_detection" and isinstance(value, dict):
            defaults = SERVER_VAD if value.get("type") == "server_vad" else SEMANTIC_VAD
            target[key] = {**defaults, **value}
        elif isinstance(value, dict) and isinstance(target.get(key), dict) and key not in _REPLACED:
            _merge(target[key], value)
        else:
            target[key] = copy.deepcopy(value)


def error_event(error: ClientError, event_id: str | None, kind: str = "invalid_request_error") -> Json:
    """The body of an `error` event that answers the client event of this id."""
    return {"type": kind, "code": error.code, "message": str(error), "param": error.param, "event_id": event_id}
