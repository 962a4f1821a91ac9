"""The tables of a call: the call itself, what happened to it, what was said in it, and how it was asked for."""

from .call import Call
from .event import CallEvent
from .line import Line, LineKind, LineShare
from .request import CallRequest, IdempotencyRecord
from .turn import Turn, TurnRole

__all__ = ["Call", "CallEvent", "CallRequest", "IdempotencyRecord", "Line", "LineKind", "LineShare", "Turn", "TurnRole"]
