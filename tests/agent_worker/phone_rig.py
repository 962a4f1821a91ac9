"""A phone line in a room that is not connected, and LiveKit's API at the wire."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from google.protobuf.message import Message
from livekit import api, rtc

from agent_worker.job_context import job_without_a_worker
from agent_worker.lines.phone import PhoneLine
from calls.gateway import Gateway
from calls.models import Call
from tests.numbers import pt_mobile

Reason = rtc.DisconnectReason
CALL = Call(number=pt_mobile(7), ring_timeout_s=20, max_duration_s=120)
CANNOT = (500, {"code": "internal", "msg": "not now"})
UNCARRIED = (503, {"code": "unavailable", "msg": "no response from servers"})
State = api.ParticipantInfo.State


@dataclass
class LiveKit:
    """LiveKit's API at the wire."""

    asked: list[tuple[str, Message]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    present: list[api.ParticipantInfo] = field(default_factory=list)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)

    def of(self, method: str) -> list[Any]:
        return [request for name, request in self.asked if name == method]

    async def answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        self.before.get(method, lambda: None)()
        kinds: dict[str, tuple[Any, Any]] = {
            "CreateSIPParticipant": (api.CreateSIPParticipantRequest, api.SIPParticipantInfo(sip_call_id="SCL_1", participant_id="PA_1")),
            "TransferSIPParticipant": (api.TransferSIPParticipantRequest, api.SIPParticipantInfo()),
            "CreateRoom": (api.CreateRoomRequest, api.Room()),
            "ListRooms": (api.ListRoomsRequest, api.ListRoomsResponse()),
            "DeleteRoom": (api.DeleteRoomRequest, api.DeleteRoomResponse()),
            "ListParticipants": (api.ListParticipantsRequest, api.ListParticipantsResponse(participants=self.present)),
            "MutePublishedTrack": (api.MuteRoomTrackRequest, api.MuteRoomTrackResponse()),
            "RemoveParticipant": (api.RoomParticipantIdentity, api.RemoveParticipantResponse()),
        }
        kind, good = kinds[method]
        if method != "ListRooms":  # whether LiveKit is there is asked before each deletion
            self.asked.append((method, kind.FromString(await request.read())))
        answer = self.answers.get(method)
        bad = answer.pop(0) if isinstance(answer, list) and answer else answer if isinstance(answer, tuple) else None
        if bad:
            status, body = bad
            return web.json_response(body, status=status)
        return web.Response(body=good.SerializeToString(), content_type="application/protobuf")


@dataclass
class Rig:
    line: PhoneLine
    room: rtc.Room
    livekit: LiveKit
    told: list[str]
    url: str


@pytest.fixture
async def rig(settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    settings.SIP_TRUNK_ID, settings.SIP_FROM_NUMBER = "ST_1", "+351210000009"
    monkeypatch.setattr("agent_worker.lines.phone.BETWEEN_TRIES_S", 0.01)
    monkeypatch.setattr("agent_worker.lines.phone.NOTICES_AFTER_S", 0.0)
    livekit = LiveKit()
    app = web.Application()
    app.add_routes([web.post("/twirp/{service}/{method}", livekit.answer)])
    async with TestServer(app) as server:
        gateway = Gateway(url=str(server.make_url("/")), api_key="key", api_secret="s" * 32)
        async with job_without_a_worker(CALL) as context:
            line, told = PhoneLine(context, gateway), list[str]()
            line.on_ringing(lambda: told.append("rings"))
            line.on_digit(lambda digit: told.append(f"digit {digit}"))
            line.on_callee_left(lambda why: told.append(f"left: {why}"))
            line.on_outage(lambda away: told.append("away" if away else "back"))
            yield Rig(line, context.room, livekit, told, str(server.make_url("/")))
            await line.aclose()


def participant(identity: str = "callee", **attributes: Any) -> Any:
    return SimpleNamespace(**{"identity": identity, "attributes": {}, "disconnect_reason": None, "track_publications": {}, **attributes})
