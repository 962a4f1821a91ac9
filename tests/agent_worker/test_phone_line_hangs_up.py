"""Hanging up, whatever state LiveKit is in, and a LiveKit that restarts under a call."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import api, rtc

from tests.agent_worker.phone_rig import CANNOT, UNCARRIED, Reason, Rig, State, participant
from tests.agent_worker.waiting import until


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


async def test_a_livekit_that_does_not_answer_is_told_to_delete_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.lines.phone.NOTICES_AFTER_S", 0.05)
    rig.livekit.answers["ListRooms"] = [CANNOT]
    rig.livekit.present = [api.ParticipantInfo(identity="callee", state=State.ACTIVE)]
    await rig.line.hang_up()
    asked = [method for method, _ in rig.livekit.asked]
    # The callee whom it shows at first may be one who has hung up on it.
    assert (asked.count("ListParticipants") > 1, asked[-1], asked.count("DeleteRoom")) == (True, "DeleteRoom", 1)


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
