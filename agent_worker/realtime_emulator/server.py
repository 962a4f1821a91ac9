"""The server: the service's two endpoints on loopback, and everything that tests set and read."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog
from aiohttp import web

from agent_worker.realtime_emulator import control
from agent_worker.realtime_emulator.faults import HTTP_ERRORS, MESSAGES, Fault, Ledger, parse_faults
from agent_worker.realtime_emulator.mind import Mind, Scene
from agent_worker.realtime_emulator.script import Reply, Script, load_scripts
from agent_worker.realtime_emulator.session import Session

log = structlog.get_logger(__name__)

KEY_PREFIX = "sk-emu-"
MODELS = ("gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime", "gpt-realtime-mini", "gpt-4o-mini-transcribe", "gpt-5-mini")
KEPT_SESSIONS = 200
"""Closed sessions whose journals are kept."""
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Selector:
    """Which sessions are meant: all that fit every part that is given."""

    key: str | None = None
    session_id: str | None = None
    instructions_contain: str | None = None

    def fits(self, session: Session) -> bool:
        return (
            self.key in (None, session.key)
            and self.session_id in (None, session.id)
            and (self.instructions_contain is None or self.instructions_contain in session.instructions)
        )

    def fits_key(self, key: str) -> bool:
        """The same before there is a session."""
        return self.key in (None, key) and self.session_id is None and self.instructions_contain is None


@dataclass(frozen=True)
class Declaration:
    """What somebody's caller says next."""

    text: str
    selector: Selector


@dataclass(frozen=True)
class Override:
    """A script or faults set at run time; None = as before."""

    selector: Selector
    script: Script | None = None
    faults: tuple[Fault, ...] | None = None


class Emulator:
    """Serves `{url}/realtime` and `{url}/models` while it is entered. One process, any number of sessions, nothing shared between keys.

    `strict` holds every event against the service's models; a broken one, or any other failure inside a session, is raised on leaving.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        default: Script | None = None,
        scripts: Mapping[str, Script] | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self._host, self._port = host, port
        self._default = default or Script.mind()
        self._scripts = {**load_scripts(), **(scripts or {})}
        self._overrides: list[Override] = []
        self._declarations: list[Declaration] = []
        self._mind = Mind()
        self._runner: web.AppRunner | None = None
        self.strict = strict
        self.ledger = Ledger()
        self.sessions: list[Session] = []
        self.failures: list[BaseException] = []

    # -- starting and stopping --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listens. Raises OSError when the address is taken or not ours."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1/realtime", self._realtime),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{model}", self._model),
                *control.routes(self),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except (OSError, OverflowError):
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Closes every session, then the port."""
        for session in self.open_sessions:
            session.connection.close(1001, "the emulator stops")
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()
        if self.strict and error is None and self.failures:
            raise self.failures[0]

    @property
    def origin(self) -> str:
        return f"http://{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """The base URL for `RealtimeModel(base_url=…)` and `OPENAI_BASE_URL`."""
        return f"{self.origin}/v1"

    @property
    def open_sessions(self) -> list[Session]:
        return [session for session in self.sessions if not session.closed]

    # -- what tests set ---------------------------------------------------------------------------------------------

    def find(self, *, key: str | None = None, session_id: str | None = None, instructions_contain: str | None = None) -> list[Session]:
        """The sessions that fit, oldest first, closed ones too."""
        selector = Selector(key, session_id, instructions_contain)
        return [session for session in self.sessions if selector.fits(session)]

    def declare(self, text: str, key: str | None = None, *, session_id: str | None = None, instructions_contain: str | None = None) -> None:
        """What the next turn says that is heard in a session that fits. Each declaration is used once, in order."""
        self._declarations.append(Declaration(text, Selector(key, session_id, instructions_contain)))

    def configure(
        self,
        *,
        key: str | None = None,
        session_id: str | None = None,
        instructions_contain: str | None = None,
        script: str | Mapping[str, Any] | Script | None = None,
        faults: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Sets the script, or the faults in place of the script's, for sessions that fit: open ones and those to come.

        The last setting that fits a session holds. Raises ScriptError, or KeyError for the name of no script.
        """
        if isinstance(script, str):
            script = self._scripts[script]
        elif isinstance(script, Mapping):
            script = control.script_from(script)
        parsed = None if faults is None else parse_faults(faults)
        self._overrides.append(Override(Selector(key, session_id, instructions_contain), script, parsed))
        for session in self.open_sessions:
            session.arm()

    def reset(self) -> None:
        """Forgets what was set and declared at run time, and how often faults have happened."""
        self._overrides.clear()
        self._declarations.clear()
        self.ledger = Ledger()

    # -- what sessions ask ------------------------------------------------------------------------------------------

    def script_for(self, session: Session) -> Script:
        fitting = (each.script for each in reversed(self._overrides) if each.script and each.selector.fits(session))
        return next(fitting, None) or self._script_of_key(session.key)

    def faults_for(self, session: Session) -> tuple[Fault, ...]:
        fitting = (each.faults for each in reversed(self._overrides) if each.faults is not None and each.selector.fits(session))
        return next(fitting, session.script.faults)

    def declared_for(self, session: Session) -> str | None:
        for declaration in self._declarations:
            if declaration.selector.fits(session):
                self._declarations.remove(declaration)
                return declaration.text
        return None

    def think(self, scene: Scene) -> Reply:
        return self._mind.reply(scene)

    def _script_of_key(self, key: str) -> Script:
        """`sk-emu-<script>` or `sk-emu-<script>.<anything>`; any other key speaks to the default."""
        name = key.removeprefix(KEY_PREFIX).split(".")[0]
        return self._scripts.get(name, self._default) if key.startswith(KEY_PREFIX) else self._default

    def _faults_of_key(self, key: str) -> tuple[Fault, ...]:
        fitting = [each for each in reversed(self._overrides) if each.selector.fits_key(key)]
        faults = next((each.faults for each in fitting if each.faults is not None), None)
        script = next((each.script for each in fitting if each.script), None) or self._script_of_key(key)
        return script.faults if faults is None else faults

    # -- the endpoints ----------------------------------------------------------------------------------------------

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        key = _key(request)
        if (refused := _refused_key(key)) or (refused := self._refused_upgrade(key)):
            return refused
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES)
        await socket.prepare(request)
        session = Session(self, socket, request.transport, key=key, model=request.query.get("model", MODELS[0]))
        self._keep(session)
        await session.run()
        return socket

    def _refused_upgrade(self, key: str) -> web.Response | None:
        for fault in self.ledger.due(key, [fault for fault in self._faults_of_key(key) if fault.kind == "http"]):
            return _http_error(fault.status, fault.message)
        return None

    def _keep(self, session: Session) -> None:
        self.sessions.append(session)
        closed = [each for each in self.sessions if each.closed]
        for each in itertools.islice(closed, max(0, len(closed) - KEPT_SESSIONS)):
            self.sessions.remove(each)

    async def _models(self, request: web.Request) -> web.Response:
        data = [_model_card(model) for model in MODELS]
        return self._key_refused(request) or web.json_response({"object": "list", "data": data})

    async def _model(self, request: web.Request) -> web.Response:
        if refused := self._key_refused(request):
            return refused
        model = request.match_info["model"]
        if model in MODELS:
            return web.json_response(_model_card(model))
        error = {
            "message": f"The model '{model}' does not exist",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
        return web.json_response({"error": error}, status=404)

    def _key_refused(self, request: web.Request) -> web.Response | None:
        key = _key(request)
        if any(fault.refuses_the_key for fault in self._faults_of_key(key)):
            return _http_error(401)
        return _refused_key(key)


def _key(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ").strip()


def _refused_key(key: str) -> web.Response | None:
    """A key that does not even look like one."""
    return None if key.startswith("sk-") else _http_error(401)


def _http_error(status: int, message: str = "") -> web.Response:
    kind, code = HTTP_ERRORS[status]
    error = {"message": message or MESSAGES.get(code, "You have no access to this."), "type": kind, "param": None, "code": code}
    headers = {"Retry-After": "1"} if status in (429, 503) else None
    return web.json_response({"error": error}, status=status, headers=headers)


def _model_card(model: str) -> dict[str, object]:
    return {"id": model, "object": "model", "created": 0, "owned_by": "emulator"}
