"""Phones that speak SIP: aiosipua answers the INVITEs, aiortp carries the sound (G.711)."""

import asyncio
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiosipua import SipUAS
from aiosipua.refer import notify_refer
from aiosipua.rtp_bridge import CallSession
from aiosipua.transport import UdpSipTransport

from ...servers.ports import LOOPBACK, free_even_udp_port, free_port
from .network import Leg
from .sound import FRAME_SAMPLES

if TYPE_CHECKING:
    from .phone import Phone

PCMU, PCMA = 0, 8
DTMF_MS = 160


class SipCallee:
    """A SIP user agent on a loopback port that stands for all the phones of a network."""

    def __init__(self, phones: "Mapping[str, Phone]") -> None:
        self.phones = phones
        self.port = free_port(socket.SOCK_DGRAM)
        self._legs: dict[str, SipLeg] = {}
        self._agent: Any = None

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        self._agent = SipUAS(UdpSipTransport(local_addr=(LOOPBACK, self.port)), user_agent="phone")
        self._agent.on_invite = self._invited
        self._agent.on_cancel = lambda request, _: self._canceled(request.call_id)
        self._agent.on_bye = lambda call, _: self._ended(call.call_id)
        self._agent.on_refer = self._referred
        await self._agent.start()

    async def stop(self) -> None:
        for leg in list(self._legs.values()):
            await leg.hang_up()
        await self._agent.stop()

    def _invited(self, call: Any) -> None:
        if call.call_id in self._legs:
            return  # retransmitted: UDP
        match = re.match(r"sips?:([^@;]+)@", str(call.invite.uri))
        phone = self.phones.get(match.group(1)) if match else None
        if phone is None:
            call.reject(404)
            return
        self._legs[call.call_id] = leg = SipLeg(call, phone)
        phone.on_invite(leg)

    def _canceled(self, call_id: str) -> None:
        leg = self._legs.pop(call_id, None)
        if leg is not None:
            leg.phone.on_cancel(leg)

    def _ended(self, call_id: str) -> None:
        leg = self._legs.pop(call_id, None)
        if leg is not None:
            leg.phone.on_bye(leg)
            leg.close()

    def _referred(self, call: Any, target: str) -> None:
        leg = self._legs.get(call.call_id)
        if leg is not None:
            leg.phone.on_refer(leg, target)


class SipLeg(Leg):
    """One SIP dialog and its RTP session."""

    def __init__(self, call: Any, phone: "Phone") -> None:
        self.call, self.phone = call, phone
        self._media: CallSession | None = None
        self._timestamp = 0
        self._closing: asyncio.Task[None] | None = None

    def ring(self) -> None:
        self.call.ringing()

    async def answer(self) -> None:
        self._media = CallSession(
            LOOPBACK, free_even_udp_port(), self.call.sdp_offer, supported_codecs=[PCMU, PCMA], jitter_prefetch=1, plc=False
        )
        await self._media.start()
        self._media.on_audio = lambda pcm, _: self.phone.on_audio(pcm)
        self.call.accept(self._media.sdp_answer)

    def reject(self, code: int) -> None:
        self.call.reject(code)

    async def hang_up(self) -> None:
        self.call.hangup()
        self.close()
        if self._closing is not None:
            with suppress(asyncio.CancelledError):
                await self._closing

    def speak(self, frame: bytes) -> None:
        if self._media is not None:
            self._media.send_audio_pcm(frame, self._timestamp)
            self._timestamp += FRAME_SAMPLES

    def press(self, digit: str) -> None:
        """The digit's own timestamp tells it from the one before; aiosipua's shortcut would give all of them 0."""
        if self._media is not None and self._media.rtp_session is not None:
            self._media.rtp_session.send_dtmf(digit, DTMF_MS, self._timestamp)

    def report_transfer(self, code: int) -> None:
        notify_refer(self.call, code)

    def close(self) -> None:
        if self._media is not None and self._closing is None:
            self._closing = asyncio.ensure_future(self._media.close())
