"""The verified fake: what the product may rely on, asked of both telephone networks in the same words."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from livekit import api, rtc
from livekit.protocol.models import ParticipantInfo
from livekit.protocol.sip import CreateSIPParticipantRequest, SIPParticipantInfo, TransferSIPParticipantRequest

from ..servers import LiveKitServer
from .far_end import WEBRTC_RATE, FarEnd
from .phone_network import PhoneNetwork, StandIn
from .phone_network.sound import dominant_frequency, tone
from .phone_network.trunks import make_trunk

CALLEE = "callee"
TRANSFER_TO = "tel:+351210000002"

Dial = Callable[..., Coroutine[Any, Any, SIPParticipantInfo]]
_rooms = itertools.count(1)


@pytest_asyncio.fixture(loop_scope="session")
async def lk(livekit: LiveKitServer) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(livekit.http_url, livekit.api_key, livekit.api_secret) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def trunk(livekit: LiveKitServer, network: PhoneNetwork) -> str:
    return await make_trunk(livekit, network.address)


@pytest_asyncio.fixture(loop_scope="session")
async def room(lk: api.LiveKitAPI) -> AsyncIterator[str]:
    name = f"contract-{next(_rooms)}"
    await lk.room.create_room(api.CreateRoomRequest(name=name))
    yield name
    with suppress(api.ServerError):  # a test may have deleted it
        await lk.room.delete_room(api.DeleteRoomRequest(room=name))


@pytest_asyncio.fixture(loop_scope="session")
async def far_end(livekit: LiveKitServer, room: str, network: PhoneNetwork) -> AsyncIterator[FarEnd]:
    async with FarEnd(livekit, room) as one:
        yield one


@pytest.fixture
def dial(lk: api.LiveKitAPI, room: str, trunk: str, number: str) -> Dial:
    async def place(*, ringing_s: int = 10, max_s: int = 60, trunk_id: str = "", to: str = number, hide: bool = True) -> SIPParticipantInfo:
        request = CreateSIPParticipantRequest(
            sip_trunk_id=trunk_id or trunk,
            sip_call_to=to,
            room_name=room,
            participant_identity=CALLEE,
            wait_until_answered=True,
            hide_phone_number=hide,
            ringing_timeout=Duration(seconds=ringing_s),
            max_call_duration=Duration(seconds=max_s),
        )
        return await lk.sip.create_sip_participant(request, timeout=ringing_s + 30)

    return place


async def hang_up(lk: api.LiveKitAPI, room: str) -> None:
    await lk.room.delete_room(api.DeleteRoomRequest(room=room))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (486, "resource_exhausted"),
        (600, "resource_exhausted"),
        (603, "permission_denied"),
        (403, "permission_denied"),
        (404, "not_found"),
        (480, "resource_exhausted"),
        (408, "deadline_exceeded"),
        (488, "invalid_argument"),
        (500, "failed_precondition"),
        (503, "failed_precondition"),
    ],
)
async def test_a_refusal_carries_its_sip_status_and_is_one_invite(
    network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd, status: int, code: str
) -> None:
    phone = network.phone(number).rejects(status)
    with pytest.raises(api.SipCallError) as refused:
        await dial()
    assert (refused.value.sip_status_code, refused.value.code) == (status, code)
    assert phone.rings == 1
    await far_end.callee_gone()
    assert "active" not in far_end.statuses
    assert "hangup" not in far_end.statuses


async def test_a_number_without_a_phone_is_not_found(network: PhoneNetwork, dial: Dial, far_end: FarEnd) -> None:
    with pytest.raises(api.SipCallError) as refused:
        await dial(to="+351910009999")
    assert refused.value.sip_status_code == 404


async def test_a_trunk_that_wants_credentials_fails_without_a_sip_status(
    network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd
) -> None:
    network.phone(number).rejects(401)
    with pytest.raises(api.ServerError) as failed:
        await dial()
    assert (failed.value.code, failed.value.metadata.get("sip_status_code")) == ("failed_precondition", None)


async def test_a_phone_that_nobody_picks_up_is_canceled_when_the_time_is_over(
    network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd
) -> None:
    phone = network.phone(number).rings_out()
    started = time.monotonic()
    with pytest.raises(api.ServerError) as failed:
        await dial(ringing_s=2)
    assert (failed.value.code, failed.value.metadata.get("sip_status_code")) == ("canceled", None)
    assert 1.8 <= time.monotonic() - started <= 5
    await phone.hung_up()
    assert phone.happenings == ["invited", "ringing", "canceled"]
    await far_end.callee_gone()
    assert far_end.statuses[-1] == "ringing"


async def test_where_nobody_listens_the_dial_is_canceled(
    network: PhoneNetwork, livekit: LiveKitServer, number: str, dial: Dial, far_end: FarEnd
) -> None:
    phone = network.phone(number).answers()
    elsewhere = await make_trunk(livekit, "127.0.0.1:9")
    with pytest.raises(api.ServerError) as failed:
        await dial(trunk_id=elsewhere, ringing_s=2)
    assert (failed.value.code, failed.value.metadata.get("sip_status_code")) == ("canceled", None)
    assert phone.rings == 0


async def test_a_service_that_is_away_is_unavailable_and_comes_back(
    network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd
) -> None:
    phone = network.phone(number).answers()
    async with network.away():
        with pytest.raises(api.ServerError) as failed:
            await dial()
        assert (failed.value.code, phone.rings) == ("unavailable", 0)
    await dial()
    assert phone.rings == 1


async def test_an_unknown_trunk_is_not_found_and_rings_nowhere(network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd) -> None:
    phone = network.phone(number).answers()
    with pytest.raises(api.ServerError) as failed:
        await dial(trunk_id="ST_unknown")
    assert (failed.value.code, failed.value.metadata.get("sip_status_code"), phone.rings) == ("not_found", None, 0)


async def test_a_room_that_is_gone_rings_nowhere(network: PhoneNetwork, lk: api.LiveKitAPI, number: str, room: str, dial: Dial) -> None:
    phone = network.phone(number).answers()
    await hang_up(lk, room)
    with pytest.raises(api.ServerError):
        await dial()
    assert phone.rings == 0


async def test_the_callee_is_in_the_room_while_the_phone_rings_and_active_when_it_is_answered(
    network: PhoneNetwork, lk: api.LiveKitAPI, room: str, number: str, dial: Dial, far_end: FarEnd
) -> None:
    phone = network.phone(number).answers(after_s=1)
    dialling = asyncio.create_task(dial())
    await far_end.until(lambda: "ringing" in far_end.statuses, "the status ringing")
    there = await lk.room.get_participant(api.RoomParticipantIdentity(room=room, identity=CALLEE))
    assert (there.kind, there.attributes["sip.callStatus"]) == (ParticipantInfo.Kind.SIP, "ringing")
    assert phone.happenings == ["invited", "ringing"]
    info = await dialling
    await far_end.until(lambda: far_end.statuses[-1] == "active", "the status active")
    assert phone.happenings == ["invited", "ringing", "answered"]
    assert info.participant_identity == CALLEE
    assert far_end.attributes["sip.callID"] == info.sip_call_id
    assert not [value for value in far_end.attributes.values() if number in value]


async def test_the_number_stands_in_the_room_unless_it_is_hidden(network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd) -> None:
    network.phone(number).answers()
    await dial(hide=False)
    assert far_end.attributes["sip.phoneNumber"] == number


async def test_each_side_hears_the_other(network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd) -> None:
    phone = network.phone(number).answers()
    await dial()
    answered = await phone.answered()
    spoken = asyncio.create_task(phone.says(tone(440, 2)))
    await far_end.plays(tone(1000, 2, rate=WEBRTC_RATE))
    await spoken
    await phone.until(lambda: phone.recording.voiced_s(answered) >= 1.7, "1.7 s of sound")
    await far_end.until(lambda: far_end.recording.voiced_s(answered) >= 1.7, "1.7 s of sound")
    for ear, frequency in ((phone.recording, 1000), (far_end.recording, 440)):
        voice = ear.voices_since(answered)[0]
        assert dominant_frequency(ear.pcm(voice.start + 0.2, voice.end - 0.2)) == pytest.approx(frequency, abs=15)


async def test_what_is_said_while_picking_up_is_heard(network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd) -> None:
    network.phone(number).answers(saying=tone(440, 1))
    await dial()
    await far_end.until(lambda: far_end.recording.voiced_s() >= 0.7, "the first words")


async def test_the_line_has_its_delay(network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd) -> None:
    phone = network.phone(number).answers()
    await dial()
    await phone.silence(1000)
    played = asyncio.create_task(far_end.plays(tone(1000, 0.5, rate=WEBRTC_RATE)))
    since = time.monotonic()
    heard = await phone.heard_speech(since=since)
    delay_s = heard - await played
    assert 0.1 <= delay_s <= 0.6
    if not isinstance(network, StandIn):
        pytest.skip(f"a set delay is shown on the stand-in only; here it was {delay_s:.3f} s")
    assert delay_s >= network.line_delay_s


async def test_digits_reach_the_room(network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd) -> None:
    phone = network.phone(number).answers()
    await dial()
    await phone.presses("99#")
    await far_end.until(lambda: far_end.digits == "99#", "the digits")


async def test_a_transfer_that_is_accepted_takes_the_callee_out_of_the_room(
    network: PhoneNetwork, lk: api.LiveKitAPI, room: str, number: str, dial: Dial, far_end: FarEnd
) -> None:
    phone = network.phone(number).answers().transfer_accepts()
    await dial()
    request = TransferSIPParticipantRequest(room_name=room, participant_identity=CALLEE, transfer_to=TRANSFER_TO)
    await lk.sip.transfer_sip_participant(request)
    assert phone.transfer_targets == [TRANSFER_TO]
    assert await far_end.callee_gone() == "CLIENT_INITIATED"
    assert phone.happenings == ["invited", "ringing", "answered", "refer", "bye_received"]


async def test_a_transfer_that_is_refused_says_why_and_the_call_goes_on(
    network: PhoneNetwork, lk: api.LiveKitAPI, room: str, number: str, dial: Dial, far_end: FarEnd
) -> None:
    phone = network.phone(number).answers().transfer_refuses(486)
    await dial()
    request = TransferSIPParticipantRequest(room_name=room, participant_identity=CALLEE, transfer_to=TRANSFER_TO)
    with pytest.raises(api.SipCallError) as refused:
        await lk.sip.transfer_sip_participant(request)
    assert refused.value.sip_status_code == 486
    await phone.says(tone(440, 0.5))
    await far_end.until(lambda: far_end.recording.voiced_s() >= 0.3, "the callee, who is still there")


async def test_deleting_the_room_hangs_up(network: PhoneNetwork, lk: api.LiveKitAPI, room: str, number: str, dial: Dial) -> None:
    phone = network.phone(number).answers()
    await dial()
    await hang_up(lk, room)
    await phone.hung_up()
    assert phone.happenings == ["invited", "ringing", "answered", "bye_received"]


async def test_who_is_in_the_room_can_have_the_phone_hung_up(network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd) -> None:
    phone = network.phone(number).answers()
    await dial()
    # The answer to the request may come too late: who was asked leaves the room.
    with suppress(rtc.RpcError):
        await far_end.room.local_participant.perform_rpc(destination_identity=CALLEE, method="lk.sip.EndCall", payload="{}")
    await phone.hung_up()
    assert await far_end.callee_gone() == "CLIENT_INITIATED"


async def test_deleting_the_room_stops_the_ringing(network: PhoneNetwork, lk: api.LiveKitAPI, room: str, number: str, dial: Dial) -> None:
    phone = network.phone(number).rings_out()
    dialling = asyncio.create_task(dial())
    await phone.rang()
    await hang_up(lk, room)
    await phone.hung_up()
    with pytest.raises(api.ServerError) as failed:
        await dialling
    assert (failed.value.code, phone.happenings) == ("canceled", ["invited", "ringing", "canceled"])


async def test_the_callee_who_hangs_up_leaves_the_room(network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd) -> None:
    phone = network.phone(number).answers().hangs_up(after_s=0.5)
    await dial()
    assert await far_end.callee_gone() == "CLIENT_INITIATED"
    assert far_end.statuses[-2:] == ["active", "hangup"]
    assert phone.happenings == ["invited", "ringing", "answered", "bye_sent"]


async def test_a_call_ends_at_its_longest_duration(network: PhoneNetwork, number: str, dial: Dial, far_end: FarEnd) -> None:
    phone = network.phone(number).answers()
    started = time.monotonic()
    await dial(max_s=2)
    assert 1.5 <= await phone.hung_up() - started <= 4
    assert await far_end.callee_gone() == "CLIENT_INITIATED"


async def test_a_phone_in_a_call_is_busy(network: PhoneNetwork, lk: api.LiveKitAPI, number: str, dial: Dial, room: str, trunk: str) -> None:
    phone = network.phone(number).answers()
    await dial()
    second = CreateSIPParticipantRequest(
        sip_trunk_id=trunk, sip_call_to=number, room_name=room, participant_identity="second", wait_until_answered=True
    )
    with pytest.raises(api.SipCallError) as refused:
        await lk.sip.create_sip_participant(second, timeout=40)
    assert (refused.value.sip_status_code, phone.rings) == (486, 2)
    await hang_up(lk, room)
    await phone.hung_up()
