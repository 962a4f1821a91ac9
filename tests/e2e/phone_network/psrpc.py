"""A server for LiveKit's internal RPC (psrpc 0.7) over Redis: enough of it to answer what livekit-server asks of a SIP service.

Every message is published as internal.Msg; a request is offered to all servers, each claims it, the client picks one, and that one answers.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory
from google.protobuf.message import Message
from livekit.protocol.sip import SIPStatus
from redis.asyncio import Redis

_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "int64": _Field.TYPE_INT64,
    "float": _Field.TYPE_FLOAT,
    "bool": _Field.TYPE_BOOL,
}

# The fields that are used here, of livekit/psrpc's internal.proto and livekit/protocol's rpc/sip.proto; neither is in the Python packages.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Msg": {"type_url": (1, "string"), "value": (2, "bytes")},
    "Request": {
        "request_id": (1, "string"),
        "client_id": (2, "string"),
        "sent_at": (3, "int64"),
        "expiry": (4, "int64"),
        "raw_request": (8, "bytes"),
    },
    "Response": {
        "request_id": (1, "string"),
        "server_id": (2, "string"),
        "sent_at": (3, "int64"),
        "error": (5, "string"),
        "code": (6, "string"),
        "raw_response": (7, "bytes"),
        "error_details": (8, "repeated .google.protobuf.Any"),
    },
    "ClaimRequest": {"request_id": (1, "string"), "server_id": (2, "string"), "affinity": (3, "float")},
    "ClaimResponse": {"request_id": (1, "string"), "server_id": (2, "string")},
    "Attribute": {"key": (1, "string"), "value": (2, "string")},
    "CreateSIPParticipant": {
        "address": (2, "string"),
        "call_to": (4, "string"),
        "room_name": (7, "string"),
        "participant_identity": (8, "string"),
        "sip_call_id": (13, "string"),
        "participant_name": (14, "string"),
        "participant_metadata": (15, "string"),
        # A map is, on the wire, a repeated pair.
        "participant_attributes": (17, "repeated .sip_service.Attribute"),
        "ringing_timeout": (23, ".google.protobuf.Duration"),
        "max_call_duration": (24, ".google.protobuf.Duration"),
        "wait_until_answered": (29, "bool"),
    },
    "CreatedSIPParticipant": {"participant_id": (1, "string"), "participant_identity": (2, "string"), "sip_call_id": (3, "string")},
    "TransferSIPParticipant": {
        "sip_call_id": (1, "string"),
        "transfer_to": (2, "string"),
        "ringing_timeout": (5, ".google.protobuf.Duration"),
    },
    "Empty": {},
}


def _message_classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, duration_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    dependencies = ["google/protobuf/any.proto", "google/protobuf/duration.proto"]
    file = descriptor_pb2.FileDescriptorProto(name="sip_service.proto", package="sip_service", syntax="proto3", dependency=dependencies)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, declared) in fields.items():
            repeated, kind = declared.startswith("repeated "), declared.removeprefix("repeated ")
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            if kind.startswith("."):
                message.field.add(name=field, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=kind)
            else:
                message.field.add(name=field, number=number, label=label, type=_TYPES[kind])
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"sip_service.{name}")) for name in _MESSAGES}


messages = _message_classes()


class RpcError(Exception):
    """What the caller of an RPC gets instead of an answer: a psrpc code, a text, and the SIP status where there was one."""

    def __init__(self, code: str, text: str, *, sip_code: int = 0, sip_reason: str = "") -> None:
        super().__init__(text)
        self.code, self.sip_code, self.sip_reason = code, sip_code, sip_reason


@dataclass(frozen=True)
class Handler:
    """`answer` gets the request and the moment (monotonic seconds) at which its caller gives up."""

    request: Any
    answer: Callable[[Any, float], Awaitable[Message]]


class RpcServer:
    """Answers the methods of one psrpc service for as long as they are registered."""

    def __init__(self, redis: Redis, service: str) -> None:
        self.redis, self.service = redis, service
        self.id = f"SRV_{secrets.token_hex(6)}"
        self._subscription = redis.pubsub(ignore_subscribe_messages=True)
        self._handlers: dict[str, Handler] = {}
        self._claims: dict[str, asyncio.Future[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader: asyncio.Task[None] | None = None

    def _channels(self, method: str, topic: str) -> tuple[str, str]:
        base = "|".join(part for part in (self.service, method, topic) if part)
        return f"{base}|REQ", f"{base}|RCLAIM"

    async def register(self, method: str, handler: Handler, *, topic: str = "") -> None:
        requests, claims = self._channels(method, topic)
        self._handlers[requests] = handler
        await self._subscription.subscribe(requests, claims)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())

    async def unregister(self, method: str, *, topic: str = "") -> None:
        """From here on nobody here answers; requests already claimed are answered still."""
        requests, claims = self._channels(method, topic)
        if self._handlers.pop(requests, None) is not None:
            await self._subscription.unsubscribe(requests, claims)

    async def close(self) -> None:
        """Answer nothing more, and give up what is being answered."""
        self._handlers.clear()
        for task in [*self._tasks, *([self._reader] if self._reader else [])]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._subscription.aclose()  # type: ignore[no-untyped-call]

    async def _read(self) -> None:
        while True:
            message = await self._subscription.get_message(timeout=1.0)
            if message is None:
                continue
            channel, payload = message["channel"].decode(), messages["Msg"].FromString(message["data"]).value
            if channel.endswith("|RCLAIM"):
                claim = messages["ClaimResponse"].FromString(payload)
                waiting = self._claims.get(claim.request_id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(claim.server_id)
            elif channel in self._handlers:
                task = asyncio.create_task(self._serve(self._handlers[channel], messages["Request"].FromString(payload)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _publish(self, request: Any, kind: str, name: str, message: Message) -> None:
        wrapped = messages["Msg"](type_url=f"type.googleapis.com/internal.{name}", value=message.SerializeToString())
        await self.redis.publish(f"{self.service}|{request.client_id}|{kind}", wrapped.SerializeToString())

    async def _claimed(self, request: Any, left_s: float) -> bool:
        self._claims[request.request_id] = asyncio.get_running_loop().create_future()
        claim = messages["ClaimRequest"](request_id=request.request_id, server_id=self.id, affinity=1)
        await self._publish(request, "CLAIM", "ClaimRequest", claim)
        try:
            return await asyncio.wait_for(self._claims[request.request_id], left_s) == self.id
        except TimeoutError:
            return False
        finally:
            del self._claims[request.request_id]

    async def _serve(self, handler: Handler, request: Any) -> None:
        left_s = request.expiry / 1e9 - time.time()
        given_up_at = time.monotonic() + left_s
        if left_s <= 0 or not await self._claimed(request, left_s):
            return
        response = messages["Response"](request_id=request.request_id, server_id=self.id)
        try:
            answer = await handler.answer(handler.request.FromString(request.raw_request), given_up_at)
            response.raw_response = answer.SerializeToString()
        except RpcError as error:
            response.error, response.code = str(error), error.code
            if error.sip_code:
                detail = response.error_details.add()
                detail.Pack(SIPStatus(code=error.sip_code, status=error.sip_reason))  # type: ignore[arg-type]
        response.sent_at = time.time_ns()
        await self._publish(request, "RES", "Response", response)
