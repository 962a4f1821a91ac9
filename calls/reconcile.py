"""Looks every two seconds whether calls are as their rows say, and mends those that are not (design §3, rules 3 to 6).

A call whose worker is gone ends here, truly, after its phone was let go; what nobody took goes back to the queue; a room that outlived
its call is closed. Several reconcilers may run at once: each act is a compare-and-swap, or may be done twice.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import Error as DatabaseError

from . import clock, due, lifecycle, lines, mending, witness
from .exceptions import FailureKind, GatewayError
from .gateway import Gateway, Participant
from .mending import Suspect
from .models import Call, LineKind
from .states import Mended
from .watch import Sightings, Watch

log = structlog.get_logger(__name__)
T = TypeVar("T")

LOOKS_EVERY_S = 2.0
# News from LiveKit make it look at once, but no more often than this; and they are not asked for more often either.
LOOKS_AGAIN_AFTER_S = 0.5
# Without a call or a room alive LiveKit is asked no more often than this: often enough to have it seen without a break.
ASKS_FOR_NOTHING_AFTER_S = 3.0
# Who steps it may rest so long between two steps.
STEPS_EVERY_S = 1.0
# The database's clock and our own run alike; a jump of one of them makes all signs of life look old, or young.
CLOCK_JUMP_S = 2.0
ASKED_AT_ONCE = 16


class Reconciler:
    """Keeps from look to look since when it has seen what. To be used by one thread at a time, and closed.

    `connect` makes the connection to LiveKit; None: the settings', where a phone line is configured. `mended` counts what was done.
    """

    def __init__(self, connect: Callable[[], Gateway] | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.mended: Counter[Mended] = Counter()
        self._connect = connect or (Gateway.from_settings if lines.phone_is_configured() else None)
        self._monotonic = monotonic
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._gateway: Gateway | None = None
        self._database, self._livekit = Watch(), Watch()
        self._clocks_differ_by: float | None = None
        self._alone, self._gone, self._untaken, self._callless = Sightings(), Sightings(), Sightings(), Sightings()
        self._uncarried = Sightings()
        self._looked_at: float | None = None
        self._applied_at: float | None = None
        self._nothing_at: float | None = None

    def step(self) -> bool:
        """Bring LiveKit's news to their calls, and look when it is time to. Returns whether anything was to be done."""
        at = self._monotonic()
        if self._applied_at is not None and at - self._applied_at < LOOKS_AGAIN_AFTER_S:
            return False
        self._applied_at = at
        try:
            news = witness.apply_due()
        except DatabaseError:
            self._database.lost()
            raise
        pause = LOOKS_AGAIN_AFTER_S if news else LOOKS_EVERY_S
        if self._looked_at is not None and at - self._looked_at < pause:
            return news
        return self.look() or news

    def look(self) -> bool:
        """Look once, and mend what can be judged. Returns whether anything was mended; raises what the database raises."""
        at = self._looked_at = self._monotonic()
        before = self.mended.total()
        try:
            self._look(at)
        except DatabaseError:
            self._database.lost()
            raise
        finally:
            for sightings in (self._alone, self._gone, self._untaken, self._callless, self._uncarried):
                sightings.end_of_look()
        return self.mended.total() > before

    def close(self) -> None:
        if self._gateway is not None:
            self._runner.run(self._gateway.aclose())
        self._runner.close()

    # -- one look ---------------------------------------------------------------------------------------------------

    def _look(self, at: float) -> None:
        self._see_the_database(at)
        is_quiet = not due.any_alive()
        if is_quiet and self._nothing_at is not None and at - self._nothing_at < ASKS_FOR_NOTHING_AFTER_S:
            return
        rooms = self._rooms_alive(at)
        self._nothing_at = at if is_quiet and rooms == set() else None
        judged = self._lines_that_can_be_judged(at)
        suspects = mending.suspects(judged)
        untaken = [call for call in mending.untaken() if self._untaken_s(call, at) >= mending.NOBODY_CAME_AFTER_S and call.line in judged]
        present = self._who_is_in([*(suspect.call for suspect in suspects), *untaken], rooms or set(), at)
        for suspect in suspects:
            suspect.participants = present[suspect.call.room]
        self._end_lost(suspects, at)
        self._put_back_untaken(untaken, present, at)
        if rooms is not None and LineKind.PHONE in judged:
            self._close_callless(rooms, at)

    def _see_the_database(self, at: float) -> None:
        self._now = clock.database_now()
        differ_by = self._now.timestamp() - self._monotonic()
        if self._clocks_differ_by is not None and abs(differ_by - self._clocks_differ_by) > CLOCK_JUMP_S:
            log.warning("the database's clock jumped, or this process stood still", seconds=round(differ_by - self._clocks_differ_by, 1))
            self._database.lost()
        self._clocks_differ_by = differ_by
        self._database.saw(at)

    def _rooms_alive(self, at: float) -> set[str] | None:
        if self._connect is None:
            return None
        try:
            rooms = self._asked(lambda gateway: gateway.list_rooms(agent_name=settings.AGENT_NAME))
        except GatewayError as error:
            log.warning("LiveKit could not be asked", kind=error.kind.value, said=error.said)
            self._livekit.lost()
            return None
        self._livekit.saw(at)
        return rooms

    def _lines_that_can_be_judged(self, at: float) -> set[LineKind]:
        if not self._database.is_unbroken(at):
            return set()
        return {LineKind.SANDBOX, LineKind.PHONE} if self._livekit.is_unbroken(at) else {LineKind.SANDBOX}

    def _untaken_s(self, call: Call, at: float) -> float:
        return self._untaken.seconds((call.pk, call.claim), at)

    # -- what is mended ---------------------------------------------------------------------------------------------

    def _end_lost(self, suspects: Iterable[Suspect], at: float) -> None:
        judged = [(suspect, why) for suspect in suspects if (why := self._verdict(suspect, at))]
        lost = [(suspect, why) for suspect, why in judged if mending.take(suspect)]
        let_go = self._let_go([suspect for suspect, _why in lost])
        for suspect, why in lost:
            # Never ended before nobody can be heard on its line any more (rule 4); the next look tries again.
            if suspect.call.room in let_go and mending.end(suspect, why, now=self._now):
                self.mended[why] += 1

    def _verdict(self, suspect: Suspect, at: float) -> Mended | None:
        if suspect.participants is None:
            return None
        alone = suspect.callee is not None and not suspect.agent_is_there
        return mending.verdict(
            suspect,
            alone_s=self._alone.seconds(suspect.call.pk, at) if alone else 0.0,
            gone_s=self._gone.seconds(suspect.call.pk, at) if suspect.callee is None else 0.0,
        )

    def _put_back_untaken(self, untaken: Iterable[Call], present: dict[str, list[Participant] | None], at: float) -> None:
        withdrawn = []
        for call in untaken:
            people = present[call.room]
            is_being_taken = people is None or any(each.is_agent for each in people)
            if is_being_taken and (people is None or self._untaken_s(call, at) < mending.IS_TAKING_FOR_S):
                continue
            sighted_as = (call.pk, call.claim)
            if lifecycle.withdraw(call):
                self._untaken.rename(sighted_as, (call.pk, call.claim))
                withdrawn.append(call)
        cleared = self._done(withdrawn, _clear)
        for call in withdrawn:
            if call.room in cleared and mending.put_back(call):
                self.mended[Mended.NOBODY_CAME] += 1

    def _close_callless(self, rooms: set[str], at: float) -> None:
        # Twice: a call that ends at this moment has its room deleted by who ends it. And as often as it comes back: soon after a restart of
        # LiveKit a deletion meets a room that phone and job are only about to join again.
        outlived = [room for room in mending.rooms_without_a_call(rooms) if self._callless.seconds(room, at) > 0]
        for room, deleted in zip(outlived, self._each(outlived, _delete), strict=True):
            if deleted:
                mending.note_room(room)
                self.mended[Mended.ROOM_LEFT] += 1

    # -- LiveKit ----------------------------------------------------------------------------------------------------

    def _who_is_in(self, calls: Sequence[Call], alive: set[str], at: float) -> dict[str, list[Participant] | None]:
        """Who is in the rooms of these calls; None where LiveKit could not be asked. In the sandbox there is no room."""

        async def ask(gateway: Gateway, room: str) -> list[Participant]:
            try:
                return await gateway.participants(room)
            except GatewayError as error:
                # No server carries it, and LiveKit, which can be asked, lists no such room; or lists it, look after look.
                if error.kind == FailureKind.SERVICE_AWAY and (room not in alive or self._uncarried.seconds(room, at) > 0):
                    return []
                raise

        present: dict[str, list[Participant] | None] = {call.room: [] for call in calls}
        phones = [call.room for call in calls if call.line == LineKind.PHONE]
        return present | dict(zip(phones, self._each(phones, ask), strict=True))

    def _let_go(self, lost: Sequence[Suspect]) -> set[str]:
        """Hang up on the callees of these calls. Returns the rooms where nobody is left."""
        with_a_callee = {suspect.call.room for suspect in lost if suspect.callee}

        async def hang_up(gateway: Gateway, room: str) -> bool:
            return await _delete(gateway, room) or room not in with_a_callee or await gateway.remove_forgotten_callee(room)

        return self._done([suspect.call for suspect in lost], hang_up)

    def _done(self, calls: Sequence[Call], act: Callable[[Gateway, str], Awaitable[bool]]) -> set[str]:
        """The rooms of these calls for which LiveKit did it; those of the sandbox, where there is nothing to do."""
        phones = [call.room for call in calls if call.line == LineKind.PHONE]
        return {call.room for call in calls if call.line == LineKind.SANDBOX} | {
            room for room, done in zip(phones, self._each(phones, act), strict=True) if done
        }

    def _each(self, rooms: list[str], ask: Callable[[Gateway, str], Awaitable[T]]) -> list[T | None]:
        """What LiveKit answers for each room, some asked at once; None where it could not be asked."""
        places = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask_one(gateway: Gateway, room: str) -> T | None:
            async with places:
                try:
                    return await ask(gateway, room)
                except GatewayError as error:
                    log.warning("LiveKit could not be asked about a room", room=room, kind=error.kind.value, said=error.said)
                    return None

        async def ask_all(gateway: Gateway) -> list[T | None]:
            return await asyncio.gather(*(ask_one(gateway, room) for room in rooms))

        return self._asked(ask_all) if rooms else []

    def _asked(self, ask: Callable[[Gateway], Awaitable[T]]) -> T:
        async def run() -> T:
            if self._gateway is None:
                assert self._connect is not None
                # Its HTTP session belongs to the loop that it is made in.
                self._gateway = self._connect()
            return await ask(self._gateway)

        return self._runner.run(run())


async def _delete(gateway: Gateway, room: str) -> bool:
    """Close a room. Who would come back to it after a restart of LiveKit has done so: only who saw it for ten seconds judges."""
    return await gateway.delete_room(room, uncarried_too=True)


async def _clear(gateway: Gateway, room: str) -> bool:
    """Make sure that there is no such room."""
    await _delete(gateway, room)
    return True
