"""The tables of a call: the call itself, what happened to it, what was said in it, how it was asked for, and what LiveKit told of it."""

from .call import Call
from .event import CallEvent, Mending
from .line import Line, LineKind, LineShare
from .request import CallRequest, IdempotencyRecord
from .room_event import RoomEvent, RoomEventKind, Who
from .turn import Turn, TurnRole

__all__ = [
    "Call",
    "CallEvent",
    "CallRequest",
    "IdempotencyRecord",
    "Line",
    "LineKind",
    "LineShare",
    "Mending",
    "RoomEvent",
    "RoomEventKind",
    "Turn",
    "TurnRole",
    "Who",
]
