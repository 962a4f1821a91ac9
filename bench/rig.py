"""What every figure of the line needs: real servers, the phones, the emulated model, the product, and the bare library beside it."""

import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from livekit import api

from agent_worker.realtime_emulator import Emulator, speech
from tests.e2e.phone_network import StandIn
from tests.e2e.phone_network.trunks import make_trunk
from tests.e2e.rig import MODEL_KEY, Product, Rig, environment, webhook_url
from tests.servers import Process, Program, livekit_server, postgres_server, redis_server
from tests.servers.ports import free_port
from tests.servers.process import REPOSITORY, started

from .bare_worker import AGENT_NAME

OPENING = "Olá, fala a assistente virtual de inteligência artificial da Chamada.ai. Estou a ligar porque pediu esta chamada no nosso site."
GREETING = "Atendo pela Taberna do Cais. Quer marcar mesa ou saber alguma coisa da casa?"


@dataclass
class Bare:
    """The bare library's worker, and the way to give it a call."""

    rig: Rig
    worker: Process
    notes: Path

    async def dispatch(self, number: str, *, name: str, seconds: float = 60) -> str:
        """Make a room with a job for it, as an application on the bare library would; the room's name."""
        room = f"bare_{uuid4().hex}"
        order = {
            "number": number,
            "trunk": self.rig.product.environment["SIP_TRUNK_ID"],
            "model_key": MODEL_KEY,
            "instructions": f"Fala português de Portugal com {name}.",
            "opening_text": OPENING,
            "seconds": seconds,
        }
        dispatch = api.RoomAgentDispatch(agent_name=AGENT_NAME, metadata=json.dumps(order))
        async with self.client() as client:
            await client.room.create_room(api.CreateRoomRequest(name=room, agents=[dispatch]))
        return room

    async def delete(self, room: str) -> None:
        async with self.client() as client:
            await client.room.delete_room(api.DeleteRoomRequest(room=room))

    def client(self) -> api.LiveKitAPI:
        livekit = self.rig.livekit
        return api.LiveKitAPI(livekit.http_url, livekit.api_key, livekit.api_secret)

    def noted(self, event: str) -> list[dict[str, Any]]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [note for note in map(json.loads, lines) if note["event"] == event]


@asynccontextmanager
async def line(*, line_delay_s: float | None = None) -> AsyncIterator[tuple[Rig, Bare]]:
    """Everything up, on PostgreSQL and Redis. One worker is idle while the other one is measured."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chamada-bench-")))
        redis = stack.enter_context(redis_server())
        postgres = stack.enter_context(postgres_server())
        web_port = free_port()
        livekit = stack.enter_context(livekit_server(redis, webhook_url(web_port)))
        network = StandIn(livekit, redis)
        if line_delay_s is not None:
            network.line_delay_s = line_delay_s
        async with network, Emulator() as emulator:
            trunk = await make_trunk(livekit, network.address)
            database = postgres.create_database("bench")
            variables = environment(livekit=livekit, database_url=database, redis=redis, trunk=trunk, emulator=emulator, folder=folder)
            product = Product(variables, folder, port=web_port)
            stack.enter_context(product.running())
            rig = Rig(product, network, emulator, livekit)
            bare = Bare(rig, stack.enter_context(started(_bare_program(variables, folder))), folder / "notes.jsonl")
            bare.worker.wait_until(lambda: bool(bare.noted("registered")), within_s=60)
            yield rig, bare
            rig.close()


def _bare_program(variables: dict[str, str], folder: Path) -> Program:
    opening = folder / "opening.pcm"
    opening.write_bytes(speech.synthesize(OPENING, locale="pt-PT", voice="marin"))
    extra = {
        "BENCH_NOTES": str(folder / "notes.jsonl"),
        "BENCH_OPENING": str(opening),
        "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0",
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-m", "bench.bare_worker"]
    return Program(name="bare", command=command, folder=folder, environment=variables | extra)
