"""Whether this worker can take a call, over HTTP on loopback."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import web

from agent_worker.preflight import PortTaken

LOOPBACK = "127.0.0.1"


class Health:
    """`GET /healthz`: 200 when every line of this worker can take calls, else 503; the body says which cannot.

    livekit-agents has a page of its own, which says 200 while its connection is lost.
    """

    def __init__(self) -> None:
        self._lines: dict[str, Callable[[], Awaitable[bool]]] = {}
        self.draining = False

    def watch(self, line: str, able: Callable[[], Awaitable[bool]]) -> None:
        """`able()` says whether the line can take a call now."""
        self._lines[line] = able

    @property
    def routes(self) -> list[web.RouteDef]:
        return [web.get("/healthz", self._answer)]

    async def _answer(self, _request: web.Request) -> web.Response:
        lines = {name: "ok" if await able() else "unable" for name, able in self._lines.items()}
        if self.draining:
            status = "draining"
        elif not lines:
            status = "starting"
        else:
            status = "ok" if set(lines.values()) == {"ok"} else "unable"
        return web.json_response({"status": status, "lines": lines}, status=200 if status == "ok" else 503)


@asynccontextmanager
async def served(routes: Iterable[web.RouteDef], *, port: int, option: str) -> AsyncIterator[int]:
    """Serve `routes` on loopback; yields the port, a free one for 0. Raises PortTaken, which names `option`."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, LOOPBACK, port).start()
        except OSError as error:
            raise PortTaken(port=port, reason=os.strerror(error.errno or 0), option=option) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
