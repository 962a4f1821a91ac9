"""What people on the phone notice when a server dies in mid-conversation. The servers are this file's own: they are killed here."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent_worker.realtime_emulator import Emulator

from ..servers import LiveKitServer, PostgresServer, Process, RedisServer, livekit_server, postgres_server, redis_server
from ..servers.ports import answers, free_port
from .phone_network import NetworkUnavailable, PhoneNetwork, StandIn
from .phone_network.real_sip import RealSip
from .phone_network.trunks import make_trunk
from .rig import Conversation, Product, Rig, environment, webhook_url

pytestmark = pytest.mark.timeout(240)

GREETING = "Em que posso ajudar?"
HOURS, DISH = "Abrimos às nove da manhã.", "Temos polvo à lagareiro."
GOODBYE = "Obrigada e até breve!"
STILL_THERE = "A ligação falhou. Está a ouvir-me?"
TALK = [
    {"assistant": GREETING},
    {"assistant": HOURS},
    {"assistant": DISH},
    {"assistant": GOODBYE, "tool": {"name": "end_call", "arguments": {"reason": "goodbye"}}},
]
SAID = [
    ("assistant", GREETING),
    ("user", "A que horas abrem?"),
    ("assistant", HOURS),
    ("user", "E o que há para jantar?"),
    ("assistant", DISH),
    ("user", "Obrigado, adeus."),
    ("assistant", GOODBYE),
]


@dataclass
class Stage:
    """Servers that can be killed, and started again as they were."""

    postgres: PostgresServer
    redis: RedisServer
    livekit: LiveKitServer
    rig: Rig
    _again: dict[str, Process] = field(default_factory=dict)

    def process(self, server: PostgresServer | RedisServer | LiveKitServer) -> Process:
        process = server.process
        assert process is not None
        return self._again.get(process.name, process)

    async def kill(self, server: PostgresServer | RedisServer | LiveKitServer, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal its main process alone, and wait for its end."""
        process = self.process(server)
        os.kill(process.pid, number)
        await asyncio.to_thread(process.popen.wait, 20)

    async def start_again(self, server: PostgresServer | RedisServer | LiveKitServer, ready: Callable[[], bool]) -> None:
        old = self.process(server)
        # Here and not in a thread: the kernel ends a process with the thread that started it.
        process = self._again[old.name] = Process(old.program, old.log)
        await asyncio.to_thread(process.wait_until, ready)

    async def away_for(self, seconds: float, server: RedisServer | LiveKitServer, ready: Callable[[], bool]) -> None:
        await self.kill(server)
        await asyncio.sleep(seconds)
        await self.start_again(server, ready)

    def stop(self) -> None:
        for process in self._again.values():
            process.stop()

    async def agent_says(self, event: str, *, within_s: float = 20) -> None:
        """Wait for a line in the agent's log."""
        agent = self.rig.product.agent
        assert agent is not None
        await asyncio.to_thread(agent.wait_until, lambda: event in agent.log.read_text(errors="replace"), within_s=within_s)

    @property
    def spooled(self) -> list[str]:
        folder = Path(self.rig.product.environment["JOURNAL_SPOOL"])
        return [path.suffix for path in folder.iterdir()] if folder.exists() else []


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=[StandIn, RealSip], ids=lambda network: network.name)
async def own_stage(request: pytest.FixtureRequest, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        postgres = stack.enter_context(postgres_server())
        web_port = free_port()
        livekit = stack.enter_context(livekit_server(redis, webhook_url(web_port)))
        try:
            network: PhoneNetwork = request.param(livekit, redis)
        except NetworkUnavailable as missing:
            pytest.skip(str(missing))
        async with network:
            folder = tmp_path_factory.mktemp("outages")
            trunk = await make_trunk(livekit, network.address)
            url = postgres.create_database("chamada")
            variables = environment(livekit=livekit, database_url=url, redis=redis, trunk=trunk, emulator=emulator, folder=folder)
            product = Product(variables, folder, port=web_port)
            with product.running():
                rig = Rig(product, network, emulator, livekit)
                stage = Stage(postgres, redis, livekit, rig)
                stack.callback(stage.stop)
                yield stage
                rig.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(own_stage: Stage) -> AsyncIterator[Stage]:
    yield own_stage
    await own_stage.rig.end_all()
    own_stage.rig.emulator.reset()


async def talking(stage: Stage, number: str, turns: Sequence[dict[str, Any]] = TALK) -> Conversation:
    """A call in which opening and greeting were heard."""
    talk = stage.rig.conversation(number, turns=list(turns))
    talk.phone.answers()
    await talk.start()
    await talk.greeted()
    return talk


async def asks(talk: Conversation, question: str) -> None:
    """The callee asks, and hears the answer out."""
    ended = await talk.says(question)
    await talk.listens(since=ended)


async def said(talk: Conversation) -> list[tuple[str, str]]:
    """The conversation behind the opening."""
    return [(turn["role"], turn["text"]) for turn in await talk.turns() if turn["role"] != "tool"][1:]


async def ends_well(talk: Conversation, *, said_in_all: Sequence[tuple[str, str]] = SAID) -> None:
    await talk.says("Obrigado, adeus.")
    await talk.phone.hung_up()
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"]) == ("answered", "assistant.end_call", "none")
    assert await said(talk) == list(said_in_all)
    assert talk.phone.happenings == ["invited", "ringing", "answered", "bye_received"]


async def test_people_talk_on_while_the_database_is_away_and_every_turn_is_kept(stage: Stage, number: str) -> None:
    talk = await talking(stage, number)
    await stage.kill(stage.postgres, signal.SIGINT)  # its fast shutdown: it breaks every connection off
    went_at = time.monotonic()
    await asks(talk, "A que horas abrem?")
    await asks(talk, "E o que há para jantar?")
    assert stage.spooled == [".spool"]
    await asyncio.sleep(max(0.0, went_at + 15 - time.monotonic()))
    assert talk.phone.in_call
    port = stage.postgres.port
    await stage.start_again(stage.postgres, lambda: answers(port, bytes.fromhex("0000000804d2162f"), b"N"))  # asked for TLS, it says no
    await ends_well(talk)
    assert stage.spooled == []


async def test_a_livekit_that_restarts_finds_its_call_alive_and_the_persona_asks_at_once(stage: Stage, number: str) -> None:
    talk = await talking(stage, number, [*TALK[:2], {"assistant": STILL_THERE}, *TALK[2:]])
    await asks(talk, "A que horas abrem?")
    port = stage.livekit.port
    await stage.away_for(3, stage.livekit, lambda: answers(port, b"GET / HTTP/1.0\r\n\r\n", b"OK"))
    back_at = time.monotonic()
    await talk.listens(since=back_at)
    assert (await stage.rig.call(talk.id))["status"] == "in_progress"
    await asks(talk, "E o que há para jantar?")
    await ends_well(talk, said_in_all=[*SAID[:3], ("assistant", STILL_THERE), *SAID[3:]])


async def test_a_call_whose_agent_worker_is_killed_is_ended_and_what_was_said_stays(stage: Stage, number: str) -> None:
    talk = await talking(stage, number)
    await asks(talk, "A que horas abrem?")
    agent = stage.rig.product.agent
    assert agent is not None
    os.kill(agent.pid, signal.SIGKILL)
    await talk.phone.hung_up(within_s=15)
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"]) == ("answered", "error.platform.worker_lost", "platform")
    assert await said(talk) == SAID[:3]
    assert talk.phone.rings == 1
    await stage.rig.restart_agent()


async def test_a_worker_that_is_forced_to_stop_lets_the_callee_go(stage: Stage, number: str) -> None:
    talk = await talking(stage, number)
    agent = stage.rig.product.agent
    assert agent is not None
    for event in ("agent draining", "agent forced to stop"):
        os.kill(agent.pid, signal.SIGTERM)
        await stage.agent_says(event)
    await talk.phone.hung_up(within_s=6)
    assert await asyncio.to_thread(agent.popen.wait, 10) == 1
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"]) == ("answered", "error.platform.worker_lost", "platform")
    await stage.rig.restart_agent()


async def test_a_redis_that_comes_back_empty_ends_no_call_and_leaves_no_callee_behind(
    stage: Stage, number: str, numbers: list[str]
) -> None:
    talk = await talking(stage, number)
    await asks(talk, "A que horas abrem?")
    port = stage.redis.port
    await stage.away_for(3, stage.redis, lambda: answers(port, b"PING\r\n", b"+PONG"))
    await asks(talk, "E o que há para jantar?")
    await ends_well(talk)
    # The trunk went with it.
    later = stage.rig.conversation(numbers[0])
    later.phone.answers()
    await later.start()
    call = await later.ended()
    assert (call["outcome"], call["ended_reason"], later.phone.rings) == ("failed", "error.configuration.trunk", 0)
    await stage.rig.renew_trunk()
