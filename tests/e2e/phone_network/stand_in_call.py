"""One call through the stand-in: a SIP participant in the room on one side, a phone on the other."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from livekit import api, rtc

from .network import Leg
from .outcomes import nobody_there, rang_out, refused
from .psrpc import RpcError, messages
from .sound import FRAME_S, RATE, frames, samples, through_g711

if TYPE_CHECKING:
    from .phone import Phone
    from .stand_in import StandIn

RINGING_TIMEOUT_S = 180.0
MAX_CALL_S = 24 * 3600.0
TIMER_B_S = 32.0
BYE_AFTER_TRANSFER_S = 1.0
ANSWERS_END_CALL_WITHIN_S = 0.05
LISTENS_AGAIN_AFTER_S = 1.0
# More than this waiting in WebRTC's queue is a delay that the line would keep for ever: silence is left out until it is gone.
QUEUE_S = 0.06
# Frames that go to and from WebRTC in one piece: each piece is told to every listener in the process, ten phones times ten.
TOGETHER = 3

Reason = rtc.DisconnectReason
DTMF_EVENTS = "0123456789*#ABCD"


class StandInCall(Leg):
    """Joins the room, rings the phone, carries the sound, and ends when either side does."""

    def __init__(self, network: "StandIn", request: Any, given_up_at: float) -> None:
        self.network, self.request = network, request
        self.phone: Phone | None = None
        self.room = rtc.Room()
        loop = asyncio.get_running_loop()
        self._deadline = time.monotonic() + (request.max_call_duration.ToSeconds() or MAX_CALL_S)
        ringing = time.monotonic() + (request.ringing_timeout.ToSeconds() or RINGING_TIMEOUT_S)
        self._ringing_until = min(ringing, self._deadline, given_up_at if request.wait_until_answered else ringing)
        self._final: asyncio.Future[int] = loop.create_future()
        self._answered: asyncio.Future[None] = loop.create_future()
        self._ended = asyncio.Event()
        self._transfer: asyncio.Future[int] | None = None
        self._source = rtc.AudioSource(RATE, 1)
        self._to_room: deque[tuple[float, bytes]] = deque()
        # No more than wait in the line anyway: it becomes no longer by that.
        self._together = max(1, min(TOGETHER, int(network.line_delay_s / FRAME_S)))
        self._ear = Ear()
        self._heard: dict[str, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # The service's side

    async def join_room(self) -> None:
        """Join as a SIP participant with its track, before the INVITE. Raises RpcError when there is no such room."""
        self.room.on("disconnected", lambda _: self._ended.set())
        self.room.on("track_published", lambda publication, _: self._subscribe(publication))
        self.room.on("track_subscribed", lambda track, *_: self._listen(track))
        self.room.on("track_unsubscribed", lambda track, *_: self._stop_listening(track))
        self.room.on("reconnected", self._subscribe_all)
        try:
            await self.room.connect(self.network.livekit.url, self._token(), rtc.RoomOptions(auto_subscribe=False))
        except rtc.ConnectError as error:
            raise RpcError("internal", f"update room failed: {error}") from error
        track = rtc.LocalAudioTrack.create_audio_track("sip", self._source)
        await self.room.local_participant.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))

    def _token(self) -> str:
        """Room and attributes are livekit-server's: with `hide_phone_number` they hold no number."""
        attributes = {pair.key: pair.value for pair in self.request.participant_attributes}
        token = api.AccessToken(self.network.livekit.api_key, self.network.livekit.api_secret).with_kind("sip")
        token = token.with_identity(self.request.participant_identity).with_name(self.request.participant_name)
        token = token.with_metadata(self.request.participant_metadata).with_attributes({**attributes, "sip.callStatus": "dialing"})
        token = token.with_ttl(timedelta(hours=24))
        grants = api.VideoGrants(room_join=True, room=self.request.room_name, can_update_own_metadata=True)
        return token.with_grants(grants).to_jwt()

    async def run(self) -> None:
        """INVITE, wait for the answer, carry the call, leave the room. How the dial ended is told by `answered_or_failed`."""
        try:
            await self._dial()
        except RpcError as error:
            self._answered.set_exception(error)
            self._answered.exception()  # it may be that nobody asks
            await self._leave(_reason_of(error))
            return
        self._answered.set_result(None)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), self._deadline - time.monotonic())
        await self.end(bye=True)

    async def answered_or_failed(self) -> None:
        """Return when the phone was answered. Raises the RpcError that says why it was not."""
        await asyncio.shield(self._answered)

    async def _dial(self) -> None:
        self.network.invite(self)
        patience_s = self._ringing_until - time.monotonic()
        if self.phone is None:
            patience_s = min(patience_s, TIMER_B_S)
        await self._decided(self._final, patience_s)
        if not self._final.done():
            if self.phone is not None:
                self.phone.on_cancel(self)
            raise nobody_there() if self.phone is None and patience_s == TIMER_B_S else rang_out()
        if self._final.result() != 200:
            raise refused(self._final.result())
        self.room.local_participant.register_rpc_method("lk.sip.EndCall", self._end_call)
        await self._status("active")
        self._spawn(self._keep_listening())

    async def transfer(self, request: Any, _given_up_at: float) -> Message:
        """REFER: Empty when the phone's side took it, and the SIP leg leaves a second later. Raises RpcError when it did not."""
        if not self._answered.done() or self.phone is None:
            raise RpcError("failed_precondition", "can't transfer non established call")
        self._transfer = asyncio.get_running_loop().create_future()
        self.phone.on_refer(self, request.transfer_to)
        await self._decided(self._transfer, request.ringing_timeout.ToSeconds() or RINGING_TIMEOUT_S)
        # A BYE after the 202 counts as success.
        status = self._transfer.result() if self._transfer.done() else 200 if self._ended.is_set() else 0
        self._transfer = None
        if not status:
            raise RpcError("canceled", "refer canceled")
        if status != 200:
            raise refused(status)
        asyncio.get_running_loop().call_later(BYE_AFTER_TRANSFER_S, self._ended.set)
        empty: Message = messages["Empty"]()
        return empty

    def _end_call(self, _request: rtc.RpcInvocationData) -> str:
        """Somebody in the room asks for the BYE."""
        asyncio.get_running_loop().call_later(ANSWERS_END_CALL_WITHIN_S, self._ended.set)
        return "{}"

    async def end(self, *, bye: bool) -> None:
        """Hang up, on the phone's side first, and leave the room. A second call does nothing."""
        self._ended.set()
        phone, self.phone = self.phone, None
        if phone is not None and bye:
            phone.on_bye(self)
        await self._status("hangup")
        await self._leave(Reason.CLIENT_INITIATED)

    async def _leave(self, reason: "Reason.ValueType") -> None:
        self._ended.set()
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.room.disconnect(reason=reason)
        await self._source.aclose()

    async def _status(self, status: str) -> None:
        if self.room.isconnected():
            await self.room.local_participant.set_attributes({"sip.callStatus": status})

    # The phone's side

    def ring(self) -> None:
        self._spawn(self._status("ringing"))

    async def answer(self) -> None:
        self._settle(200)
        self._spawn(self._speak())

    def reject(self, code: int) -> None:
        self._settle(code)

    async def hang_up(self) -> None:
        self.phone = None
        self._ended.set()

    def speak(self, frame: bytes) -> None:
        self._to_room.append((time.monotonic() + self.network.line_delay_s, through_g711(frame)))

    def press(self, digit: str) -> None:
        self._spawn(self.room.local_participant.publish_dtmf(code=DTMF_EVENTS.index(digit), digit=digit))

    def report_transfer(self, code: int) -> None:
        if self._transfer is not None and not self._transfer.done():
            self._transfer.set_result(code)

    # Sound

    async def _speak(self) -> None:
        while not self._ended.is_set():
            early_s = self._to_room[0][0] - time.monotonic() if self._to_room else FRAME_S
            if early_s > 0:
                await asyncio.sleep(early_s)
                continue
            pcm = b"".join(self._to_room.popleft()[1] for _ in range(min(self._together, len(self._to_room))))
            if not any(pcm) and self._source.queued_duration > QUEUE_S:
                continue
            await self._source.capture_frame(rtc.AudioFrame(pcm, RATE, 1, len(pcm) // 2))

    async def _keep_listening(self) -> None:
        """What is asked for while the connection to the room is made anew is lost: ask until it is there."""
        while not self._ended.is_set():
            self._subscribe_all()
            await asyncio.sleep(LISTENS_AGAIN_AFTER_S)

    def _subscribe_all(self) -> None:
        for participant in self.room.remote_participants.values():
            for publication in participant.track_publications.values():
                self._subscribe(publication)

    def _subscribe(self, publication: rtc.RemoteTrackPublication) -> None:
        if publication.kind == rtc.TrackKind.KIND_AUDIO and self._final.done() and publication.track is None:
            publication.set_subscribed(True)

    def _listen(self, track: rtc.Track) -> None:
        if isinstance(track, rtc.RemoteAudioTrack):
            self._heard[track.sid] = self._spawn(self._hear(track))

    def _stop_listening(self, track: rtc.Track) -> None:
        # Its stream does not end by itself when the whole room is left and joined again.
        if (hearing := self._heard.pop(track.sid, None)) is not None:
            hearing.cancel()

    async def _hear(self, track: rtc.RemoteAudioTrack) -> None:
        loop = asyncio.get_running_loop()
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=round(self._together * FRAME_S * 1000))
        try:
            async for event in stream:
                for number, piece in enumerate(frames(bytes(event.frame.data))):
                    # The first of them has waited for the last one here, in the place of the line.
                    delay_s = self.network.line_delay_s - (self._together - 1 - number) * FRAME_S
                    for frame in self._ear.mixed(track.sid, piece):
                        loop.call_later(delay_s, self._deliver, frame)
        finally:
            self._ear.forget(track.sid)
            await stream.aclose()

    def _deliver(self, frame: bytes) -> None:
        if self.phone is not None:
            self.phone.on_audio(frame)

    # Inside

    async def _decided(self, decision: "asyncio.Future[int]", within_s: float) -> None:
        """Return when the phone has decided, the call is over, or time is up."""
        over: asyncio.Future[Any] = asyncio.create_task(self._ended.wait())
        await asyncio.wait({decision, over}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()

    def _settle(self, status: int) -> None:
        if not self._final.done():
            self._final.set_result(status)

    def _spawn(self, work: Any) -> "asyncio.Future[Any]":
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class Ear:
    """Mixes the room's tracks: the first one beats the time, and what the others brought since is added to its frames."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[bytes]] = {}

    def mixed(self, track: str, frame: bytes) -> list[bytes]:
        """The frames to be heard now that `track` brought one: one or none."""
        self._waiting.setdefault(track, deque(maxlen=10))
        if track != next(iter(self._waiting)):
            self._waiting[track].append(frame)
            return []
        total = samples(frame).astype(int)
        for other, waiting in self._waiting.items():
            if other != track and waiting:
                total = total + samples(waiting.popleft())
        return [total.clip(-32768, 32767).astype("int16").tobytes()]

    def forget(self, track: str) -> None:
        self._waiting.pop(track, None)


def _reason_of(error: RpcError) -> "Reason.ValueType":
    """What livekit-sip gives as the reason for leaving; livekit-server may show another, so nobody should rely on it."""
    if error.sip_code in (404, 408, 480) or error.code == "canceled":
        return Reason.USER_UNAVAILABLE
    return Reason.UNKNOWN_REASON if 500 <= error.sip_code < 600 else Reason.USER_REJECTED
