"""The tests' own LiveKit is held to the real one: the same requests, the same answers from both."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio
from livekit import api

from calls.exceptions import DialFailed, FailureKind, GatewayError
from calls.gateway import Dial, Gateway
from tests.numbers import pt_mobile
from tests.servers import LiveKitServer, Process, livekit_server, redis_server
from tests.servers.ports import answers

from .livekit_api import FakeLiveKit, TwirpError, fake_livekit


@dataclass(frozen=True)
class Wire:
    url: str
    api_key: str
    api_secret: str
    die_and_come_back: Callable[[], None]
    trunk_id: str = ""

    def gateway(self) -> Gateway:
        return Gateway(url=self.url, api_key=self.api_key, api_secret=self.api_secret)


@pytest.fixture(scope="module", params=["fake", pytest.param("real", marks=pytest.mark.e2e)])
def server(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """A LiveKit without a SIP service."""
    with ExitStack() as stack:
        if request.param == "fake":
            fake = stack.enter_context(fake_livekit())
            fake.fails("CreateSIPParticipant", None, TwirpError("unavailable", "no response from servers"))
            yield Wire(fake.url, fake.api_key, fake.api_secret, lambda: nobody_carries_what_it_has(fake), trunk_id="ST_known")
        else:
            real = stack.enter_context(livekit_server(stack.enter_context(redis_server())))
            yield Wire(real.url, real.api_key, real.api_secret, lambda: restart(real, stack))


def nobody_carries_what_it_has(fake: FakeLiveKit) -> None:
    fake.uncarried |= fake.rooms


def restart(server: LiveKitServer, stack: ExitStack) -> None:
    """Kill the server and start it again, with the same Redis."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.popen.wait(10)
    again = Process(server.process.program, server.process.log)
    stack.callback(again.stop)
    again.wait_until(lambda: answers(server.port, b"GET / HTTP/1.0\r\n\r\n", b"OK"))


@pytest_asyncio.fixture
async def wire(server: Wire) -> Wire:
    if server.trunk_id:
        return server
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
        trunk = api.SIPOutboundTrunkInfo(name="tests", address="127.0.0.1:9", numbers=[pt_mobile(9)])
        made = await livekit.sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=trunk))
    return replace(server, trunk_id=made.sip_trunk_id)


@pytest_asyncio.fixture
async def gateway(wire: Wire) -> AsyncIterator[Gateway]:
    async with wire.gateway() as opened:
        yield opened


async def test_a_room_is_opened_and_deleted_and_deleted_again(gateway: Gateway) -> None:
    await gateway.open_room("call_a", metadata={"call_id": "1"}, agent_name="chamada")
    await gateway.delete_room("call_a")
    await gateway.delete_room("call_a")


async def test_a_key_is_taken_or_refused(gateway: Gateway, wire: Wire) -> None:
    await gateway.check_connection()
    if wire.api_key == "fake":
        return  # who does not check signatures cannot refuse one; `test_gateway` has it answer so
    async with replace(wire, api_secret="x" * 64).gateway() as stranger:
        with pytest.raises(GatewayError) as refusal:
            await stranger.check_connection()
    assert refusal.value.kind == FailureKind.KEY_REFUSED


async def test_a_trunk_is_known_or_not(gateway: Gateway, wire: Wire) -> None:
    await gateway.check_trunk(wire.trunk_id)
    with pytest.raises(GatewayError) as unknown:
        await gateway.check_trunk("ST_nobody_made")
    assert unknown.value.kind == FailureKind.TRUNK_UNKNOWN


async def test_a_dial_fails_for_its_trunk_and_for_want_of_a_sip_service(gateway: Gateway, wire: Wire) -> None:
    await gateway.open_room("call_b", metadata={}, agent_name="chamada")
    dial = Dial(room="call_b", number=pt_mobile(), trunk_id="ST_nobody_made", ring_timeout_s=5, max_call_duration_s=60)
    kinds = []
    for each in (dial, replace(dial, trunk_id=wire.trunk_id)):
        with pytest.raises(DialFailed) as failure:
            await gateway.dial(each)
        kinds.append(failure.value.kind)
    await gateway.delete_room("call_b")
    assert kinds == [FailureKind.TRUNK_UNKNOWN, FailureKind.SERVICE_AWAY]


async def test_our_rooms_are_listed_and_nobody_is_in_them(gateway: Gateway) -> None:
    for name, agent in (("call_c", "lister"), ("call_d", "lister"), ("call_e", "another")):
        await gateway.open_room(name, metadata={}, agent_name=agent)
    listed = await gateway.list_rooms(agent_name="lister")
    inside = await gateway.participants("call_c")
    gone = [await gateway.delete_room(name) for name in ("call_c", "call_d", "call_e", "call_e")]
    assert (listed, inside, gone) == ({"call_c", "call_d"}, [], [True, True, True, False])
    assert await gateway.list_rooms(agent_name="lister") == set()


async def test_a_room_that_no_server_carries_cannot_be_asked_about(gateway: Gateway) -> None:
    for asking in (gateway.participants("call_nobody_made"), gateway.remove_forgotten_callee("call_nobody_made")):
        with pytest.raises(GatewayError) as error:
            await asking
        assert error.value.kind == FailureKind.SERVICE_AWAY


async def test_a_room_whose_server_has_died_is_deleted_all_the_same(wire: Wire) -> None:
    async with wire.gateway() as before:
        await before.open_room("call_f", metadata={}, agent_name="restarted")
    wire.die_and_come_back()
    async with wire.gateway() as gateway:
        with pytest.raises(GatewayError) as error:
            await gateway.participants("call_f")
        listed = await gateway.list_rooms(agent_name="restarted")
        with pytest.raises(GatewayError) as refusal:
            await gateway.delete_room("call_f")
        assert (error.value.kind, refusal.value.kind, listed) == (FailureKind.SERVICE_AWAY, FailureKind.SERVICE_AWAY, {"call_f"})
        assert [await gateway.delete_room("call_f", uncarried_too=True) for _ in range(2)] == [True, False]
        assert await gateway.list_rooms(agent_name="restarted") == set()
