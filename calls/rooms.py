"""Opens and deletes rooms side by side: one event loop and one HTTP session, in a thread of its own.

A LiveKit that answers slowly delays one call, not those behind it. The database is not touched here: what became of an order is
fetched (`news`) by the thread that owns the connection.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from asgiref.sync import async_to_sync
from django.utils import timezone

from .exceptions import GatewayError
from .gateway import Gateway

log = structlog.get_logger(__name__)

# Between two tries to delete a room that may be there.
DELETES_AGAIN_AFTER_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOrder:
    """A room to be opened for a call, with the dispatch of an agent to it. After `until` nobody needs it any more."""

    call_id: UUID
    claim: str
    room: str
    metadata: dict[str, str]
    agent_name: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """A room was refused, or no answer came (then it may be there)."""

    order: RoomOrder
    error: GatewayError


@dataclass(frozen=True, slots=True)
class Cleared:
    """A room is surely not there any more."""

    order: RoomOrder


class Rooms:
    """The opener. To be closed; what is under way is then waited for, briefly."""

    def __init__(self, connect: Callable[[], Gateway] = Gateway.from_settings) -> None:
        """Raises GatewayError (not_configured) when `connect` does."""
        self._under_way: set[Future[None]] = set()
        self._news: queue.SimpleQueue[Failed | Cleared] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rooms", daemon=True)
        self._thread.start()
        try:
            self._gateway = asyncio.run_coroutine_threadsafe(_made(connect), self._loop).result()
        except GatewayError:
            self._stop()
            raise

    def open(self, order: RoomOrder) -> None:
        """Begin to open a room; returns at once. That it failed is news."""
        self._begin(self._open(order))

    def clear(self, order: RoomOrder) -> None:
        """Begin to make sure that the room is not there, trying until the order's time is over. That it is done is news."""
        self._begin(self._clear(order))

    def news(self) -> list[Failed | Cleared]:
        """What came of the orders since this was last asked."""
        found = []
        while not self._news.empty():
            found.append(self._news.get())
        return found

    def settle(self, timeout_s: float) -> bool:
        """Wait until nothing is under way. False: it took longer."""
        return not wait(self._under_way, timeout_s).not_done

    def close(self, timeout_s: float = 10.0) -> None:
        """Wait for what is under way, at most `timeout_s`, and let LiveKit go."""
        if not self.settle(timeout_s):
            log.warning("rooms were still being opened at the end", rooms=len(self._under_way))
        for future in list(self._under_way):
            future.cancel()
        asyncio.run_coroutine_threadsafe(self._gateway.aclose(), self._loop).result()
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)

    async def _open(self, order: RoomOrder) -> None:
        began = time.monotonic()
        try:
            await self._gateway.open_room(order.room, metadata=order.metadata, agent_name=order.agent_name)
        except GatewayError as error:
            log.warning("a room could not be opened", call_id=str(order.call_id), kind=error.kind.value, said=error.said)
            self._news.put(Failed(order, error))
        else:
            log.info("room opened", call_id=str(order.call_id), took_ms=round((time.monotonic() - began) * 1000))

    async def _clear(self, order: RoomOrder) -> None:
        while timezone.now() < order.until:
            try:
                # Nobody has dialled into it: no phone would miss it.
                await self._gateway.delete_room(order.room, uncarried_too=True)
            except GatewayError:
                await asyncio.sleep(DELETES_AGAIN_AFTER_S)
            else:
                self._news.put(Cleared(order))
                return


async def _made(connect: Callable[[], Gateway]) -> Gateway:
    # Its HTTP session belongs to the loop that it is made in.
    return connect()


def delete_all(rooms: Collection[str]) -> None:
    """Delete rooms that nobody may dial from any more, side by side. One that could not be is logged: it empties by itself."""
    if rooms:
        async_to_sync(_delete_all)(rooms)


async def _delete_all(rooms: Collection[str]) -> None:
    try:
        async with Gateway.from_settings() as gateway:
            await asyncio.gather(*(_delete(gateway, room) for room in rooms))
    except GatewayError as error:
        log.warning("no room could be deleted", rooms=len(rooms), kind=error.kind.value)


async def _delete(gateway: Gateway, room: str) -> None:
    try:
        await gateway.delete_room(room)
    except GatewayError as error:
        log.warning("a room could not be deleted", room=room, kind=error.kind.value, said=error.said)
