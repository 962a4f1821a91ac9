"""The named steps at which something dies, each reached by looking, or by holding its process there from outside.

Nothing in the product knows of it: a row lock holds who needs the row, a LiveKit that is stopped for a moment holds who asks it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from .database import Database, until
from .phone_log import Leg
from .plans import Plan
from .stage import Stage

TALKING = ("talks", "hangs_up", "transfer", "transfer_refused", "opt_out")
LINE_ROW = "SELECT 1 FROM calls_line WHERE kind = 'phone' FOR UPDATE"
CALL_ROW = "SELECT 1 FROM calls_call WHERE id = %s FOR UPDATE"
# The phone's log is a file that is read on.
LOG_POLL_S = 0.02


@dataclass
class Scene:
    """The call that a step is about, and what holds it there; `holds` are let go after the kill."""

    stage: Stage
    database: Database
    plan: Plan
    rng: random.Random
    place: Callable[[], Awaitable[None]]
    call_id: str = ""
    holds: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def placed(self) -> None:
        """The request is sent, and its commit seen; the answer may be under way still."""
        await self.place()
        await until(self._exists, "the request's commit")

    async def _exists(self) -> bool:
        rows = (await self.database.calls([self.plan.tag]))[self.plan.tag]
        self.call_id = rows[0].id if rows else ""
        return bool(rows)

    async def until_status(self, status: str) -> None:
        async def has_it() -> bool:
            return bool(await self.database.ask("SELECT 1 FROM calls_call WHERE id = %s AND status = %s", self.call_id, status))

        await until(has_it, f"status {status}")

    async def until_leg(self, holds: Callable[[Leg], bool], what: str) -> None:
        async def so() -> bool:
            legs = self.stage.tail.look().legs(self.plan.number)
            return bool(legs) and holds(legs[-1])

        await until(so, what, every_s=LOG_POLL_S)

    async def wait(self, least_s: float, most_s: float) -> None:
        """By the seed, so that a step is met now here, now there."""
        await asyncio.sleep(self.rng.uniform(least_s, most_s))

    def hold_livekit(self) -> None:
        self.stage.livekit.freeze()
        self.holds.callback(self.stage.livekit.thaw)


async def committed(scene: Scene) -> None:
    """No dialer can claim while the line's row is locked."""
    await scene.holds.enter_async_context(scene.database.locked(LINE_ROW))
    await scene.placed()


async def claimed(scene: Scene) -> None:
    """The claim is committed; the room is asked for, and LiveKit does not answer."""
    lock = await scene.holds.enter_async_context(scene.database.locked(LINE_ROW))
    await scene.placed()
    scene.hold_livekit()
    lock.let_go()
    await scene.until_status("dispatched")


async def in_the_room(scene: Scene) -> None:
    """The job is there, and stands at its claim for the dial: the call's row is locked."""
    await scene.placed()
    await scene.until_status("dispatched")
    lock = await scene.holds.enter_async_context(scene.database.locked(CALL_ROW, scene.call_id))
    await until(lambda: scene.database.waits_for(lock), "the job at its claim")


async def before_the_dial(scene: Scene) -> None:
    """The claim for the dial is committed, and LiveKit has not heard of the dial."""
    await scene.placed()
    await scene.until_status("dispatched")
    lock = await scene.holds.enter_async_context(scene.database.locked(CALL_ROW, scene.call_id))
    await until(lambda: scene.database.waits_for(lock), "the job at its claim")
    scene.hold_livekit()
    lock.let_go()
    await scene.until_status("dialing")


async def ringing(scene: Scene) -> None:
    await scene.placed()
    await scene.until_leg(lambda leg: leg.ringing_at is not None, "the ringing")
    await scene.wait(0.1, 1.0)


async def answered(scene: Scene) -> None:
    await scene.placed()
    await scene.until_leg(lambda leg: leg.answered_at is not None, "the answer")


async def opening(scene: Scene) -> None:
    await answered(scene)
    await scene.until_leg(lambda leg: bool(leg.voices), "the opening's first sound")
    await scene.wait(0.3, 3.0)


async def mid_turn(scene: Scene) -> None:
    """The callee speaks, or the persona answers them."""
    await answered(scene)
    await scene.until_leg(lambda leg: bool(leg.spoke_at), "the callee's first words")
    if scene.rng.random() < 0.5:
        await scene.until_leg(lambda leg: leg.voices[-1][0] > leg.spoke_at[0], "the persona's reply")
    await scene.wait(0.1, 0.6)


async def in_a_tool(scene: Scene) -> None:
    await answered(scene)
    await until(lambda: scene.database.has_tool(scene.call_id), "a tool", every_s=LOG_POLL_S)
    await scene.wait(0.0, 1.0)


async def ending(scene: Scene) -> None:
    """The phone is let go (or let go itself), and the end is not written yet."""
    await answered(scene)
    await scene.until_leg(lambda leg: leg.ended_at is not None, "the phone's hang-up")


@dataclass(frozen=True)
class Step:
    """`reach` returns at the step. Which kinds of call come there; how long that takes (seconds, about): others are placed meanwhile."""

    name: str
    reach: Callable[[Scene], Awaitable[None]]
    kinds: tuple[str, ...]
    takes_s: float


EVERY = ("talks", "busy", "no_answer", "hangs_up", "transfer", "transfer_refused", "opt_out", "canceled")
STEPS: tuple[Step, ...] = (
    Step("after the request's commit", committed, EVERY, 0.3),
    Step("after the claim", claimed, EVERY, 0.4),
    Step("after the room", in_the_room, EVERY, 0.8),
    Step("before the dial", before_the_dial, EVERY, 1.0),
    Step("ringing", ringing, tuple(kind for kind in EVERY if kind != "busy"), 2.0),
    Step("answered", answered, TALKING, 3.0),
    Step("opening", opening, TALKING, 4.5),
    Step("mid-turn", mid_turn, TALKING, 10.0),
    Step("in a tool", in_a_tool, ("transfer", "transfer_refused", "opt_out"), 12.0),
    Step("while ending", ending, tuple(kind for kind in TALKING if kind != "transfer_refused"), 14.0),
)
