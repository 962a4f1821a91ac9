"""LiveKit's API, in our words: rooms with their dispatch, the dial, the transfer. The only module that knows `livekit.api`.

Nothing of the SDK leaves it: what goes wrong is a GatewayError, and says what it was (`kind`) and whether asking again can help.
No request is repeated behind our back (`failover=False`): a lost answer to a dial must not become a second INVITE.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from django.conf import settings

from .exceptions import DialFailed, FailureKind, GatewayError, TransferFailed

if TYPE_CHECKING:
    # 42 MB and half a second: only processes that talk to LiveKit pay them.
    from livekit import api

T = TypeVar("T")

REQUEST_TIMEOUT_S = 5.0
# Who stands still answers nothing; a busy machine's LiveKit answers within hundredths of a second.
ANSWERS_AT_ONCE_S = 2.0
# livekit-server's own answer has to come first, also on a busy machine (facts: livekit-stack §3.6).
ANSWERS_LATE_BY_S = 10.0
# livekit-server gives a dial up after 80 s; ringing that long would look like a lost answer.
LONGEST_RING_S = 78
CALLEE = "callee"
# What `sip.callStatus` reads from the moment of picking up; before it, `dialing` and `ringing` (facts: livekit-stack §3.7).
PICKED_UP = frozenset({"automation", "active", "hangup"})
# Nobody there at all; then: everybody left. A room that LiveKit's Redis has lost goes by this alone; its call cannot be dialled before.
EMPTY_ROOM_S = 30
LEFT_ROOM_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """One INVITE: into which room, to which number, as whom, and for how long it may ring and last (seconds)."""

    room: str
    number: str
    trunk_id: str
    ring_timeout_s: int
    max_call_duration_s: int
    from_number: str = ""
    identity: str = CALLEE

    def __repr__(self) -> str:
        return f"Dial({self.room})"


@dataclass(frozen=True, slots=True)
class Answer:
    """Somebody picked up."""

    sip_call_id: str
    participant_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Somebody in a room. `kind` is LiveKit's: "sip" for a telephone, "agent" for a job; `call_status` is `sip.callStatus`, a hint."""

    identity: str
    kind: str
    call_status: str = ""
    joined_at: datetime | None = None
    # False: still on the way in, or back in after a restart of LiveKit; who is told to leave just then does not hear it.
    is_connected: bool = True

    @property
    def is_callee(self) -> bool:
        return self.identity == CALLEE

    @property
    def is_agent(self) -> bool:
        return self.kind == "agent"

    @property
    def picked_up(self) -> bool:
        """Never the opposite: after a restart of LiveKit a call in progress reads `dialing` again."""
        return self.call_status in PICKED_UP


class Gateway:
    """A connection to LiveKit, to be used within one event loop, and closed: `async with Gateway.from_settings() as gateway`."""

    def __init__(self, *, url: str, api_key: str, api_secret: str) -> None:
        import aiohttp
        from livekit import api

        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S))
        self._api = api.LiveKitAPI(url, api_key, api_secret, session=self._session, failover=False)

    @classmethod
    def from_settings(cls) -> Self:
        """Raises GatewayError (not_configured) when LIVEKIT_URL, LIVEKIT_API_KEY or LIVEKIT_API_SECRET is missing."""
        if not (settings.LIVEKIT_URL and settings.LIVEKIT_API_KEY and settings.LIVEKIT_API_SECRET):
            raise GatewayError(FailureKind.NOT_CONFIGURED)
        return cls(url=settings.LIVEKIT_URL, api_key=settings.LIVEKIT_API_KEY, api_secret=settings.LIVEKIT_API_SECRET)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._api.aclose()
        await self._session.close()

    async def open_room(
        self,
        room: str,
        *,
        metadata: dict[str, str],
        agent_name: str,
        empty_timeout_s: int = EMPTY_ROOM_S,
        departure_timeout_s: int = LEFT_ROOM_S,
    ) -> None:
        """Make the room and dispatch an agent to it, in one request. A job that dies is not started again (JRP_NEVER).

        The room's metadata names the agent: by it we know our rooms from those of others on the same LiveKit. A room that lives
        already dispatches nobody: delete it first. Raises GatewayError.
        """
        from livekit import api
        from livekit.protocol.agent_dispatch import JobRestartPolicy

        dispatch = api.RoomAgentDispatch(agent_name=agent_name, metadata=json.dumps(metadata), restart_policy=JobRestartPolicy.JRP_NEVER)
        await self._asked(
            self._api.room.create_room(
                api.CreateRoomRequest(
                    name=room,
                    metadata=agent_name,
                    empty_timeout=empty_timeout_s,
                    departure_timeout=departure_timeout_s,
                    agents=[dispatch],
                )
            )
        )

    async def delete_room(self, room: str, *, uncarried_too: bool = False) -> bool:
        """Close the room: the job and the phone are let go. False: LiveKit knows no such room, which is no error. Raises GatewayError.

        A room whose server has died is in LiveKit's Redis, and no server carries it until somebody joins it again: it cannot be deleted
        (service_away), or, with `uncarried_too`, is given to a server first. Then nobody can come back into it: a phone that was about to
        tries for half a minute before it hangs up, so its return is to be waited for (ten seconds after LiveKit's).
        """
        try:
            await self._delete(room)
        except GatewayError as error:
            if error.kind == FailureKind.SERVICE_AWAY and uncarried_too:
                return await self._delete_uncarried(room)
            if error.kind != FailureKind.ROOM_GONE:
                raise
            return False
        return True

    async def _delete(self, room: str) -> None:
        from livekit import api

        # A LiveKit that stands still would delete it as soon as it goes on, with phones on their way back into it.
        try:
            async with asyncio.timeout(ANSWERS_AT_ONCE_S):
                await self.check_connection()
        except TimeoutError:
            raise GatewayError(FailureKind.AMBIGUOUS, said="stands still") from None
        await self._asked(self._api.room.delete_room(api.DeleteRoomRequest(room=room)))

    async def _delete_uncarried(self, room: str) -> bool:
        from livekit import api

        await self._asked(self._api.room.create_room(api.CreateRoomRequest(name=room)))
        await self._delete(room)
        return True

    async def remove_forgotten_callee(self, room: str) -> bool:
        """Hang up on a callee whose room LiveKit's Redis has lost while its server still carries it. Raises GatewayError.

        Such a room cannot be deleted, nor anybody removed from it: both look into Redis first. A change of a track makes the server
        write its participant there again. False: there is no such callee, or nothing is heard of them yet.
        """
        from livekit import api

        there = await self._asked(self._api.room.list_participants(api.ListParticipantsRequest(room=room)))
        tracks = [track.sid for someone in there.participants if someone.identity == CALLEE for track in someone.tracks]
        if not tracks:
            return False
        await self._asked(
            self._api.room.mute_published_track(api.MuteRoomTrackRequest(room=room, identity=CALLEE, track_sid=tracks[0], muted=True))
        )
        await self._asked(self._api.room.remove_participant(api.RoomParticipantIdentity(room=room, identity=CALLEE)))
        return True

    async def list_rooms(self, *, agent_name: str) -> set[str]:
        """The names of the rooms alive that were opened for this agent; one request, whatever their number. Raises GatewayError."""
        from livekit import api

        found = await self._asked(self._api.room.list_rooms(api.ListRoomsRequest()))
        return {room.name for room in found.rooms if room.metadata == agent_name}

    async def participants(self, room: str) -> list[Participant]:
        """Who is in the room. Raises GatewayError: service_away, within four seconds, where no server carries such a room."""
        from livekit import api

        found = await self._asked(self._api.room.list_participants(api.ListParticipantsRequest(room=room)))
        return [
            Participant(
                identity=participant.identity,
                kind=api.ParticipantInfo.Kind.Name(participant.kind).lower(),
                call_status=participant.attributes.get("sip.callStatus", ""),
                joined_at=datetime.fromtimestamp(participant.joined_at, UTC) if participant.joined_at else None,
                is_connected=participant.state == api.ParticipantInfo.State.ACTIVE,
            )
            for participant in found.participants
        ]

    async def dial(self, dial: Dial) -> Answer:
        """Call the number into the room, and wait until somebody picks up. Raises DialFailed.

        A DialFailed that is ambiguous (no answer from LiveKit) means that the phone may be ringing: delete the room.
        """
        from google.protobuf.duration_pb2 import Duration
        from livekit import api

        request = api.CreateSIPParticipantRequest(
            sip_trunk_id=dial.trunk_id,
            sip_call_to=dial.number,
            sip_number=dial.from_number,
            room_name=dial.room,
            participant_identity=dial.identity,
            wait_until_answered=True,
            # A tone in the room would reach the model's ears.
            play_dialtone=False,
            # Else the number stands in LiveKit's Redis, and in its participants' attributes.
            hide_phone_number=True,
            ringing_timeout=Duration(seconds=min(dial.ring_timeout_s, LONGEST_RING_S)),
            # The guard that outlives us: LiveKit hangs up by itself.
            max_call_duration=Duration(seconds=dial.max_call_duration_s),
        )
        try:
            info = await self._asked(self._api.sip.create_sip_participant(request, timeout=dial.ring_timeout_s + ANSWERS_LATE_BY_S))
        except _Refusal as refusal:
            raise DialFailed(
                refusal.kind, said=refusal.said, sip_status_code=refusal.sip_status_code, sip_status=refusal.sip_status
            ) from None
        return Answer(sip_call_id=info.sip_call_id, participant_id=info.participant_id)

    async def transfer(self, *, room: str, to: str, ring_timeout_s: int, identity: str = CALLEE) -> None:
        """Put the callee through to another number (SIP REFER). Returning is success; raises TransferFailed."""
        from google.protobuf.duration_pb2 import Duration
        from livekit import api
        from livekit.protocol.sip import SIPTransferStatus

        request = api.TransferSIPParticipantRequest(
            room_name=room,
            participant_identity=identity,
            transfer_to=to if ":" in to else f"tel:{to}",
            play_dialtone=False,
            ringing_timeout=Duration(seconds=ring_timeout_s),
        )
        try:
            answer = await self._asked(self._api.sip.transfer_sip_participant(request, timeout=ring_timeout_s + ANSWERS_LATE_BY_S))
        except _Refusal as refusal:
            raise TransferFailed(
                refusal.kind, said=refusal.said, sip_status_code=refusal.sip_status_code, reason=refusal.transfer_reason
            ) from None
        # livekit-server 1.13.5 answers with an empty message, which reads as “ongoing”: no exception, and it was done.
        # A server that does set a status means it (facts: livekit-stack §3.8).
        if answer.status not in (SIPTransferStatus.STS_TRANSFER_ONGOING, SIPTransferStatus.STS_TRANSFER_SUCCESSFUL):
            raise TransferFailed(FailureKind.SIP, sip_status_code=answer.sip_status.code or None)

    async def check_connection(self) -> None:
        """Raise GatewayError unless LiveKit is there and takes our key."""
        from livekit import api

        await self._asked(self._api.room.list_rooms(api.ListRoomsRequest(names=["-"])))

    async def check_trunk(self, trunk_id: str) -> None:
        """Raise GatewayError (trunk_unknown) unless LiveKit has this outbound trunk."""
        from livekit import api

        found = await self._asked(self._api.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest(trunk_ids=[trunk_id])))
        if not any(trunk.sip_trunk_id == trunk_id for trunk in found.items):
            raise GatewayError(FailureKind.TRUNK_UNKNOWN)

    async def _asked(self, request: Awaitable[T]) -> T:
        import aiohttp
        from livekit import api

        try:
            return await request
        except api.ServerError as error:
            raise _Refusal.of(error) from None
        except (TimeoutError, aiohttp.ClientError) as error:
            raise _Refusal(FailureKind.AMBIGUOUS, said=type(error).__name__) from None


class _Refusal(GatewayError):
    """LiveKit could not do it: {kind}."""

    sip_status_code: int | None = None
    sip_status = ""
    transfer_reason = ""

    @classmethod
    def of(cls, error: api.ServerError) -> Self:
        from livekit import api

        refusal = cls(_kind_of(error), said=error.code)
        if isinstance(error, api.SipCallError):
            refusal.sip_status_code = error.sip_status_code
            refusal.sip_status = (error.sip_status or "")[:64]
            refusal.transfer_reason = error.sip_transfer_reason or ""
        return refusal


# Twirp's code → what it means to us; what depends on the words as well is in _kind_of.
KINDS = {
    "unauthenticated": FailureKind.KEY_REFUSED,
    "permission_denied": FailureKind.KEY_REFUSED,
    "unavailable": FailureKind.SERVICE_AWAY,
    "failed_precondition": FailureKind.CARRIER_AUTH,
    "invalid_argument": FailureKind.NOT_UNDERSTOOD,
    "malformed": FailureKind.NOT_UNDERSTOOD,
    "bad_route": FailureKind.NOT_UNDERSTOOD,
    "unimplemented": FailureKind.NOT_UNDERSTOOD,
    "deadline_exceeded": FailureKind.AMBIGUOUS,
}


def _kind_of(error: api.ServerError) -> FailureKind:
    from livekit import api

    if isinstance(error, api.SipCallError) and error.sip_status_code is not None:
        return FailureKind.SIP
    if error.code == "not_found":
        return FailureKind.TRUNK_UNKNOWN if "trunk" in error.message else FailureKind.ROOM_GONE
    if error.code == "canceled":
        # “sip request timed out”: it rang. “transaction failed to complete”: nobody at the other end (facts: §3.7).
        return FailureKind.RANG_OUT if "timed out" in error.message else FailureKind.CARRIER_SILENT
    if error.status == HTTPStatus.UNAUTHORIZED:
        # livekit-server's own “no” to a key comes before Twirp and has no code.
        return FailureKind.KEY_REFUSED
    if error.code == "internal" and "redis required" in error.message:
        return FailureKind.SERVICE_AWAY
    return KINDS.get(error.code, FailureKind.AWAY)
