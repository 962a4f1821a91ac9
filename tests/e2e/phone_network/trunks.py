"""Trunks in livekit-server, as an operator makes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit import api
from livekit.protocol.sip import CreateSIPOutboundTrunkRequest, DeleteSIPTrunkRequest, SIPOutboundTrunkInfo

from ...servers import LiveKitServer

FROM_NUMBER = "+351210000001"


@asynccontextmanager
async def administrator(livekit: LiveKitServer) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(livekit.http_url, livekit.api_key, livekit.api_secret) as client:
        yield client


async def make_trunk(livekit: LiveKitServer, address: str) -> str:
    """A trunk to a telephone network at `address`; its id."""
    async with administrator(livekit) as client:
        info = SIPOutboundTrunkInfo(name="phones", address=address, numbers=[FROM_NUMBER])
        trunk = await client.sip.create_outbound_trunk(CreateSIPOutboundTrunkRequest(trunk=info))
        return str(trunk.sip_trunk_id)


async def delete_trunk(livekit: LiveKitServer, trunk: str) -> None:
    async with administrator(livekit) as client:
        await client.sip.delete_trunk(DeleteSIPTrunkRequest(sip_trunk_id=trunk))
