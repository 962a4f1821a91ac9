"""The SIP half of the real network, seen from a SIP caller: it works where livekit-sip is not at hand."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiortp import RTPSession
from aiosipua import SipUAC, SipUAS, build_sdp
from aiosipua.transport import UdpSipTransport

from ..servers.ports import LOOPBACK, free_even_udp_port, free_port
from .phone_network import Phone
from .phone_network.sip_callee import PCMU, SipCallee
from .phone_network.sound import FRAME_S, FRAME_SAMPLES, Recording, dominant_frequency, frames, tone

REFER_TO = "sip:+351210000002@127.0.0.1"


class Caller:
    """What livekit-sip does on the wire: offers G.722, PCMU, PCMA and telephone-event, answers BYE and NOTIFY."""

    def __init__(self, callee: SipCallee) -> None:
        host, port = callee.address.split(":")
        self.target = (host, int(port))
        transport = UdpSipTransport(local_addr=(LOOPBACK, free_port(socket.SOCK_DGRAM)))
        self.client = SipUAC(transport)
        self.server = SipUAS(transport, uac=self.client)
        self.byes = 0
        self.transfer: list[int] = []
        self.digits: list[str] = []
        self.recording = Recording()
        self.media: Any = None
        self.server.on_bye = self._bye
        self.server.on_transfer_progress = lambda _, status, __: self.transfer.append(status)

    def _bye(self, *_: Any) -> None:
        self.byes += 1

    def invite(self, number: str) -> Any:
        self.rtp_port = free_even_udp_port()
        offer = build_sdp(LOOPBACK, self.rtp_port, payload_type=PCMU, codec_name="PCMU", dtmf_payload_type=101)
        address = f"{self.target[0]}:{self.target[1]}"
        return self.client.send_invite(f"sip:caller@{LOOPBACK}", f"sip:{number}@{address}", self.target, offer)

    async def talk(self, call: Any, pcm: bytes) -> None:
        """Send `pcm` while recording what comes."""
        self.media = await RTPSession.create(
            local_addr=(LOOPBACK, self.rtp_port), remote_addr=call.sdp_answer.rtp_address, payload_type=PCMU, dtmf_payload_type=101
        )
        clock = asyncio.get_running_loop().time
        self.media.on_audio = lambda heard, _: self.recording.add(clock(), heard)
        self.media.on_dtmf = lambda digit, _: self.digits.append(digit)
        due = clock()
        for number, frame in enumerate(frames(pcm)):
            self.media.send_audio_pcm(frame, number * FRAME_SAMPLES)
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - clock()))


@pytest_asyncio.fixture(loop_scope="session")
async def callee() -> AsyncIterator[SipCallee]:
    phones: dict[str, Phone] = {}
    one = SipCallee(phones)
    await one.start()
    yield one
    await one.stop()
    for phone in phones.values():
        await phone.unplug()


@pytest.fixture
def phone(callee: SipCallee, number: str) -> Phone:
    one = Phone(number)
    assert isinstance(callee.phones, dict)
    callee.phones[number] = one
    return one


@pytest_asyncio.fixture(loop_scope="session")
async def caller(callee: SipCallee) -> AsyncIterator[Caller]:
    one = Caller(callee)
    await one.server.start()
    yield one
    if one.media is not None:
        await one.media.close()
    await one.server.stop()


async def test_a_call_is_answered_and_each_side_hears_the_other(caller: Caller, phone: Phone) -> None:
    phone.answers(saying=tone(440, 2))
    call = caller.invite(phone.number)
    await call.wait_answered(5)
    await caller.talk(call, tone(1000, 2))
    assert dominant_frequency(phone.recording.pcm()) == pytest.approx(1000, abs=15)
    assert dominant_frequency(caller.recording.pcm()) == pytest.approx(440, abs=15)
    assert phone.recording.voiced_s() >= 1.8
    call.hangup(caller.client)
    await phone.hung_up()
    assert phone.happenings == ["invited", "ringing", "answered", "bye_received"]


@pytest.mark.parametrize("status", [404, 480, 486, 503, 603])
async def test_a_phone_rejects_with_its_status(caller: Caller, phone: Phone, status: int) -> None:
    phone.rejects(status)
    with pytest.raises(RuntimeError, match=f"Call rejected: {status}"):
        await caller.invite(phone.number).wait_answered(5)
    assert phone.rings == 1


async def test_a_number_without_a_phone_is_not_found(caller: Caller) -> None:
    with pytest.raises(RuntimeError, match="Call rejected: 404"):
        await caller.invite("+351910009999").wait_answered(5)


async def test_a_ringing_phone_is_canceled(caller: Caller, phone: Phone) -> None:
    phone.rings_out()
    call = caller.invite(phone.number)
    await phone.rang()
    call.cancel(caller.client)
    await phone.hung_up()
    assert phone.happenings == ["invited", "ringing", "canceled"]


@pytest.mark.parametrize("status", [200, 486])
async def test_a_refer_is_accepted_and_its_outcome_notified(caller: Caller, phone: Phone, status: int) -> None:
    phone.answers().transfer_refuses(status)
    call = caller.invite(phone.number)
    await call.wait_answered(5)
    caller.client.send_refer(call.dialog, REFER_TO, caller.target)
    assert await phone.asked_to_transfer() == REFER_TO
    await phone.until(lambda: caller.transfer == [100, status], f"NOTIFYs with 100 and {status}")
    call.hangup(caller.client)
    await phone.hung_up()


async def test_digits_are_told_apart(caller: Caller, phone: Phone) -> None:
    phone.answers()
    call = caller.invite(phone.number)
    await call.wait_answered(5)
    talking = asyncio.create_task(caller.talk(call, tone(1000, 1)))
    await phone.heard_speech()
    await phone.presses("99#")
    assert caller.digits == ["9", "9", "#"]
    await talking


async def test_the_phone_hangs_up(caller: Caller, phone: Phone) -> None:
    phone.answers().hangs_up(after_s=0.3)
    call = caller.invite(phone.number)
    await call.wait_answered(5)
    await phone.until(lambda: caller.byes == 1, "its BYE to arrive")
    assert phone.happenings == ["invited", "ringing", "answered", "bye_sent"]
