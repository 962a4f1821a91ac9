"""The control API, `/__emulator/…`: what other processes set and read. JSON in, JSON out; for loopback and no browser."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from agent_worker.realtime_emulator.faults import ScriptError
from agent_worker.realtime_emulator.script import Script, parse_script

if TYPE_CHECKING:
    from agent_worker.realtime_emulator.server import Emulator
    from agent_worker.realtime_emulator.session import Session

SELECTORS = ("key", "session_id", "instructions_contain")
MAX_WAIT_S = 60.0


def script_from(raw: Mapping[str, Any]) -> Script:
    """A script given as a mapping. Raises ScriptError."""
    return parse_script(dict(raw), "given at run time")


def routes(emulator: "Emulator") -> list[web.RouteDef]:
    api = _Control(emulator)
    base = "/__emulator"
    return [
        web.get(f"{base}/sessions", api.sessions),
        web.get(f"{base}/sessions/{{id}}/journal", api.journal),
        web.get(f"{base}/sessions/{{id}}/wait", api.wait),
        web.post(f"{base}/declare", api.declare),
        web.post(f"{base}/configure", api.configure),
        web.post(f"{base}/reset", api.reset),
    ]


class _Control:
    def __init__(self, emulator: "Emulator") -> None:
        self._emulator = emulator

    async def sessions(self, request: web.Request) -> web.Response:
        """GET: the sessions, oldest first; `?key=`, `?instructions_contain=`."""
        _no_browser(request)
        found = self._emulator.find(key=request.query.get("key"), instructions_contain=request.query.get("instructions_contain"))
        return web.json_response({"sessions": [_described(session) for session in found]})

    async def journal(self, request: web.Request) -> web.Response:
        """GET: a session's events; `?since=` an index, for what is new."""
        session, since = self._session(request), _number(request, "since", 0)
        entries = [entry.as_json() for entry in session.journal.since(int(since))]
        return web.json_response({"session": _described(session), "entries": entries})

    async def wait(self, request: web.Request) -> web.Response:
        """GET: the event number `?count=` of `?type=`, as soon as it has happened; 408 after `?timeout_s=`."""
        session = self._session(request)
        timeout = min(_number(request, "timeout_s", 10), MAX_WAIT_S)
        count = max(1, int(_number(request, "count", 1)))
        try:
            entry = await session.journal.wait_for(request.query.get("type", ""), count=count, timeout_s=timeout)
        except TimeoutError:
            return web.json_response({"error": "It did not happen in time."}, status=408)
        return web.json_response(entry.as_json())

    async def declare(self, request: web.Request) -> web.Response:
        """POST {text, key? | session_id? | instructions_contain?}: what the next turn says."""
        body = await _body(request, {"text", *SELECTORS})
        if not isinstance(body.get("text"), str):
            raise _bad("A declaration needs a text.")
        self._emulator.declare(**body)
        return web.json_response({})

    async def configure(self, request: web.Request) -> web.Response:
        """POST {key? | session_id? | instructions_contain?, script?: name or mapping, faults?: [...]}."""
        body = await _body(request, {"script", "faults", *SELECTORS})
        try:
            self._emulator.configure(**body)
        except ScriptError as error:
            raise _bad(str(error)) from error
        except KeyError as error:
            raise _bad(f"There is no script {error}.") from error
        return web.json_response({})

    async def reset(self, request: web.Request) -> web.Response:
        """POST: forgets what was set and declared."""
        _no_browser(request)
        self._emulator.reset()
        return web.json_response({})

    def _session(self, request: web.Request) -> "Session":
        _no_browser(request)
        for session in self._emulator.find(session_id=request.match_info["id"]):
            return session
        raise web.HTTPNotFound(text='{"error": "There is no such session."}', content_type="application/json")


def _described(session: "Session") -> dict[str, object]:
    return {
        "id": session.id,
        "key": session.key,
        "model": session.model,
        "script": session.script.name,
        "opened_at": session.opened_at,
        "state": session.state,
        "received_ms": session.ear.received_ms,
        "instructions_sha256": hashlib.sha256(session.instructions.encode()).hexdigest(),
        "entries": len(session.journal),
    }


def _bad(message: str) -> web.HTTPException:
    return web.HTTPBadRequest(text=web.json_response({"error": message}).text, content_type="application/json")


def _no_browser(request: web.Request) -> None:
    """A page that somebody has open must not steer the emulator: only browsers send an Origin."""
    if "Origin" in request.headers:
        raise web.HTTPForbidden(text='{"error": "The control API is not for browsers."}', content_type="application/json")


def _number(request: web.Request, name: str, default: float) -> float:
    try:
        return float(request.query.get(name, default))
    except ValueError as error:
        raise _bad(f"{name} is a number.") from error


async def _body(request: web.Request, allowed: set[str]) -> dict[str, Any]:
    _no_browser(request)
    try:
        body = await request.json()
    except ValueError as error:
        raise _bad("The body is not JSON.") from error
    if not isinstance(body, dict) or set(body) - allowed:
        raise _bad(f"The body is an object with some of {', '.join(sorted(allowed))}.")
    return body
