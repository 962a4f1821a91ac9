"""A server for LiveKit's internal RPC (psrpc 0.7) over Redis: enough of it to answer what livekit-server asks of a SIP service.

Every message is published as internal.Msg; a request is offered to all servers, each claims it, the client picks one, and that one answers.
"""

import asyncio
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory
from google.protobuf.message import Message
from livekit.protocol.sip import SIPStatus
from redis import Redis
from redis.exceptions import ConnectionError as RedisAway

LOOKS_AGAIN_AFTER_S = 0.2

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
    """Answers the methods of one psrpc service for as long as they are registered.

    Reading and claiming have a thread of their own: a client waits a second at most for the claims, and the loop, which the answers are
    made on, may be busy for longer than that.
    """

    def __init__(self, port: int, service: str) -> None:
        self.service = service
        self.id = f"SRV_{secrets.token_hex(6)}"
        self._redis = Redis(port=port)
        self._subscription = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._handlers: dict[str, Handler] = {}
        self._claimed: dict[str, tuple[Handler, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, name="psrpc", daemon=True)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._subscription.psubscribe(f"{self.service}|*|REQ", f"{self.service}|*|RCLAIM")
        self._reader.start()

    def register(self, method: str, handler: Handler, *, topic: str = "") -> None:
        self._handlers[self._channel(method, topic)] = handler

    def unregister(self, method: str, *, topic: str = "") -> None:
        """From here on nobody here answers; requests already claimed are answered still."""
        self._handlers.pop(self._channel(method, topic), None)

    async def close(self) -> None:
        """Answer nothing more, and give up what is being answered."""
        self._handlers.clear()
        self._closing.set()
        await asyncio.to_thread(self._reader.join)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._subscription.close()
        self._redis.close()

    def _channel(self, method: str, topic: str) -> str:
        return "|".join(part for part in (self.service, method, topic, "REQ") if part)

    # In the thread

    def _read(self) -> None:
        while not self._closing.is_set():
            try:
                message = self._subscription.get_message(timeout=0.2)
            except RedisAway:
                # The next look connects and subscribes again, as the real service does.
                self._closing.wait(LOOKS_AGAIN_AFTER_S)
                continue
            if message is None:
                continue
            channel, payload = message["channel"].decode(), messages["Msg"].FromString(message["data"]).value
            if channel.endswith("|RCLAIM"):
                self._chosen(messages["ClaimResponse"].FromString(payload))
            elif (handler := self._handlers.get(channel)) is not None:
                self._claim(handler, messages["Request"].FromString(payload))

    def _claim(self, handler: Handler, request: Any) -> None:
        if request.expiry / 1e9 > time.time():
            self._claimed[request.request_id] = (handler, request)
            claim = messages["ClaimRequest"](request_id=request.request_id, server_id=self.id, affinity=1)
            with suppress(RedisAway):
                self._publish(request, "CLAIM", "ClaimRequest", claim)

    def _chosen(self, claim: Any) -> None:
        handler, request = self._claimed.pop(claim.request_id, (None, None))
        if handler is not None and claim.server_id == self.id:
            self._loop.call_soon_threadsafe(self._begin, handler, request)

    def _publish(self, request: Any, kind: str, name: str, message: Message) -> None:
        wrapped = messages["Msg"](type_url=f"type.googleapis.com/internal.{name}", value=message.SerializeToString())
        self._redis.publish(f"{self.service}|{request.client_id}|{kind}", wrapped.SerializeToString())

    # On the loop

    def _begin(self, handler: Handler, request: Any) -> None:
        task = self._loop.create_task(self._serve(handler, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, handler: Handler, request: Any) -> None:
        given_up_at = time.monotonic() + request.expiry / 1e9 - time.time()
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
        with suppress(RedisAway):  # the answer is lost, as the real service's would be
            self._publish(request, "RES", "Response", response)
