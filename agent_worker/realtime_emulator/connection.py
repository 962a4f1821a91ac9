"""The socket of one session: events leave in order, and a slow reader at the other end never holds up ours."""

import asyncio
import json
from collections.abc import AsyncIterator

from aiohttp import WSMsgType, web

from agent_worker.realtime_emulator import contract
from agent_worker.realtime_emulator.journal import Journal
from agent_worker.realtime_emulator.wire import Json, new_id

LINGERS_S = 0.5


class Connection:
    """Queues what is sent, writes it down in the journal, and ends the socket in the three ways that a network knows."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, journal: Journal, *, strict: bool) -> None:
        self._socket, self._transport, self._journal, self._strict = socket, transport, journal, strict
        self._outbox: asyncio.Queue[str | tuple[int, str] | None] = asyncio.Queue()  # None: the cut
        self.closed = False

    def emit(self, event_type: str, **body: object) -> None:
        event: Json = {"type": event_type, "event_id": new_id("event"), **body}
        if self._strict:
            contract.check(event)
        if not self.closed:
            self._journal.note("server", event)
            self._outbox.put_nowait(json.dumps(event))

    def close(self, code: int, reason: str) -> None:
        """Closes with a code, after everything that was emitted before."""
        self._journal.note("server", {"type": "(closing)", "code": code, "reason": reason})
        self._outbox.put_nowait((code, reason))

    def cut(self) -> None:
        """Cuts the network, without a close frame, after everything that was emitted before."""
        self._journal.note("server", {"type": "(cut)"})
        self._outbox.put_nowait(None)

    async def send(self) -> None:
        """Sends what is queued, until the peer has gone or the socket is closed."""
        while True:
            message = await self._outbox.get()
            try:
                if isinstance(message, str):
                    await self._socket.send_str(message)
                    continue
                await self._end(message)
            except (ConnectionError, RuntimeError):  # aiohttp's two ways to say that the peer has gone
                self.closed = True
            return

    async def _end(self, close: tuple[int, str] | None) -> None:
        if close is not None:
            # aiohttp closes the transport right behind its close frame. A client that still writes then has its own torn down, with what it
            # has not read yet: the error that says why.
            await asyncio.sleep(LINGERS_S)
            await self._socket.close(code=close[0], message=close[1].encode()[:120])
        elif self._transport is not None:
            self._transport.abort()

    async def texts(self) -> AsyncIterator[str]:
        """The client's messages, until the socket is closed."""
        async for message in self._socket:
            if message.type == WSMsgType.TEXT:
                yield message.data
