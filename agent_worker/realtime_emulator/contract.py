"""Holds every event that the emulator sends against the service's own models, where the tests ask for it."""

import functools
import typing
from typing import Any

from agent_worker.realtime_emulator.wire import Json

# The service sends these, its published models do not name them.
_BEYOND_THE_MODELS = {"session.object", "session.id", "session.expires_at"}


class ContractBroken(AssertionError):
    """The emulator sent an event that the service's models do not know."""


@functools.cache
def _models() -> dict[str, Any]:
    from openai.types.realtime import RealtimeServerEvent  # costs a second of imports: only where events are checked

    union = typing.get_args(RealtimeServerEvent)[0]
    return {typing.get_args(model.model_fields["type"].annotation)[0]: model for model in typing.get_args(union)}


def check(event: Json) -> None:
    """Raises ContractBroken unless the event is one of the service's, without a wrong type, value or key."""
    from pydantic import ValidationError

    model = _models().get(event["type"])
    if model is None:
        raise ContractBroken(f"there is no server event {event['type']!r}")
    try:
        parsed = model.model_validate(event, strict=True)
    except ValidationError as error:
        raise ContractBroken(f"{event['type']}: {error}") from error
    if unknown := sorted(set(_unknown(parsed)) - _BEYOND_THE_MODELS):
        raise ContractBroken(f"{event['type']}: unknown keys {', '.join(unknown)}")


def _unknown(value: Any, path: str = "") -> typing.Iterator[str]:
    """Keys that the models do not name, as dotted paths; free-form objects (metadata, JSON schemas) are plain dicts and not looked into."""
    if isinstance(value, list):
        for each in value:
            yield from _unknown(each, path)
    elif hasattr(value, "model_fields_set"):
        yield from (f"{path}.{name}".lstrip(".") for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), f"{path}.{name}".lstrip("."))
