"""Everything that a call needs, each part a process of its own that can die: servers, phones, emulated model, and the product's own."""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
from redis import Redis

from ..e2e.phone_network import StandIn
from ..e2e.phone_network.trunks import make_trunk
from ..e2e.rig import MANAGE, SPEAK_FASTER, Product, environment, webhook_url
from ..e2e.rig import SPEED as USUAL_SPEED
from ..servers import LiveKitServer, PostgresServer, Process, RedisServer, livekit_server, postgres_server, redis_server
from ..servers.ports import LOOPBACK, answers, free_port
from ..servers.process import REPOSITORY
from .emulator import EmulatorClient
from .facts import Victim
from .parts import Part, http_ready, look_after, postgres_ready
from .phone_log import Tail

PLACES = 20
# Faster than staff can set it, and still understood by a program: every call of a kill waits for its opening.
SPEED = "2.20"
TRUNKS = "sip_outbound_trunk"
SET_UP = f"""
from calls.models import Line
Line.objects.update_or_create(kind="phone", defaults={{"places": {PLACES}}})
"""
ANSWERS_WITHIN_S = 10.0


@dataclass
class Stage:
    """The parts by their names, and the ways to ask them."""

    folder: Path
    product: Product
    postgres: PostgresServer
    redis: RedisServer
    parts: dict[Victim, list[Part]]
    emulator: EmulatorClient
    tail: Tail
    http: httpx2.AsyncClient
    trunks: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def all_parts(self) -> list[Part]:
        return [part for parts in self.parts.values() for part in parts]

    @property
    def livekit(self) -> Part:
        return self.parts[Victim.LIVEKIT][0]

    async def post(self, path: str, body: dict[str, Any], *, key: str = "", within_s: float = 90.0) -> dict[str, Any]:
        """What an API client does: the same request with the same key, until it is answered. Raises RuntimeError for a refusal."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self._ask("POST", path, within_s, json=body, headers=headers)

    async def get(self, path: str, within_s: float = 60.0) -> dict[str, Any]:
        return await self._ask("GET", path, within_s)

    async def _ask(self, method: str, path: str, within_s: float, **more: Any) -> dict[str, Any]:
        deadline = time.monotonic() + within_s
        last = ""
        while time.monotonic() < deadline:
            try:
                response = await self.http.request(method, path, **more)
            except httpx2.HTTPError as error:
                last = repr(error)
            else:
                if response.is_success:
                    answer: dict[str, Any] = response.json()
                    return answer
                last = f"{response.status_code} {response.text[:300]}"
                if response.status_code not in (409, 429, 500, 502, 503, 504):
                    break
            await asyncio.sleep(0.3)
        raise RuntimeError(f"{method} {path}: {last}")

    def remember_trunks(self) -> None:
        with Redis(port=self.redis.port) as client:
            self.trunks = client.hgetall(TRUNKS)

    def restore_trunks(self) -> None:
        """What staff do after a Redis that came back empty: the trunk is there again."""
        with Redis(port=self.redis.port) as client:
            if self.trunks and not client.exists(TRUNKS):
                client.hset(TRUNKS, mapping=self.trunks)

    def empty_redis(self) -> None:
        """While Redis is down: take away what it would read at its start."""
        for file in (self.parts[Victim.REDIS][0].process.program.folder).glob("appendonlydir/*"):
            file.unlink()


@asynccontextmanager
async def stage(folder: Path | None = None) -> AsyncIterator[Stage]:
    """Everything up. Logs stay in `folder`, where one is given."""
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chamada-chaos-")))
        web_port = free_port()
        redis = stack.enter_context(redis_server(keeps=True))
        postgres = stack.enter_context(postgres_server(keeps=True))
        livekit = stack.enter_context(livekit_server(redis, webhook_url(web_port)))
        emulator_port = free_port()
        emulator = EmulatorClient(f"http://{LOOPBACK}:{emulator_port}")
        trunk = await make_trunk(livekit, StandIn.address)
        variables = environment(
            livekit=livekit,
            database_url=postgres.create_database("chaos"),
            redis=redis,
            trunk=trunk,
            emulator=SimpleNamespace(url=f"{emulator.origin}/v1"),  # type: ignore[arg-type]
            folder=folder,
        )
        product = Product(variables, folder, port=web_port)
        parts = _servers(redis, postgres, livekit)
        stack.callback(_stop_all, parts)
        model = Process(
            product.program("emulator", *MANAGE, "run_realtime_emulator", "--port", str(emulator_port)), folder / "emulator.log"
        )
        stack.callback(model.stop)
        parts[Victim.SIP] = [_phones(folder, livekit, redis, emulator)]
        _seed(product)
        parts |= _product_parts(product)
        one = Stage(folder, product, postgres, redis, parts, emulator, Tail(folder / "phones.jsonl"), _client(product))
        for part in one.all_parts:
            await part.until_ready()
        keeper = asyncio.create_task(look_after(one.all_parts))
        try:
            yield one
        finally:
            for part in one.all_parts:
                if part.process.log.parent != folder:
                    shutil.copy(part.process.log, folder)
            keeper.cancel()
            await emulator.aclose()
            await one.http.aclose()


def _servers(redis: RedisServer, postgres: PostgresServer, livekit: LiveKitServer) -> dict[Victim, list[Part]]:
    assert redis.process is not None
    assert livekit.process is not None
    assert postgres.process is not None
    return {
        Victim.REDIS: [Part(redis.process, lambda: answers(redis.port, b"PING\r\n", b"+PONG"))],
        Victim.POSTGRES: [Part(postgres.process, postgres_ready(postgres.port))],
        Victim.LIVEKIT: [Part(livekit.process, lambda: answers(livekit.port, b"GET / HTTP/1.0\r\n\r\n", b"OK"))],
    }


def _stop_all(parts: dict[Victim, list[Part]]) -> None:
    # The product first: it would complain of servers that are gone.
    for part in [part for kind in parts.values() for part in kind][::-1]:
        part.wanted = False
        part.thaw()
        part.process.stop()


def _phones(folder: Path, livekit: LiveKitServer, redis: RedisServer, emulator: EmulatorClient) -> Part:
    command = [sys.executable, "-m", "tests.chaos.phones", "--folder", str(folder), "--livekit-port", str(livekit.port)]
    command += ["--redis-port", str(redis.port), "--api-key", livekit.api_key, "--emulator", emulator.origin]
    product = Product({"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "PHONES_API_SECRET": livekit.api_secret}, folder, port=0)
    product.environment["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    part = Part(Process(product.program("phones", *command), folder / "phones.log"), lambda: False)

    def is_ready() -> bool:
        return (folder / f"ready.{part.process.pid}").exists()  # of the process that is there now

    part.ready = is_ready
    return part


def _seed(product: Product) -> None:
    credentials = product.folder / "credentials.json"
    product.manage("seed_demo", "--site", f"{product.site}/", "--credentials", str(credentials), "--migrate")
    product.api_key = json.loads(credentials.read_text())["api_key"]
    product.manage("shell", "-c", SPEAK_FASTER.replace(str(USUAL_SPEED), SPEED) + SET_UP)


def _product_parts(product: Product) -> dict[Victim, list[Part]]:
    def part(name: str, ready: Any, *command: str, **more: str) -> Part:
        program = product.program(name, *command)
        program.environment = {**product.environment, **more}
        return Part(Process(program, product.folder / f"{name}.log"), ready)

    uvicorn = [sys.executable, "-m", "uvicorn", "chamada.asgi:application", "--app-dir", str(REPOSITORY), "--host", LOOPBACK]
    web = part("web", http_ready(product.port, "/health/"), *uvicorn, "--port", str(product.port))
    agents = []
    for number in (1, 2):
        health = free_port()
        ports = {"AGENT_HEALTH_PORT": str(health), "AGENT_METRICS_PORT": str(free_port())}
        agents.append(part(f"agent-{number}", http_ready(health, "/healthz"), *MANAGE, "run_agent", **ports))
    queues = [part(f"queue-{number}", lambda: True, *MANAGE, "run_queue") for number in (1, 2)]
    return {Victim.WEB: [web], Victim.QUEUE: queues, Victim.AGENT: agents}


def _client(product: Product) -> httpx2.AsyncClient:
    # A connection of its own for each request: one that the dead web process held would be tried first otherwise.
    limits = httpx2.Limits(max_keepalive_connections=0)
    headers = {"Authorization": f"Bearer {product.api_key}"}
    return httpx2.AsyncClient(base_url=product.site, headers=headers, timeout=ANSWERS_WITHIN_S, limits=limits)
