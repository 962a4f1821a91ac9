"""LiveKit's HTTP API (Twirp) as a server of the tests', told what to answer. `test_gateway_on_livekit` holds it to the real one."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from livekit import api
from livekit.protocol.sip import TransferSIPParticipantRequest

REQUESTS: dict[str, type[Message]] = {
    "CreateRoom": api.CreateRoomRequest,
    "DeleteRoom": api.DeleteRoomRequest,
    "ListRooms": api.ListRoomsRequest,
    "ListParticipants": api.ListParticipantsRequest,
    "MutePublishedTrack": api.MuteRoomTrackRequest,
    "RemoveParticipant": api.RoomParticipantIdentity,
    "CreateSIPParticipant": api.CreateSIPParticipantRequest,
    "TransferSIPParticipant": TransferSIPParticipantRequest,
    "ListSIPOutboundTrunk": api.ListSIPOutboundTrunkRequest,
}
SIP_CODES = {"not_found": 404, "unavailable": 503, "internal": 500, "unauthenticated": 401, "permission_denied": 403, "canceled": 408}


@dataclass
class TwirpError:
    """An error as LiveKit answers it; `meta` holds the SIP status of a dial."""

    code: str
    message: str = ""
    meta: dict[str, str] = field(default_factory=dict)


LOST = TwirpError("lost")


class FakeLiveKit:
    """What was asked (`asked`), which rooms live (`rooms`), and what to answer instead (`errors`, by method).

    A room that a test put into `rooms` counts as ours. Rooms in `forgotten` are carried by the server and lost by its Redis, those in
    `uncarried` are in Redis, and the server that carried them has died.
    """

    api_key = "fake"
    api_secret = "fake-secret-fake-secret-fake-secret-fake"

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, Any]] = []
        self.rooms: set[str] = set()
        self.forgotten: set[str] = set()
        self.uncarried: set[str] = set()
        self.remembered: set[str] = set()
        self.metadata: dict[str, str] = {}
        self.participants: dict[str, list[Any]] = {}
        self.errors: dict[str, list[TwirpError | None]] = {}
        self.answers: dict[str, Message] = {}
        self.before: dict[str, Callable[[], object]] = {}
        self.trunks = ["ST_known"]
        self._lock = threading.Lock()

    def fails(self, method: str, *errors: TwirpError | None) -> None:
        """Answer the next requests of `method` so, one after the other; None: as usual. The last one stays."""
        self.errors[method] = list(errors)

    def asked_for(self, method: str) -> list[Any]:
        return [request for name, request in self.asked if name == method]

    def joins(self, room: str, identity: str = "callee", *, kind: str = "SIP", call_status: str = "") -> None:
        """Somebody comes into a room."""
        attributes = {"sip.callStatus": call_status, "sip.phoneNumber": "+351912000000"} if kind == "SIP" else {}
        someone = api.ParticipantInfo(
            identity=identity,
            kind=api.ParticipantInfo.Kind.Value(kind),
            state=api.ParticipantInfo.State.ACTIVE,
            joined_at=1_760_000_000,
            attributes=attributes,
            tracks=[api.TrackInfo(sid="TR_1")],
        )
        self.participants.setdefault(room, []).append(someone)

    def answer(self, method: str, body: bytes) -> Message | TwirpError:
        request: Any = REQUESTS[method].FromString(body)
        with self._lock:
            self.asked.append((method, request))
            planned = self.errors.get(method, [])
            error = planned.pop(0) if len(planned) > 1 else planned[0] if planned else None
        self.before.get(method, lambda: None)()
        if error is not None and error is not LOST:
            return error
        done = self._do(method, request)
        return LOST if error is LOST else done

    def _do(self, method: str, request: Any) -> Message | TwirpError:
        if method in self.answers:
            return self.answers[method]
        match method:
            case "CreateRoom":
                self.rooms.add(request.name)
                self.uncarried.discard(request.name)
                self.metadata.setdefault(request.name, request.metadata)
                return api.Room(name=request.name)
            case "DeleteRoom":
                return self._delete(request)
            case "ListRooms" | "ListParticipants":
                return self._list(request)
            case "MutePublishedTrack" | "RemoveParticipant":
                return self._let_go(request)
            case "CreateSIPParticipant":
                if request.sip_trunk_id not in self.trunks:
                    return TwirpError("not_found", "requested sip trunk does not exist")
                return api.SIPParticipantInfo(participant_id="PA_1", room_name=request.room_name, sip_call_id="SCL_1")
            case "ListSIPOutboundTrunk":
                known = [trunk for trunk in self.trunks if trunk in request.trunk_ids]
                return api.ListSIPOutboundTrunkResponse(items=[api.SIPOutboundTrunkInfo(sip_trunk_id=trunk) for trunk in known])
        return Empty()

    def _delete(self, request: Any) -> Message | TwirpError:
        if request.room not in self.rooms:
            return TwirpError("not_found", "requested room does not exist")
        if request.room in self.uncarried:
            return TwirpError("unavailable", "no response from servers")
        self.rooms.discard(request.room)
        self.metadata.pop(request.room, None)
        self.participants.pop(request.room, None)
        return api.DeleteRoomResponse()

    def _list(self, request: Any) -> Message | TwirpError:
        if isinstance(request, api.ListRoomsRequest):
            named = [room for room in sorted(self.rooms) if room in request.names or not request.names]
            return api.ListRoomsResponse(rooms=[api.Room(name=room, metadata=self.metadata.get(room) or "chamada") for room in named])
        if request.room not in (self.rooms | self.forgotten) - self.uncarried:
            return TwirpError("unavailable", "no response from servers")
        return api.ListParticipantsResponse(participants=self.participants.get(request.room, []))

    def _let_go(self, request: Any) -> Message | TwirpError:
        inside = self.participants.get(request.room, [])
        if isinstance(request, api.MuteRoomTrackRequest):
            self.remembered.add(request.room)
            return api.MuteRoomTrackResponse()
        if request.room not in self.rooms | self.remembered:
            return TwirpError("not_found", "participant does not exist")
        self.participants[request.room] = [someone for someone in inside if someone.identity != request.identity]
        return api.RemoveParticipantResponse()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that did not wait for its answer."""


@contextmanager
def fake_livekit(kind: type[FakeLiveKit] = FakeLiveKit) -> Iterator[FakeLiveKit]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = fake.answer(self.path.rpartition("/")[2], body)
            if answer is LOST:
                self.close_connection = True
                return
            if isinstance(answer, TwirpError):
                said = json.dumps({"code": answer.code, "msg": answer.message, "meta": answer.meta}).encode()
                self._send(SIP_CODES.get(answer.code, 400), "application/json", said)
            else:
                self._send(200, "application/protobuf", answer.SerializeToString())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    fake = kind(f"ws://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
