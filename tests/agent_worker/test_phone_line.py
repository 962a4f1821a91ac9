"""The phone line: what it asks of LiveKit, and what it makes of what the room tells. The room is a real one that is not connected."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from asgiref.sync import sync_to_async
from django.db import OperationalError
from google.protobuf.message import Message
from livekit import api, rtc
from livekit.agents import Agent, AgentSession

from agent_worker import entrypoint, spool
from agent_worker.entrypoint import call_and_claim
from agent_worker.job_context import job_without_a_worker
from agent_worker.lines.audio import Loudspeaker
from agent_worker.lines.base import LineLost, TransferFailed
from agent_worker.lines.phone import PhoneLine
from agent_worker.session import keep_words_with_sound
from calls.exceptions import DialFailed, FailureKind
from calls.gateway import Gateway
from calls.models import Call
from tests.agent_worker.calling import dispatched_call
from tests.agent_worker.waiting import until
from tests.factories import MembershipFactory, published_version
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
            "DeleteRoom": (api.DeleteRoomRequest, api.DeleteRoomResponse()),
            "ListParticipants": (api.ListParticipantsRequest, api.ListParticipantsResponse(participants=self.present)),
            "MutePublishedTrack": (api.MuteRoomTrackRequest, api.MuteRoomTrackResponse()),
            "RemoveParticipant": (api.RoomParticipantIdentity, api.RemoveParticipantResponse()),
        }
        kind, good = kinds[method]
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


async def test_the_dial_names_trunk_number_and_the_longest_times(rig: Rig) -> None:
    answer = await rig.line.dial(CALL)
    assert (answer.sip_call_id, answer.participant_id) == ("SCL_1", "PA_1")
    (asked,) = rig.livekit.of("CreateSIPParticipant")
    assert (asked.sip_trunk_id, asked.sip_call_to, asked.sip_number, asked.participant_identity) == (
        "ST_1",
        pt_mobile(7),
        "+351210000009",
        "callee",
    )
    assert (asked.room_name, asked.hide_phone_number, asked.wait_until_answered) == ("fake-room", True, True)
    assert (asked.ringing_timeout.seconds, asked.max_call_duration.seconds) == (20, 150)


async def test_a_busy_callee_is_a_failed_dial_and_one_dial(rig: Rig) -> None:
    busy = {"code": "resource_exhausted", "msg": "sip status 486", "meta": {"sip_status_code": "486", "sip_status": "Busy Here"}}
    rig.livekit.answers["CreateSIPParticipant"] = (429, busy)
    with pytest.raises(DialFailed) as failed:
        await rig.line.dial(CALL)
    assert (failed.value.kind, failed.value.sip_status_code, len(rig.livekit.asked)) == (FailureKind.SIP, 486, 1)


async def test_hanging_up_deletes_the_room_once(rig: Rig) -> None:
    await asyncio.gather(rig.line.hang_up(), rig.line.hang_up())
    await rig.line.hang_up()
    assert [request.room for request in rig.livekit.of("DeleteRoom")] == ["fake-room"]


async def test_hanging_up_is_tried_again_when_livekit_is_away(rig: Rig) -> None:
    rig.livekit.answers["DeleteRoom"] = [CANNOT, CANNOT]
    rig.livekit.present = [api.ParticipantInfo(identity="callee", state=State.ACTIVE)]
    await rig.line.hang_up()
    assert len(rig.livekit.of("DeleteRoom")) == 3


async def test_hanging_up_has_an_end_and_is_tried_anew_the_next_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.lines.phone.HANGS_UP_WITHIN_S", 0.3)
    rig.livekit.present = [api.ParticipantInfo(identity="callee", state=State.ACTIVE)]
    rig.livekit.answers["DeleteRoom"] = CANNOT
    await rig.line.hang_up()
    asked = len(rig.livekit.of("DeleteRoom"))
    assert asked > 1
    del rig.livekit.answers["DeleteRoom"]
    await rig.line.hang_up()
    await rig.line.hang_up()
    assert len(rig.livekit.of("DeleteRoom")) == asked + 1


async def test_a_room_whose_server_has_died_is_closed_when_nobody_has_come_back_to_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.lines.phone.JOINS_AGAIN_WITHIN_S", 0.05)
    rig.livekit.answers = {"DeleteRoom": [UNCARRIED, UNCARRIED], "ListParticipants": UNCARRIED}
    await rig.line.hang_up()
    asked = [method for method, _ in rig.livekit.asked]
    assert (asked[0], asked[-3:]) == ("DeleteRoom", ["DeleteRoom", "CreateRoom", "DeleteRoom"])
    assert set(asked[1:-3]) == {"ListParticipants"}


async def test_a_callee_who_is_joining_again_is_hung_up_on_when_they_are_back(rig: Rig) -> None:
    rig.livekit.answers["DeleteRoom"] = [CANNOT]
    ways_in = iter([State.JOINING, State.JOINED, State.ACTIVE])

    def joins_on() -> None:
        rig.livekit.present = [api.ParticipantInfo(identity="callee", state=next(ways_in))]

    rig.livekit.before["ListParticipants"] = joins_on
    await rig.line.hang_up()
    assert [method for method, _ in rig.livekit.asked] == ["DeleteRoom", *["ListParticipants"] * 3, "DeleteRoom"]


async def test_a_livekit_that_goes_away_again_is_waited_for_anew(rig: Rig) -> None:
    rig.room.emit("reconnecting")
    rig.room.emit("reconnected")
    rig.livekit.answers["ListParticipants"] = [CANNOT]
    rig.livekit.present = [api.ParticipantInfo(identity="callee", state=State.ACTIVE)]
    await rig.line.hang_up()
    assert [method for method, _ in rig.livekit.asked] == ["ListParticipants", "ListParticipants", "DeleteRoom"]


async def test_who_left_before_is_not_waited_for(rig: Rig) -> None:
    rig.room.emit("reconnecting")
    rig.room.emit("participant_disconnected", participant(disconnect_reason=Reason.CLIENT_INITIATED))
    await rig.line.hang_up()
    assert [method for method, _ in rig.livekit.asked] == ["ListParticipants", "DeleteRoom"]


FORGOTTEN = (404, {"code": "not_found", "msg": "requested room does not exist"})


def stand_in_the_room(rig: Rig, monkeypatch: pytest.MonkeyPatch, asked_to_hang_up: Any) -> None:
    """The job is in its room with the callee, whose SIP service answers so."""
    monkeypatch.setattr(rig.room, "isconnected", lambda: True)
    monkeypatch.setattr(rig.room, "_local_participant", SimpleNamespace(perform_rpc=asked_to_hang_up))
    rig.room._remote_participants["callee"] = participant()


async def test_a_callee_whose_room_livekit_has_forgotten_is_let_go_by_the_sip_service(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    async def end_call(**request: Any) -> str:
        asked.append(request)
        del rig.room._remote_participants["callee"]
        rig.room.emit("participant_disconnected", participant(disconnect_reason=Reason.CLIENT_INITIATED))
        return "{}"

    stand_in_the_room(rig, monkeypatch, end_call)
    rig.livekit.answers["DeleteRoom"] = FORGOTTEN
    await rig.line.hang_up()
    assert asked == [{"destination_identity": "callee", "method": "lk.sip.EndCall", "payload": "{}"}]
    assert ([method for method, _ in rig.livekit.asked], rig.told) == (["DeleteRoom"], ["left: CLIENT_INITIATED"])


async def test_where_the_sip_service_does_not_answer_the_callee_is_taken_out_of_the_room(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody_answers(**_: Any) -> str:
        raise rtc.RpcError(1400, "Method not supported at destination")

    stand_in_the_room(rig, monkeypatch, nobody_answers)
    rig.livekit.answers["DeleteRoom"] = FORGOTTEN
    rig.livekit.present = [api.ParticipantInfo(identity="callee", tracks=[api.TrackInfo(sid="TR_1")])]
    await rig.line.hang_up()
    assert [method for method, _ in rig.livekit.asked] == ["DeleteRoom", "ListParticipants", "MutePublishedTrack", "RemoveParticipant"]
    assert rig.livekit.of("RemoveParticipant")[0].identity == "callee"


async def test_a_callee_of_whom_nothing_is_heard_yet_is_asked_for_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def leaves_at_the_second_time(**_: Any) -> str:
        if len(rig.livekit.of("DeleteRoom")) == 1:
            raise rtc.RpcError(1502, "Response timeout")
        rig.room.emit("participant_disconnected", participant())
        return "{}"

    stand_in_the_room(rig, monkeypatch, leaves_at_the_second_time)
    rig.livekit.answers["DeleteRoom"] = FORGOTTEN
    await rig.line.hang_up()
    assert [method for method, _ in rig.livekit.asked] == ["DeleteRoom", "ListParticipants", "DeleteRoom"]


async def test_a_forgotten_room_with_nobody_in_it_is_closed(rig: Rig) -> None:
    rig.livekit.answers["DeleteRoom"] = FORGOTTEN
    await rig.line.hang_up()
    assert [method for method, _ in rig.livekit.asked] == ["DeleteRoom"]


# -- a LiveKit that restarts: what the room tells, in the order in which it was seen to ------------------------------------


async def test_a_callee_who_is_back_after_a_restart_never_left(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    back = participant(track_publications={"TR_2": SimpleNamespace(set_subscribed=asked.append)})
    rig.room.emit("reconnecting")
    rig.room.emit("participant_disconnected", participant())
    rig.room.emit("reconnecting")
    assert rig.told == ["away"]
    monkeypatch.setattr(rig.room, "isconnected", lambda: True)
    rig.room._remote_participants["callee"] = back
    rig.room.emit("participant_connected", back)
    rig.room.emit("reconnected")
    # What is asked for while the connection is still being made is lost.
    assert (rig.told, asked) == (["away"], [True])
    rig.room.emit("local_track_subscribed", SimpleNamespace())
    assert rig.told == ["away", "back"]


async def test_a_callee_who_comes_back_after_us_never_left(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.room.emit("reconnecting")
    rig.room.emit("participant_disconnected", participant())
    monkeypatch.setattr(rig.room, "isconnected", lambda: True)
    rig.room.emit("reconnected")
    assert rig.told == ["away"]
    rig.room.emit("participant_connected", participant())
    assert rig.told == ["away"]
    rig.room.emit("local_track_subscribed", SimpleNamespace())
    assert rig.told == ["away", "back"]


async def test_a_callee_who_is_back_is_taken_to_hear_before_long(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.lines.phone.HEARS_WITHIN_S", 0.01)
    monkeypatch.setattr(rig.room, "isconnected", lambda: True)
    rig.room.emit("reconnecting")
    rig.room.emit("participant_connected", participant())
    await until(lambda: rig.told == ["away", "back"])


async def test_a_line_that_is_lost_again_before_anybody_was_heard_is_waited_for_anew(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.lines.phone.RETURNS_WITHIN_S", 0.01)
    monkeypatch.setattr(rig.room, "isconnected", lambda: True)
    rig.room.emit("reconnecting")
    rig.room.emit("participant_connected", participant())
    rig.room.emit("reconnecting")
    await until(lambda: rig.told == ["away", "back", "left: LINE_LOST"])


async def test_a_callee_who_is_back_and_goes_has_left_whatever_the_reason(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.room, "isconnected", lambda: True)
    rig.room.emit("reconnecting")
    rig.room.emit("participant_connected", participant())
    rig.room.emit("participant_disconnected", participant())
    assert rig.told == ["away", "back", "left: UNKNOWN_REASON"]


async def test_who_takes_up_our_sound_without_an_outage_is_no_news(rig: Rig) -> None:
    rig.room.emit("local_track_subscribed", SimpleNamespace())
    assert rig.told == []


async def test_a_line_that_does_not_come_back_is_given_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.lines.phone.RETURNS_WITHIN_S", 0.01)
    rig.room.emit("reconnecting")
    rig.room.emit("participant_disconnected", participant())
    await until(lambda: rig.told == ["away", "back", "left: LINE_LOST"])


async def test_a_callee_who_hangs_up_while_the_line_comes_back_has_left(rig: Rig) -> None:
    rig.room.emit("reconnecting")
    rig.room.emit("participant_disconnected", participant(disconnect_reason=Reason.CLIENT_INITIATED))
    assert rig.told == ["away", "back", "left: CLIENT_INITIATED"]


async def test_a_room_that_cannot_be_reached_again_is_a_lost_line(rig: Rig) -> None:
    rig.room.emit("reconnecting")
    rig.room.emit("disconnected", Reason.UNKNOWN_REASON)
    assert rig.told == ["away", "back", "left: LINE_LOST"]


async def test_a_status_that_goes_backwards_says_nothing(rig: Rig) -> None:
    back = participant(attributes={"sip.callStatus": "dialing"})
    rig.room.emit("participant_connected", back)
    rig.room.emit("participant_attributes_changed", {"sip.callStatus": "dialing"}, back)
    assert rig.told == []


async def test_a_transfer_goes_to_the_number_and_returning_is_success(rig: Rig) -> None:
    await rig.line.transfer("+351210000001")
    (asked,) = rig.livekit.of("TransferSIPParticipant")
    assert (asked.transfer_to, asked.participant_identity, asked.room_name) == ("tel:+351210000001", "callee", "fake-room")


async def test_a_refused_transfer_says_with_what(rig: Rig) -> None:
    refused = {"code": "permission_denied", "msg": "sip status 603", "meta": {"sip_status_code": "603", "sip_status": "Decline"}}
    rig.livekit.answers["TransferSIPParticipant"] = (403, refused)
    with pytest.raises(TransferFailed) as failed:
        await rig.line.transfer("+351210000001")
    assert failed.value.sip_status_code == 603


async def test_a_room_that_cannot_be_reached_is_a_lost_line(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(**_: object) -> None:
        raise rtc.ConnectError("room does not exist")

    monkeypatch.setattr(rig.line._context, "connect", refuse)
    with pytest.raises(LineLost):
        await rig.line.attach(SimpleNamespace(), Agent(instructions=""))  # type: ignore[arg-type]  # is not come to


async def test_only_the_callees_own_ringing_counts(rig: Rig) -> None:
    rig.room.emit("participant_attributes_changed", {"sip.callStatus": "dialing"}, participant())
    rig.room.emit("participant_attributes_changed", {"sip.callStatus": "ringing"}, participant("somebody"))
    rig.room.emit("participant_attributes_changed", {"sip.callStatus": "ringing"}, participant())
    rig.room.emit("participant_attributes_changed", {"sip.callStatus": "active"}, participant())
    assert rig.told == ["rings"]


async def test_a_phone_that_rang_before_we_looked_has_rung(rig: Rig) -> None:
    ringing = participant()
    ringing.attributes["sip.callStatus"] = "ringing"
    rig.room.emit("participant_connected", ringing)
    assert rig.told == ["rings"]


@pytest.mark.parametrize("reason", [Reason.CLIENT_INITIATED, Reason.USER_UNAVAILABLE, Reason.UNKNOWN_REASON, Reason.ROOM_DELETED])
async def test_a_callee_who_leaves_for_whatever_reason_has_left(rig: Rig, reason: Any) -> None:
    gone = participant()
    gone.disconnect_reason = reason
    rig.room.emit("participant_disconnected", gone)
    assert rig.told == [f"left: {Reason.Name(reason)}"]


async def test_a_departure_without_a_reason_is_one_too_and_others_may_come_and_go(rig: Rig) -> None:
    rig.room.emit("participant_disconnected", participant("somebody"))
    rig.room.emit("participant_disconnected", participant())
    assert rig.told == ["left: UNKNOWN_REASON"]


async def test_without_the_room_there_is_no_callee(rig: Rig) -> None:
    rig.room.emit("disconnected", Reason.ROOM_DELETED)
    assert rig.told == ["left: ROOM_DELETED"]


async def test_only_the_callees_keys_count(rig: Rig) -> None:
    for who in (None, participant("somebody"), participant()):
        rig.room.emit("sip_dtmf_received", rtc.SipDTMF(code=9, digit="9", participant=who))
    assert rig.told == ["digit 9"]


async def test_a_closed_line_hears_nothing_any_more(rig: Rig) -> None:
    await rig.line.aclose()
    rig.room.emit("disconnected", Reason.ROOM_DELETED)
    assert rig.told == []


async def test_a_dispatch_without_a_call_is_refused(rig: Rig) -> None:
    context = rig.line._context
    shut: list[str] = []
    context._on_shutdown = shut.append
    await entrypoint.entrypoint(context)
    assert (shut, rig.livekit.asked) == (["no call"], [])


async def test_a_job_whose_call_is_anothers_dials_nobody_and_ends(rig: Rig, transactional_db: None, settings: Any) -> None:
    settings.LIVEKIT_URL, settings.LIVEKIT_API_KEY, settings.LIVEKIT_API_SECRET = rig.url, "key", "s" * 32
    context = rig.line._context
    shut: list[str] = []
    context._on_shutdown = shut.append
    context.job.metadata = json.dumps({"call_id": str(uuid.uuid4()), "persona": "restaurante", "claim": "t"})
    await entrypoint.entrypoint(context)
    assert shut == ["call ended"]
    assert rig.livekit.asked == []


async def test_what_this_machine_kept_is_written_when_a_job_ends(transactional_db: None, settings: Any, tmp_path: Path) -> None:
    settings.JOURNAL_SPOOL = tmp_path
    call = await sync_to_async(lambda: dispatched_call(published_version(organization=MembershipFactory().organization, slug="clinica")))()
    file = spool.SpoolFile(str(call.pk))
    file.write(spool.Page(call=str(call.pk), claim=call.claim))
    file.let_go()
    await entrypoint.on_session_end(SimpleNamespace())  # type: ignore[arg-type]  # it needs nothing of the job
    assert [path.name for path in tmp_path.iterdir()] == []  # noqa: ASYNC240


async def test_what_cannot_be_written_yet_stays(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_path: Path) -> bool:
        raise OperationalError

    monkeypatch.setattr(spool, "waiting", lambda: [Path("a.spool")])
    monkeypatch.setattr(spool, "replay", away)
    await entrypoint.on_session_end(SimpleNamespace())  # type: ignore[arg-type]


async def test_the_words_of_a_cut_sentence_end_with_its_sound() -> None:
    session: AgentSession[Any] = AgentSession()
    loudspeaker = Loudspeaker()
    session.output.audio = loudspeaker
    synchronizer = keep_words_with_sound(session)
    assert (session.output.audio, session.output.transcription) == (synchronizer.audio_output, synchronizer.text_output)
    proxy = synchronizer.audio_output.next_in_chain  # where sinks can be changed
    assert proxy is not None
    assert proxy.next_in_chain is loudspeaker
    await synchronizer.aclose()


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ('{"call_id": "c", "persona": "restaurante", "claim": "t"}', ("c", "t")),
        ('{"call_id": "c", "persona": "p", "claim": "t", "phone_number": "+351910000001", "customer_name": "Ana"}', ("c", "t")),
        ('{"phone_number": "+351910000001", "persona": "restaurante"}', None),
        ('{"call_id": 7, "claim": "t"}', None),
        ("[]", None),
        ("", None),
        ("not JSON", None),
    ],
)
def test_a_dispatch_names_its_call_and_the_claim_or_is_refused(metadata: str, named: tuple[str, str] | None) -> None:
    assert call_and_claim(metadata) == named
