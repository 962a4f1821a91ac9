"""The phone line: LiveKit's room, and in it the callee's phone."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from livekit import rtc
from livekit.agents import Agent, AgentSession, AutoSubscribe, JobContext
from livekit.agents.voice import TranscriptSynchronizer
from livekit.agents.voice.room_io import AudioInputOptions, RoomOptions

from calls.exceptions import FailureKind, GatewayError
from calls.exceptions import TransferFailed as TransferRefused
from calls.gateway import CALLEE, Answer, Dial, Gateway
from calls.models import Call

from ..session import NOTHING_RECORDED, keep_words_with_sound
from .base import Line, LineLost, TransferFailed

log = structlog.get_logger(__name__)

# LiveKit hangs up by itself so long after our own limit: the guard that survives this process.
LONGER_THAN_OURS_S = 30
TRANSFER_RINGS_S = 25
# A LiveKit that restarts is back by then. Whom it could not be told of until then the reconciler lets go.
HANGS_UP_WITHIN_S = 40.0
BETWEEN_TRIES_S = 1.0
STATUS = "sip.callStatus"
# livekit-sip hangs up when it is told so by this (facts: livekit-stack §3.7).
END_CALL = "lk.sip.EndCall"
ENDS_CALL_WITHIN_S = 3.0
# A LiveKit that restarts in 3 s has job and callee back, one after the other, within ten. Who hears nothing for longer than this is let go.
RETURNS_WITHIN_S = 20.0
# After LiveKit is back, so long is waited for the callee to be back in the room before they are hung up on: a phone whose room goes while
# it joins again does not notice, and stays on the line.
JOINS_AGAIN_WITHIN_S = 12.0
# A LiveKit that goes on after it stood still has not noticed yet that everybody has hung up on it.
NOTICES_AFTER_S = 5.0
# Who is back in the room has yet to take up our sound, of which LiveKit tells; when it does not, that is taken for done.
HEARS_WITHIN_S = 4.0
LINE_LOST = "LINE_LOST"


class PhoneLine(Line):
    """One call through LiveKit's SIP service. The callee is the participant `callee` of the job's room."""

    simulated = False

    def __init__(self, context: JobContext, gateway: Gateway) -> None:
        super().__init__()
        self._context, self._gateway = context, gateway
        self._room = context.room
        self._room_name = context.job.room.name
        self._synchronizer: TranscriptSynchronizer | None = None
        self._hung_up = False
        self._callee_is_gone = asyncio.Event()
        self._outage: asyncio.TimerHandle | None = None
        self._callee_returned = False
        self._livekit_was_away = False
        self._livekit_back_at: float | None = None
        self._hanging_up = asyncio.Lock()
        self._handlers: list[tuple[str, Any]] = [
            ("participant_connected", self._joined),
            ("participant_attributes_changed", self._attributes_changed),
            ("participant_disconnected", self._left),
            ("local_track_subscribed", self._heard),
            ("sip_dtmf_received", self._digit),
            ("reconnecting", self._reconnecting),
            ("reconnected", self._reconnected),
            ("disconnected", self._disconnected),
        ]
        for event, handler in self._handlers:
            self._room.on(event, handler)  # type: ignore[arg-type]  # the library's literal types

    async def attach(self, session: AgentSession[Any], agent: Agent) -> None:
        try:
            await self._context.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
        except (rtc.ConnectError, TimeoutError) as error:
            log.warning("room cannot be reached", error=type(error).__name__)
            raise LineLost from error
        for participant in self._room.remote_participants.values():
            self._joined(participant)
        options = RoomOptions(
            participant_identity=CALLEE,
            audio_input=AudioInputOptions(sample_rate=24_000, pre_connect_audio=False),
            text_input=False,
            # What is said goes into the journal; nobody in the room reads along.
            text_output=False,
            # It closes for some reasons only, and never before the transcript is safe: the call's controller does it.
            close_on_disconnect=False,
            delete_room_on_close=False,
        )
        await session.start(agent, room=self._room, room_options=options, record=NOTHING_RECORDED, session_host=False)
        self._synchronizer = keep_words_with_sound(session)

    async def dial(self, call: Call) -> Answer:
        return await self._gateway.dial(
            Dial(
                room=self._room_name,
                number=call.number,
                trunk_id=settings.SIP_TRUNK_ID,
                from_number=settings.SIP_FROM_NUMBER,
                ring_timeout_s=call.ring_timeout_s,
                max_call_duration_s=call.max_duration_s + LONGER_THAN_OURS_S,
            )
        )

    async def hang_up(self) -> None:
        async with self._hanging_up:
            if self._hung_up:
                return
            try:
                async with asyncio.timeout(HANGS_UP_WITHIN_S):
                    await self._delete_the_room()
            except TimeoutError:
                log.error("line could not be closed")

    async def _delete_the_room(self) -> None:
        while not self._hung_up:
            try:
                if not self._livekit_was_away or await self._callee_is_back_or_will_not_come():
                    gone = await self._gateway.delete_room(self._room_name, uncarried_too=self._livekit_was_away)
                    self._hung_up = gone or await self._let_callee_go()
            except GatewayError as error:
                log.warning("room could not be deleted", kind=error.kind)
                self._livekit_was_away = True
            if not self._hung_up:
                await asyncio.sleep(BETWEEN_TRIES_S)

    async def _callee_is_back_or_will_not_come(self) -> bool:
        """After LiveKit was away: whether hanging up reaches everybody whom it can reach. Raises GatewayError."""
        now = asyncio.get_running_loop().time()
        try:
            there = await self._gateway.participants(self._room_name)
        except GatewayError as error:
            if error.kind != FailureKind.SERVICE_AWAY:
                self._livekit_back_at = None
                raise
            there = []  # nobody has come back to it yet
        if self._livekit_back_at is None:
            self._livekit_back_at = now
        if self._callee_is_gone.is_set():
            return True
        is_there = any(each.is_callee and each.is_connected for each in there)
        return now - self._livekit_back_at >= (NOTICES_AFTER_S if is_there else JOINS_AGAIN_WITHIN_S)

    async def _let_callee_go(self) -> bool:
        """A Redis that came back empty has forgotten the room; job and callee are in it all the same. Raises GatewayError."""
        if not self._room.isconnected() or CALLEE not in self._room.remote_participants:
            return True
        log.warning("LiveKit does not know the room of this call")
        try:
            async with asyncio.timeout(ENDS_CALL_WITHIN_S):
                await self._room.local_participant.perform_rpc(destination_identity=CALLEE, method=END_CALL, payload="{}")
                await self._callee_is_gone.wait()
        except (rtc.RpcError, TimeoutError) as error:
            log.warning("callee's phone did not answer that it hangs up", error=type(error).__name__)
        return self._callee_is_gone.is_set() or await self._gateway.remove_forgotten_callee(self._room_name)

    async def transfer(self, to: str) -> None:
        try:
            await self._gateway.transfer(room=self._room_name, to=to, ring_timeout_s=TRANSFER_RINGS_S)
        except TransferRefused as refused:
            log.info("transfer failed", kind=refused.kind, sip_status_code=refused.sip_status_code)
            raise TransferFailed(sip_status_code=refused.sip_status_code, sip_status=refused.reason) from refused

    async def aclose(self) -> None:
        self._line_is_back()
        for event, handler in self._handlers:
            self._room.off(event, handler)  # type: ignore[arg-type]
        if self._synchronizer is not None:
            await self._synchronizer.aclose()
        await self._gateway.aclose()

    # -- what the room tells ----------------------------------------------------------------------------------------

    def _joined(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == CALLEE:
            if self._room.isconnected():
                self._callee_is_back()
            self._status(participant.attributes.get(STATUS, ""))

    def _attributes_changed(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant.identity == CALLEE:
            self._status(changed.get(STATUS, ""))

    def _status(self, status: str) -> None:
        # Only a hint, as all of them: after a restart of LiveKit a call in progress reads `dialing` again.
        if status == "ringing":
            self.rings()

    def _left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity != CALLEE:
            return
        reason = participant.disconnect_reason or rtc.DisconnectReason.UNKNOWN_REASON
        if self._outage is not None and not self._callee_returned and reason == rtc.DisconnectReason.UNKNOWN_REASON:
            # Our own connection is being made anew, and nobody has said that they left.
            return
        self._gone(rtc.DisconnectReason.Name(reason))

    def _gone(self, why: str) -> None:
        self._line_is_back()
        self._callee_is_gone.set()
        self.callee_left(why)

    # -- a LiveKit that restarts ------------------------------------------------------------------------------------

    def _reconnecting(self) -> None:
        if self._outage is None:
            log.warning("connection to the room is lost")
            self._livekit_was_away = True
            self.is_away(True)  # noqa: FBT003  # there is one thing to say
        elif not self._callee_returned:
            return
        self._callee_returned = False
        self._wait(RETURNS_WITHIN_S, lambda: self._gone(LINE_LOST))

    def _reconnected(self) -> None:
        log.info("connection to the room is back")
        self._livekit_back_at = asyncio.get_running_loop().time()
        if (callee := self._room.remote_participants.get(CALLEE)) is not None:
            self._callee_is_back()
            # The library asked for their sound as soon as it saw them, when nothing could be sent yet.
            for publication in callee.track_publications.values():
                publication.set_subscribed(True)

    def _callee_is_back(self) -> None:
        if self._outage is not None and not self._callee_returned:
            self._callee_returned = True
            self._wait(HEARS_WITHIN_S, self._line_is_back)

    def _heard(self, _track: rtc.Track) -> None:
        self._line_is_back()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        if self._outage is not None:
            self._outage.cancel()
        self._outage = asyncio.get_running_loop().call_later(seconds, then)

    def _line_is_back(self) -> None:
        if self._outage is not None:
            log.info("outage of the line is over")
            self._outage.cancel()
            self._outage = None
            self.is_away(False)  # noqa: FBT003

    def _digit(self, dtmf: rtc.SipDTMF) -> None:
        if dtmf.participant is not None and dtmf.participant.identity == CALLEE:
            self.digit_pressed(dtmf.digit)

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """The room has let go of us: with it, the callee. Without a reason: it could not be reached again."""
        unknown = reason == rtc.DisconnectReason.UNKNOWN_REASON
        self._gone(LINE_LOST if unknown else rtc.DisconnectReason.Name(reason))
