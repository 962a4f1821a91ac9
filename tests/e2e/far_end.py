"""The other end of a call without the product: a bare participant in the room that plays, listens and takes notes."""

import asyncio
import time
from collections.abc import Callable
from typing import Self

from livekit import api, rtc

from ..servers import LiveKitServer
from .phone_network.sound import RATE, Recording

WEBRTC_RATE = 48000


class FarEnd:
    """Joins `room` as an agent would. `statuses` are the callee's sip.callStatus in order, with the first one as it was at the join."""

    def __init__(self, livekit: LiveKitServer, room: str) -> None:
        self.livekit, self.name = livekit, room
        self.room = rtc.Room()
        self.recording = Recording()
        self.digits = ""
        self.statuses: list[str] = []
        self.attributes: dict[str, str] = {}
        self.callee: rtc.RemoteParticipant | None = None
        self.callee_left_because: str = ""
        self._source = rtc.AudioSource(WEBRTC_RATE, 1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.room.on("participant_connected", self._joined)
        self.room.on("participant_attributes_changed", self._attributes_changed)
        self.room.on("participant_disconnected", self._left)
        self.room.on("track_subscribed", self._subscribed)
        self.room.on("sip_dtmf_received", self._digit)
        token = api.AccessToken(self.livekit.api_key, self.livekit.api_secret).with_identity("far-end")
        grants = api.VideoGrants(room_join=True, room=self.name)
        await self.room.connect(self.livekit.url, token.with_grants(grants).to_jwt())
        track = rtc.LocalAudioTrack.create_audio_track("voice", self._source)
        await self.room.local_participant.publish_track(track)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()
        await self._source.aclose()

    async def plays(self, pcm: bytes) -> float:
        """Play `pcm` (48 kHz) into the room: when its first sample left (monotonic)."""
        left_at = time.monotonic()
        size = WEBRTC_RATE // 100 * 2
        for start in range(0, len(pcm), size):
            frame = pcm[start : start + size].ljust(size, b"\0")
            await self._source.capture_frame(rtc.AudioFrame(frame, WEBRTC_RATE, 1, size // 2))
        return left_at

    async def until(self, holds: Callable[[], bool], what: str, *, within_s: float = 10) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            left = deadline - time.monotonic()
            assert left > 0, f"The far end waited {within_s:g} s for {what}; statuses {self.statuses}, digits {self.digits!r}"
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                continue

    async def callee_gone(self) -> str:
        """Why the callee left the room, once it has."""
        await self.until(lambda: bool(self.callee_left_because), "the callee to leave")
        return self.callee_left_because

    def _joined(self, participant: rtc.RemoteParticipant) -> None:
        self.callee = participant
        self._attributes_changed(dict(participant.attributes), participant)

    def _attributes_changed(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        self.attributes |= changed
        if "sip.callStatus" in changed:
            self.statuses.append(changed["sip.callStatus"])
        self._changed.set()

    def _left(self, participant: rtc.RemoteParticipant) -> None:
        reason = participant.disconnect_reason
        self.callee_left_because = rtc.DisconnectReason.Name(reason) if reason is not None else "UNSAID"
        self._changed.set()

    def _digit(self, dtmf: rtc.SipDTMF) -> None:
        self.digits += dtmf.digit
        self._changed.set()

    def _subscribed(self, track: rtc.Track, *_: object) -> None:
        if isinstance(track, rtc.RemoteAudioTrack):
            task = asyncio.create_task(self._hear(track))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _hear(self, track: rtc.RemoteAudioTrack) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=20)
        async for event in stream:
            self.recording.add(time.monotonic(), bytes(event.frame.data))
            self._changed.set()
        await stream.aclose()
