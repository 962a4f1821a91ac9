"""One WebSocket: the client's events in, the service's events out, and the state between them."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import structlog
from aiohttp import web

from agent_worker.realtime_emulator import wire
from agent_worker.realtime_emulator.connection import Connection
from agent_worker.realtime_emulator.conversation import Conversation, Item, from_client
from agent_worker.realtime_emulator.ear import Ear
from agent_worker.realtime_emulator.faults import CLOSE_CODES, Fault
from agent_worker.realtime_emulator.journal import Journal
from agent_worker.realtime_emulator.mind import Line, Scene, read_aloud
from agent_worker.realtime_emulator.response import Response
from agent_worker.realtime_emulator.script import Reply, Script
from agent_worker.realtime_emulator.wire import ClientError, Json, new_id, tokens

if TYPE_CHECKING:
    from agent_worker.realtime_emulator.server import Emulator

log = structlog.get_logger(__name__)


class Session:
    """A client's session. Its journal, key, model and instructions are for tests to read."""

    def __init__(
        self, emulator: "Emulator", socket: web.WebSocketResponse, transport: asyncio.Transport | None, *, key: str, model: str
    ) -> None:
        self._emulator = emulator
        self.id, self.conversation_id = new_id("sess"), new_id("conv")
        self.key, self.model = key, model
        self.opened_at = time.monotonic()
        self.journal = Journal()
        self.connection = Connection(socket, transport, self.journal, strict=emulator.strict)
        self.config = wire.default_session(self.id, model)
        self.conversation = Conversation()
        self.cached_tokens = 0
        self._script = self.script
        self._replies = list(self._script.replies)
        self.ear = Ear(self)
        self._active: Response | None = None
        self._aside: dict[str, Response] = {}
        self._idle, self._reply_due = asyncio.Event(), False
        self._idle.set()
        self._responses = 0
        self._armed: set[Fault] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- what the session is ----------------------------------------------------------------------------------------

    @property
    def script(self) -> Script:
        return self._emulator.script_for(self)

    @property
    def faults(self) -> tuple[Fault, ...]:
        return self._emulator.faults_for(self)

    @property
    def instructions(self) -> str:
        return str(self.config["instructions"] or "")

    @property
    def tools(self) -> list[Json]:
        return list(self.config["tools"] or [])

    @property
    def locale(self) -> str:
        """The language of the instructions, else the script's."""
        return self._scene({}).locale

    @property
    def closed(self) -> bool:
        return self.connection.closed

    @property
    def state(self) -> str:
        if self.closed:
            return "closed"
        return "hearing" if self.ear.speaking else "responding" if self._active else "idle"

    def declare(self, text: str) -> None:
        """What this session's caller says next."""
        self._emulator.declare(text, session_id=self.id)

    def input_tokens(self, params: Json) -> tuple[int, int]:
        """Text and audio tokens that a response begun now reads."""
        text = tokens(str(params.get("instructions") or self.instructions)) + tokens(json.dumps(self.tools) if self.tools else "")
        return text + sum(item.text_tokens for item in self.conversation), sum(item.audio_tokens for item in self.conversation)

    # -- out --------------------------------------------------------------------------------------------------------

    def emit(self, event_type: str, **body: object) -> None:
        self.connection.emit(event_type, **body)

    def refuse(self, error: ClientError, event_id: str | None = None, kind: str = "invalid_request_error") -> None:
        self.emit("error", error=wire.error_event(error, event_id, kind))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("The emulator failed in a session.", session=self.id, exc_info=error)
            self._emulator.failures.append(error)
            self.connection.close(1011, "the emulator failed")

    # -- lifetime ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves the socket until it is closed."""
        sender = asyncio.create_task(self.connection.send())
        try:
            self._open()
            async for text in self.connection.texts():
                self._receive(text)
        finally:
            self.connection.closed = True
            self.journal.note("server", {"type": "(closed)"})
            for task in (sender, *self._tasks):
                task.cancel()
            await asyncio.gather(sender, *self._tasks, return_exceptions=True)

    def _open(self) -> None:
        at_connect = tuple(self._emulator.ledger.due(self.key, [fault for fault in self.faults if fault.at_connect]))
        for fault in at_connect:
            if fault.kind == "refuse":
                return self.strike(fault)
        self.emit("session.created", session=self.config)
        for fault in at_connect:
            self.strike(fault)
        self.arm()
        return None

    def arm(self) -> None:
        """Starts the clocks of the faults that come after some seconds and have none yet."""
        for fault in self.faults:
            if fault.after_s is not None and fault not in self._armed:
                self._armed.add(fault)
                self.spawn(self._strike_later(fault))

    async def _strike_later(self, fault: Fault) -> None:
        await asyncio.sleep(fault.after_s or 0)
        if fault in self.faults and self._emulator.ledger.take(self.key, fault):
            self.strike(fault)

    def strike(self, fault: Fault) -> None:
        """Lets a fault of the connection happen now."""
        if fault.kind == "drop":
            return self.connection.cut()
        if fault.kind != "close":
            for _ in range(fault.count):
                self.refuse(ClientError(fault.text, fault.code), kind=fault.error_type)
        if fault.kind != "error":
            self.connection.close(CLOSE_CODES.get(fault.code, 1011), f"{fault.error_type}.{fault.code}")
        return None

    # -- in ---------------------------------------------------------------------------------------------------------

    def _receive(self, data: str) -> None:
        event_id = None
        try:
            try:
                event = json.loads(data)
            except ValueError as error:
                raise ClientError("The event is not JSON.", "invalid_json") from error
            if not isinstance(event, dict) or not isinstance(event.get("type"), str):
                raise ClientError("Missing required parameter: 'type'.", "missing_required_parameter", "type")
            event_id = event.get("event_id")
            if event["type"] != "input_audio_buffer.append":
                self.journal.note("client", event)
            self._handle(event)
        except ClientError as error:
            self.refuse(error, event_id)

    def _handle(self, event: Json) -> None:
        handler = self._HANDLERS.get(event["type"])
        if handler is None:
            raise ClientError(f"Invalid value: '{event['type']}'.", param="type")
        handler(self, event)

    def _update(self, event: Json) -> None:
        change = _field(event, "session", dict)
        voice = ((change.get("audio") or {}).get("output") or {}).get("voice")
        spoken = any(item.kind == "assistant" and item.audio_ms for item in self.conversation)
        if spoken and voice not in (None, self.config["audio"]["output"]["voice"]):
            raise ClientError("Cannot update a conversation's voice if assistant audio is present.", "cannot_update_voice")
        self.config = wire.updated_session(self.config, change)
        self.emit("session.updated", session=self.config)
        self._adopt_script()
        self.arm()

    def _adopt_script(self) -> None:
        """A script that was set for this session meanwhile begins with its first line."""
        if self.script is not self._script:
            self._script = self.script
            self._replies, self.ear.script_lines = list(self._script.replies), list(self._script.heard)

    # -- the caller -------------------------------------------------------------------------------------------------

    def _append(self, event: Json) -> None:
        self.ear.append(_field(event, "audio", str))

    def _commit(self, _event: Json) -> None:
        self.ear.commit()

    def _clear(self, _event: Json) -> None:
        self.ear.clear()

    def declared(self) -> str | None:
        return self._emulator.declared_for(self)

    def transcription_fails(self, turn: int) -> bool:
        failing = [fault for fault in self.faults if fault.kind == "transcription_failed" and fault.turn in (None, turn)]
        return any([*self._emulator.ledger.due(self.key, failing)])

    def interrupt(self) -> None:
        """The caller speaks: a response that still runs is cut."""
        if self._active:
            self._active.cancel("turn_detected")

    def respond_when_idle(self) -> None:
        """Answers the caller. A response that was cut says so first: two at once is an error of the protocol."""
        if not self._reply_due:
            self._reply_due = True
            self.spawn(self._respond_when_idle())

    async def _respond_when_idle(self) -> None:
        while self._active:
            await self._idle.wait()
        self._reply_due = False
        self.respond({})

    # -- items ------------------------------------------------------------------------------------------------------

    def add(self, item: Item, after: str | None = None) -> None:
        previous = self.conversation.insert(item, after)
        self.emit("conversation.item.added", previous_item_id=previous, item=item.wire)
        self.emit("conversation.item.done", previous_item_id=previous, item=item.wire)

    def _create(self, event: Json) -> None:
        """Typed text, a tool's answer, or history that is replayed after a reconnect: what was said already moves the script on."""
        item = from_client(event.get("item"))
        self.add(item, event.get("previous_item_id"))
        if item.kind == "user" and self.ear.script_lines:
            self.ear.script_lines.pop(0)
        for position, reply in enumerate(self._replies):
            said = item.kind == "assistant" and item.text and reply.text.startswith(item.text[:24])
            called = item.kind == "call" and any(call.name == item.wire["name"] for call in reply.calls)
            if said or called:
                del self._replies[: position + 1]
                return

    def _retrieve(self, event: Json) -> None:
        self.emit("conversation.item.retrieved", item=self.conversation.get(_field(event, "item_id", str)).wire)

    def _delete(self, event: Json) -> None:
        item_id = _field(event, "item_id", str)
        self.conversation.delete(item_id)
        self.emit("conversation.item.deleted", item_id=item_id)

    def _truncate(self, event: Json) -> None:
        item_id, index, end_ms = _field(event, "item_id", str), _field(event, "content_index", int), _field(event, "audio_end_ms", int)
        self.conversation.truncate(item_id, index, end_ms)
        self.emit("conversation.item.truncated", item_id=item_id, content_index=index, audio_end_ms=end_ms)

    # -- responses --------------------------------------------------------------------------------------------------

    def respond(self, params: Json) -> None:
        """Begins a response. Raises ClientError while another one of the conversation runs."""
        out_of_band = params.get("conversation") == "none"
        if self._active and not out_of_band:
            raise ClientError(
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one.",
                "conversation_already_has_active_response",
            )
        wire.response_modalities(self.config, params)
        self._adopt_script()
        self._responses += not out_of_band
        hit = [fault for fault in self.faults if fault.hits_response(self._responses)]
        faults = tuple(self._emulator.ledger.due(self.key, hit))
        if any(fault.kind == "stall" for fault in faults):
            return
        response = Response(self, params, self._reply(params, out_of_band), faults, out_of_band=out_of_band)
        if out_of_band:
            self._aside[response.id] = response
        else:
            self._active = response
            self._idle.clear()
        self.emit("response.created", response=response.wire)
        for fault in faults:
            if fault.kind == "error" or (fault.kind in ("drop", "close") and not fault.after_audio_ms):
                self.strike(fault)
        self.spawn(response.run())

    def finished(self, response: Response, input_tokens: int) -> None:
        """The response is over: makes room for the next one, then says so."""
        self._aside.pop(response.id, None)
        if response is self._active:
            self._active = None
            self._idle.set()
        self.cached_tokens = input_tokens // 64 * 64
        self.emit("response.done", response=response.wire)
        limit = {"name": "tokens", "limit": 40_000, "remaining": max(0, 40_000 - input_tokens), "reset_seconds": 0.5}
        self.emit("rate_limits.updated", rate_limits=[limit])

    def _cancel(self, event: Json) -> None:
        response_id = event.get("response_id")
        running = self._aside.get(response_id or "") or self._active
        if running is None or response_id not in (None, running.id):
            raise ClientError("Cancellation failed: no active response found", "response_cancel_not_active")
        running.cancel("client_cancelled")

    def _reply(self, params: Json, out_of_band: bool) -> Reply:
        scene = self._scene(params)
        if text := read_aloud(scene):
            return Reply(text)
        if self._replies and not out_of_band:
            return self._replies.pop(0)
        return self._emulator.think(scene)

    def _scene(self, params: Json) -> Scene:
        items: Iterable[Item] = self.conversation
        if isinstance(params.get("input"), list):
            items = [
                self.conversation.get(raw["id"]) if raw.get("type") == "item_reference" else from_client(raw) for raw in params["input"]
            ]
        return Scene(
            instructions=self.instructions,
            request=str(params.get("instructions") or ""),
            tools=tuple(params.get("tools") or self.tools),
            lines=tuple(Line(item.kind, item.text, item.wire.get("name", ""), item.wire.get("call_id", "")) for item in items),
            default_locale=self.script.locale,
            obey=self.script.obey,
        )

    def _respond(self, event: Json) -> None:
        self.respond(event.get("response") or {})

    _HANDLERS: ClassVar[dict[str, Callable[["Session", Json], None]]] = {
        "session.update": _update,
        "input_audio_buffer.append": _append,
        "input_audio_buffer.commit": _commit,
        "input_audio_buffer.clear": _clear,
        "conversation.item.create": _create,
        "conversation.item.retrieve": _retrieve,
        "conversation.item.delete": _delete,
        "conversation.item.truncate": _truncate,
        "response.create": _respond,
        "response.cancel": _cancel,
    }


Value = TypeVar("Value")


def _field(event: Json, name: str, kind: type[Value]) -> Value:
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ClientError(f"Missing or invalid parameter: '{name}'.", "missing_required_parameter", name)
    return value
