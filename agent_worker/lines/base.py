"""What carries a call, as the worker sees it: the phone, or the sandbox. The agent, its tools and its transcript are the same on both."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, AgentSession

from calls.gateway import Answer
from calls.models import Call


class TransferFailed(Exception):
    """The call could not be put through."""

    def __init__(self, *, sip_status_code: int | None = None, sip_status: str = "") -> None:
        self.sip_status_code = sip_status_code
        self.sip_status = sip_status
        super().__init__(self.__doc__)


class LineLost(Exception):
    """The line cannot carry sound: it was closed, or what carries it is away."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@dataclass(frozen=True)
class Endpoint:
    """Where the voice model answers. An opening rendered at one endpoint is never played on a call at another."""

    base_url: str
    api_key: str
    # An emulator's numbers (latency, usage) are not the model's.
    simulated: bool = False


class Line(ABC):
    """One call's line. `caller.run_call` uses each method from the call's own event loop, `attach` and `dial` at the same time.

    Callbacks are set before `attach` and `dial` are called; a line calls them on the event loop. `callee_left` comes for any
    reason for which the callee is gone, also for `hang_up`, and may come more than once.
    """

    simulated: bool

    def __init__(self) -> None:
        self.callee_left: Callable[[str], None] = _nobody_listens
        self.digit_pressed: Callable[[str], None] = _nobody_listens
        self.rings: Callable[[], None] = lambda: None
        self.is_away: Callable[[bool], None] = lambda _away: None

    def on_callee_left(self, callback: Callable[[str], None]) -> None:
        """`callback(reason)` when the callee is gone; the reason is the line's own word, for the log."""
        self.callee_left = callback

    def on_digit(self, callback: Callable[[str], None]) -> None:
        """`callback(digit)` for each key that the callee presses: "0"–"9", "*", "#"."""
        self.digit_pressed = callback

    def on_ringing(self, callback: Callable[[], None]) -> None:
        """`callback()` when the callee's phone rings. A line that cannot tell never calls it."""
        self.rings = callback

    def on_outage(self, callback: Callable[[bool], None]) -> None:
        """`callback(True)` when the line carries no sound for a while, `callback(False)` when it does again or is given up. A line that
        cannot tell never calls it."""
        self.is_away = callback

    @abstractmethod
    async def attach(self, session: AgentSession[Any], agent: Agent) -> None:
        """Start `session` with `agent` on this line's sound. Returns when the session runs; the callee need not be there yet.

        Raises LineLost."""

    @abstractmethod
    async def dial(self, call: Call) -> Answer:
        """Call the callee, once, and wait for the answer. Raises DialFailed or GatewayError; never dials a second time.

        The model may still be connecting. The opening is played at the moment that this returns."""

    @abstractmethod
    async def hang_up(self) -> None:
        """Close the line for the callee, always, and cancel a dial that still rings. May be called more than once.

        After it has returned nothing of this call can ring or be heard any more."""

    @abstractmethod
    async def transfer(self, to: str) -> None:
        """Put the callee through to the number `to` (E.164); returns when it is done. Raises TransferFailed: the callee is still there."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give back what this line holds in the process. The session was closed before, and the line hung up."""


def _nobody_listens(_what: str) -> None:
    return None
