"""What the reconciler sees and does, on a real livekit-server with people in its rooms."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from livekit import api, rtc
from redis import Redis

from calls.gateway import Gateway
from tests.servers import LiveKitServer, RedisServer, livekit_server, redis_server

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio]
ROOM = "call_restaurante_00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def server(redis: RedisServer) -> Iterator[LiveKitServer]:
    with livekit_server(redis) as running:
        yield running


@pytest_asyncio.fixture
async def gateway(server: LiveKitServer) -> AsyncIterator[Gateway]:
    async with Gateway(url=server.url, api_key=server.api_key, api_secret=server.api_secret) as opened:
        yield opened


class Person:
    """Somebody in the room, and how they left it."""

    def __init__(self, server: LiveKitServer, identity: str, kind: str, attributes: dict[str, str]) -> None:
        token = api.AccessToken(server.api_key, server.api_secret).with_identity(identity).with_kind(kind).with_attributes(attributes)
        self._url, self._token = server.url, token.with_grants(api.VideoGrants(room_join=True, room=ROOM)).to_jwt()
        self.room = rtc.Room()
        self.left: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.room.on("disconnected", self._has_left)

    async def join(self) -> None:
        await self.room.connect(self._url, self._token)
        track = rtc.LocalAudioTrack.create_audio_track("voice", rtc.AudioSource(24_000, 1))
        await self.room.local_participant.publish_track(track)

    def _has_left(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if not self.left.done():
            self.left.set_result(rtc.DisconnectReason.Name(reason))


@pytest_asyncio.fixture
async def people(server: LiveKitServer, gateway: Gateway) -> AsyncIterator[list[Person]]:
    await gateway.open_room(ROOM, metadata={}, agent_name="chamada")
    both = [Person(server, "callee", "sip", {"sip.callStatus": "active"}), Person(server, "agent-AJ_1", "agent", {})]
    for person in both:
        await person.join()
    yield both
    for person in both:
        await person.room.disconnect()
    await gateway.delete_room(ROOM)


async def test_who_is_in_the_room_is_seen(people: list[Person], gateway: Gateway) -> None:
    inside = sorted(await gateway.participants(ROOM), key=lambda someone: someone.identity)
    assert [(someone.kind, someone.is_agent, someone.is_callee, someone.picked_up) for someone in inside] == [
        ("agent", True, False, False),
        ("sip", False, True, True),
    ]
    assert all(someone.joined_at for someone in inside)
    assert await gateway.delete_room(ROOM)
    assert [await asyncio.wait_for(person.left, 10) for person in people] == ["ROOM_DELETED"] * 2


async def test_a_callee_in_a_room_that_redis_has_lost_is_let_go(people: list[Person], gateway: Gateway, redis: RedisServer) -> None:
    Redis(port=redis.port).delete("rooms", "room_internal", f"room_participants:{ROOM}")
    assert ROOM not in await gateway.list_rooms(agent_name="chamada")
    assert len(await gateway.participants(ROOM)) == 2
    assert not await gateway.delete_room(ROOM)
    callee, agent = people
    assert not callee.left.done()
    assert await gateway.remove_forgotten_callee(ROOM)
    assert await asyncio.wait_for(callee.left, 10) == "PARTICIPANT_REMOVED"
    assert not agent.left.done()
