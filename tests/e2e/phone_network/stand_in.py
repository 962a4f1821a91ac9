"""A stand-in for LiveKit's SIP service: livekit-server calls it through Redis, as it calls livekit-sip; no SIP is spoken.

What it shows the room and the API is what livekit-sip 1.10 does (source read, most of it run beside it). What it cannot show: SIP itself,
codec negotiation, jitter and loss, a media time-out.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.protobuf.message import Message

from ...servers import LiveKitServer, RedisServer
from .network import PhoneNetwork
from .outcomes import refused
from .psrpc import Handler, RpcServer, messages
from .stand_in_call import StandInCall

# With WebRTC's own 30-80 ms it makes 220-280 ms in each direction; livekit-sip's mixer and jitter buffers make 265-275 on loopback.
LINE_DELAY_S = 0.2


class StandIn(PhoneNetwork):
    name = "stand-in"
    address = "phones.invalid:5060"

    def __init__(self, livekit: LiveKitServer, redis: RedisServer, *, line_delay_s: float = LINE_DELAY_S) -> None:
        super().__init__()
        self.livekit, self.line_delay_s = livekit, line_delay_s
        self._rpc = RpcServer(redis.port, "SIPInternal")
        self._calls: dict[str, StandInCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._rpc.start()
        self._answer_dials()

    def _answer_dials(self) -> None:
        self._rpc.register("CreateSIPParticipant", Handler(messages["CreateSIPParticipant"], self._dial))

    async def stop(self) -> None:
        for call in list(self._calls.values()):
            await call.end(bye=True)
        await self._rpc.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        self._rpc.unregister("CreateSIPParticipant")
        try:
            yield
        finally:
            self._answer_dials()

    async def _dial(self, request: Any, given_up_at: float) -> Message:
        call = StandInCall(self, request, given_up_at)
        await call.join_room()
        self._calls[request.sip_call_id] = call
        transfer = Handler(messages["TransferSIPParticipant"], call.transfer)
        self._rpc.register("TransferSIPParticipant", transfer, topic=request.sip_call_id)
        created: Message = messages["CreatedSIPParticipant"](
            participant_id=call.room.local_participant.sid,
            participant_identity=request.participant_identity,
            sip_call_id=request.sip_call_id,
        )
        task = asyncio.create_task(self._carry(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if request.wait_until_answered:
            await call.answered_or_failed()
        return created

    async def _carry(self, call: StandInCall) -> None:
        """From the INVITE to the end of the call."""
        try:
            await call.run()
        finally:
            self._calls.pop(call.request.sip_call_id, None)
            self._rpc.unregister("TransferSIPParticipant", topic=call.request.sip_call_id)

    def invite(self, call: StandInCall) -> None:
        """Ring the phone that the call is for; an address of elsewhere never answers. Raises RpcError when there is no such number."""
        if call.request.address != self.address:
            return
        phone = self.phones.get(call.request.call_to)
        if phone is None:
            raise refused(404)
        call.phone = phone
        phone.on_invite(call)
