"""The whole product on real servers: its processes started as an operator starts them, reached as its clients and callees reach them."""

import asyncio
import base64
import itertools
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from agent_worker.realtime_emulator import Emulator, Session

from ..servers import LiveKitServer, Process, Program, RedisServer
from ..servers.ports import LOOPBACK, answers, free_port
from ..servers.process import REPOSITORY, started
from .phone_network import Phone, PhoneNetwork
from .phone_network.sound import at_telephone_rate
from .phone_network.trunks import FROM_NUMBER, delete_trunk, make_trunk

TRANSFER_NUMBER = "+351210000002"
MODEL_KEY = "sk-emu-mind.e2e"
POLL_S = 0.25
# The phones and the model, in life on machines of their own, live in the tests' process: they come first.
NICENESS = 5
REQUESTS_AT_ONCE = 50
PACE_S = 60.0
MANAGE = [sys.executable, str(REPOSITORY / "manage.py")]

# The voices of the personas are set so fast, by an edit and a publication: a scenario waits for every sentence that it hears.
SPEED = 1.5
SPEAK_FASTER = f"""
from personas.models import Persona
from personas.publishing import publish
for persona in Persona.objects.all():
    persona.speed = "{SPEED}"
    persona.save(update_fields=["speed"])
    publish(by=None, persona=persona)
"""

Json = dict[str, Any]
_first_names = ("Ana", "Bruno", "Carla", "Duarte", "Elsa", "Filipe", "Guida", "Hugo", "Irene", "Jorge")
_surnames = ("Alves", "Borges", "Castro", "Dinis", "Esteves", "Faria", "Gama", "Horta", "Leal", "Moura")
_names = (f"{first} {last}" for last, first in itertools.product(_surnames, _first_names))


def environment(
    *, livekit: LiveKitServer, database_url: str, redis: RedisServer, trunk: str, emulator: Emulator, folder: Path
) -> dict[str, str]:
    """Every variable of the product that the tests set; nothing of it comes from this machine."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "SECRET_KEY": secrets.token_urlsafe(40),
        "FIELD_KEYS": _key(),
        "BLIND_INDEX_KEY": _key(),
        "PYTHONFAULTHANDLER": "1",  # a job that crashes in native code says where
        "DEBUG": "true",
        "LOG_LEVEL": "INFO",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis.url,
        "MEDIA_ROOT": str(folder / "media"),
        "JOURNAL_SPOOL": str(folder / "spool"),
        "LIVEKIT_URL": livekit.url,
        "LIVEKIT_API_KEY": livekit.api_key,
        "LIVEKIT_API_SECRET": livekit.api_secret,
        "SIP_TRUNK_ID": trunk,
        "SIP_FROM_NUMBER": FROM_NUMBER,
        "TRANSFER_PHONE_NUMBER": TRANSFER_NUMBER,
        "OPENAI_API_KEY": MODEL_KEY,
        "OPENAI_BASE_URL": emulator.url,
        "AGENT_MAX_CALLS": "12",
        "AGENT_IDLE_PROCESSES": "2",
        "AGENT_HEALTH_PORT": str(free_port()),
        "AGENT_METRICS_PORT": str(free_port()),
        "CALL_RATE_PER_KEY": "10000/m",
        "CALL_RATE_PER_ADDRESS": "10000/m",
        "API_RATE_PER_KEY": "100000/m",
        "API_RATE_PER_ADDRESS": "100000/m",
    }


def webhook_url(web_port: int) -> str:
    """Where livekit-server tells a product on that port what it saw (deploy/livekit/livekit.yaml)."""
    return f"http://{LOOPBACK}:{web_port}/livekit/webhook"


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass
class Product:
    """The product's own processes. Blocking: started and stopped outside the tests' loop, or before anybody speaks on it."""

    environment: dict[str, str]
    folder: Path
    api_key: str = ""
    port: int = field(default_factory=free_port)
    agent: Process | None = None

    @property
    def site(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def manage(self, *arguments: str) -> str:
        """A management command's output. Raises RuntimeError with all of it when it fails."""
        done = subprocess.run(
            [*MANAGE, *arguments], check=False, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=180
        )
        if done.returncode != 0:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def program(self, name: str, *command: str) -> Program:
        return Program(name=name, command=command, folder=self.folder, environment=self.environment, niceness=NICENESS)

    def start_agent(self, environment: Mapping[str, str] | None = None) -> Process:
        """An agent worker that is registered with LiveKit, and says so."""
        program = self.program("agent", *MANAGE, "run_agent")
        program.environment = {**self.environment, **(environment or {})}
        process = Process(program, self.folder / "agent.log")
        port = int(self.environment["AGENT_HEALTH_PORT"])
        process.wait_until(lambda: answers(port, b"GET /healthz HTTP/1.0\r\n\r\n", b"200 OK"), within_s=PACE_S)
        return process

    @contextmanager
    def running(self) -> Iterator[None]:
        """Migrated, seeded, and all three processes up."""
        credentials = self.folder / "credentials.json"
        self.manage("seed_demo", "--site", f"{self.site}/", "--credentials", str(credentials), "--migrate")
        self.api_key = json.loads(credentials.read_text())["api_key"]
        self.manage("shell", "-c", SPEAK_FASTER)
        with ExitStack() as stack:
            uvicorn = [sys.executable, "-m", "uvicorn", "chamada.asgi:application", "--app-dir", str(REPOSITORY)]
            web = stack.enter_context(started(self.program("web", *uvicorn, "--host", LOOPBACK, "--port", str(self.port))))
            stack.enter_context(started(self.program("queue", *MANAGE, "run_queue")))
            self.agent = self.start_agent()
            stack.callback(lambda: self.agent and self.agent.stop())
            request = f"GET /health/ HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode()
            web.wait_until(lambda: answers(self.port, request, b"200 OK"), within_s=PACE_S)
            yield


class Rig:
    """What a test has in its hands: the API, the phones, and the emulated model's journal."""

    def __init__(self, product: Product, network: PhoneNetwork, emulator: Emulator, livekit: LiveKitServer) -> None:
        self.product, self.network, self.emulator, self.livekit = product, network, emulator, livekit
        self._http = httpx2.Client(base_url=product.site, headers={"Authorization": f"Bearer {product.api_key}"}, timeout=30)
        # In threads: the phones are on the loop, and a hundredth of a second that a request takes of it is heard on all of them.
        self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE, "http")

    async def request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """One request of an API client, whatever comes back."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(self._http.request, method, path, **more))

    async def get(self, path: str, **parameters: Any) -> Json:
        answer: Json = (await self.request("GET", path, params=parameters)).raise_for_status().json()
        return answer

    def close(self) -> None:
        self._http.close()
        self._threads.shutdown()

    async def start_call(self, number: str, *, name: str = "", persona: str = "restaurante", **more: Any) -> Json:
        """`POST /api/start_call`, or the full form where there is more to say; the call as it was accepted."""
        body = {"phone_number": number, "persona": persona, "customer_name": name, **more}
        response = await self.request("POST", "/api/v1/calls/" if more else "/api/start_call", json=body)
        assert response.status_code == 202, response.text
        answer: Json = response.json()
        return answer

    async def end_all(self) -> None:
        """Cancel what a test left running, so that the next one has the line for itself."""
        for call in (await self.get("/api/v1/calls/", limit=100))["results"]:
            if call["status"] != "ended":
                await self.request("POST", f"/api/v1/calls/{call['id']}/cancel/")
                await self.ended(call["id"])

    async def call(self, call_id: str) -> Json:
        return await self.get(f"/api/v1/calls/{call_id}/")

    async def until_status(self, call_id: str, *statuses: str, within_s: float = PACE_S) -> Json:
        """The call as soon as its status is one of these."""
        deadline = time.monotonic() + within_s
        while (call := await self.call(call_id))["status"] not in statuses:
            assert time.monotonic() < deadline, f"The call did not become {' or '.join(statuses)} within {within_s:g} s: {call}"
            await asyncio.sleep(POLL_S)
        return call

    async def ended(self, call_id: str, *, within_s: float = PACE_S) -> Json:
        return await self.until_status(call_id, "ended", within_s=within_s)

    async def transcript(self, call_id: str) -> list[Json]:
        """The turns in order."""
        turns: list[Json] = (await self.get(f"/api/v1/calls/{call_id}/transcript/"))["turns"]
        return turns

    async def restart_agent(self, **environment: str) -> None:
        """Another agent worker in the first one's place, with other settings."""
        await asyncio.to_thread(self._stop_agent)
        # Not in a thread: the kernel ends the process with the thread that started it.
        self.product.agent = self.product.start_agent(environment)

    @asynccontextmanager
    async def without_trunk(self) -> AsyncIterator[None]:
        """LiveKit has forgotten the trunk while the block runs; afterwards there is a new one, and an agent that knows it."""
        await delete_trunk(self.livekit, self.product.environment["SIP_TRUNK_ID"])
        try:
            yield
        finally:
            await self.renew_trunk()

    async def renew_trunk(self) -> None:
        """LiveKit gets a trunk, and there is an agent that knows it."""
        self.product.environment["SIP_TRUNK_ID"] = await make_trunk(self.livekit, self.network.address)
        await self.restart_agent()

    def _stop_agent(self) -> None:
        if self.product.agent is not None:
            self.product.agent.stop(within_s=30)

    def conversation(self, number: str, **script: Any) -> "Conversation":
        """A callee with a phone at `number`, and what the model says to them. `script`: the emulator's, else its own mind answers."""
        return Conversation(self, next(_names), self.network.phone(number), script)


@dataclass
class Conversation:
    """One call as a test follows it: the callee's phone, the model's session, the API's answers."""

    rig: Rig
    name: str
    phone: Phone
    script: Json
    id: str = ""

    def __post_init__(self) -> None:
        if self.script:
            self.rig.emulator.configure(instructions_contain=self.name, script=self.script)

    async def start(self, **more: Any) -> "Conversation":
        call = await self.rig.start_call(self.phone.number, name=self.name, **more)
        self.id = call["id"]
        return self

    async def cancel(self) -> float:
        """Cancel the call by API: when that was asked for (monotonic seconds)."""
        asked_at = time.monotonic()
        answer = await self.rig.request("POST", f"/api/v1/calls/{self.id}/cancel/")
        assert answer.status_code == 200, answer.text
        return asked_at

    @property
    def session(self) -> Session:
        """The model's session of this call, the newest where there were several."""
        sessions = self.rig.emulator.find(instructions_contain=self.name)
        assert sessions, f"The model knows of no call with {self.name}"
        return sessions[-1]

    async def says(self, text: str, *, within_s: float = PACE_S) -> float:
        """The callee says `text`, which the model hears as these words: when they ended."""
        self.rig.emulator.declare(text, instructions_contain=self.name)
        return await self.phone.says(await spoken(text), within_s=within_s)

    async def greeted(self) -> float:
        """The callee has heard opening and greeting, and it is their turn: since when."""
        await self.phone.answered(within_s=PACE_S)
        await self.until_turns(lambda turns: [turn["role"] for turn in turns] == ["assistant", "assistant"])
        return await self.phone.silence(500)

    async def until_turns(self, holds: Callable[[list[Json]], bool], *, within_s: float = PACE_S) -> list[Json]:
        """The transcript as soon as it is so; a turn stands there once it was said."""
        deadline = time.monotonic() + within_s
        while not (turns := await self.turns()) or not holds(turns):
            assert time.monotonic() < deadline, f"The transcript stayed {turns}. {self.phone.story()}"
            await asyncio.sleep(POLL_S)
        return turns

    async def listens(self, *, since: float = 0.0, ms: int = 900, within_s: float = 30.0) -> float:
        """The callee hears somebody speak after `since`, out: when it ended."""
        return await self.phone.heard_out(since=since, ms=ms, within_s=within_s)

    async def ended(self, *, within_s: float = PACE_S) -> Json:
        return await self.rig.ended(self.id, within_s=within_s)

    async def turns(self) -> list[Json]:
        return await self.rig.transcript(self.id)

    async def said(self, role: str) -> list[str]:
        return [turn["text"] for turn in await self.turns() if turn["role"] == role]


async def spoken(text: str, *, locale: str = "pt-PT") -> bytes:
    """A callee's voice saying `text`: pcm16, 8 kHz."""
    from agent_worker.realtime_emulator import speech

    pcm = await speech.speak(text, locale=locale, voice="caller", words_per_minute=200, max_pause_ms=200)
    return at_telephone_rate(pcm, speech.SAMPLE_RATE)
