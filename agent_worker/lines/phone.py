"""The phone line: LiveKit's room, and in it the callee's phone."""

import asyncio
from typing import Any

import structlog
from django.conf import settings
from livekit import rtc
from livekit.agents import Agent, AgentSession, AutoSubscribe, JobContext
from livekit.agents.voice import TranscriptSynchronizer
from livekit.agents.voice.room_io import AudioInputOptions, RoomOptions

from calls.exceptions import GatewayError
from calls.exceptions import TransferFailed as TransferRefused
from calls.gateway import CALLEE, Answer, Dial, Gateway
from calls.models import Call

from ..session import NOTHING_RECORDED, keep_words_with_sound
from .base import Line, LineLost, TransferFailed

log = structlog.get_logger(__name__)

# LiveKit hangs up by itself so long after our own limit: the guard that survives this process.
LONGER_THAN_OURS_S = 30
TRANSFER_RINGS_S = 25
# Half a minute in all: a LiveKit that restarts is back by then.
HANG_UP_TRIES = 12
BETWEEN_TRIES_S = 0.5
STATUS = "sip.callStatus"


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
        self._hanging_up = asyncio.Lock()
        self._handlers: list[tuple[str, Any]] = [
            ("participant_connected", self._joined),
            ("participant_attributes_changed", self._attributes_changed),
            ("participant_disconnected", self._left),
            ("sip_dtmf_received", self._digit),
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
            for attempt in range(1, HANG_UP_TRIES + 1):
                try:
                    await self._gateway.delete_room(self._room_name)
                except GatewayError as error:
                    log.warning("room could not be deleted", kind=error.kind, attempt=attempt)
                    await asyncio.sleep(BETWEEN_TRIES_S * min(attempt, 8))
                else:
                    self._hung_up = True
                    return
            log.error("line could not be closed")

    async def transfer(self, to: str) -> None:
        try:
            await self._gateway.transfer(room=self._room_name, to=to, ring_timeout_s=TRANSFER_RINGS_S)
        except TransferRefused as refused:
            log.info("transfer failed", kind=refused.kind, sip_status_code=refused.sip_status_code)
            raise TransferFailed(sip_status_code=refused.sip_status_code, sip_status=refused.reason) from refused

    async def aclose(self) -> None:
        for event, handler in self._handlers:
            self._room.off(event, handler)  # type: ignore[arg-type]
        if self._synchronizer is not None:
            await self._synchronizer.aclose()
        await self._gateway.aclose()

    # -- what the room tells ----------------------------------------------------------------------------------------

    def _joined(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == CALLEE:
            self._status(participant.attributes.get(STATUS, ""))

    def _attributes_changed(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant.identity == CALLEE:
            self._status(changed.get(STATUS, ""))

    def _status(self, status: str) -> None:
        # Only a hint, as all of them: after a restart of LiveKit a call in progress reads `dialing` again.
        if status == "ringing":
            self.rings()

    def _left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == CALLEE:
            reason = participant.disconnect_reason
            self.callee_left("UNKNOWN_REASON" if reason is None else rtc.DisconnectReason.Name(reason))

    def _digit(self, dtmf: rtc.SipDTMF) -> None:
        if dtmf.participant is not None and dtmf.participant.identity == CALLEE:
            self.digit_pressed(dtmf.digit)

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """The room has let go of us: with it, the callee."""
        self.callee_left(rtc.DisconnectReason.Name(reason))
