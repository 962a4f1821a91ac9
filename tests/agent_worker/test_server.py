"""The phone line's half of the worker, as a process of its own, against LiveKit's wire."""

import asyncio
import json
import signal
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.agent_worker.agent_process import Agent, Bench, with_livekit
from tests.agent_worker.fake_livekit import FakeLiveKit, fake_livekit
from tests.agent_worker.waiting import until

pytestmark = pytest.mark.timeout(180)


@dataclass
class Desk:
    bench: Bench
    livekit: FakeLiveKit
    agent: Agent

    async def offer(self) -> str:
        """Dispatch a new call; its job's id."""
        told = await asyncio.to_thread(self.bench.dispatch)
        return await self.livekit.offer(told["room"], told["metadata"])

    async def calls(self) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self.bench.calls)

    async def get(self, port: str, path: str) -> str:
        def read() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.agent.ready[port]}{path}", timeout=10) as answer:
                return str(answer.read().decode())

        return await asyncio.to_thread(read)

    async def figures(self) -> dict[str, float]:
        lines = (await self.get("metrics_port", "/metrics")).splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("chamada_agent_") and "_created" not in line)
        return {name.removeprefix("chamada_agent_"): float(value) for name, value in pairs}


@asynccontextmanager
async def working(folder: Path, *arguments: str) -> AsyncIterator[Desk]:
    """A worker that is registered."""
    async with fake_livekit() as livekit:
        bench = Bench(folder, environment=with_livekit(livekit.url))
        starting = bench.agent("--idle=1", *arguments)
        # The kernel ends a process with the thread that started it: this is the pool's, which stays.
        agent = await asyncio.to_thread(starting.__enter__)
        try:
            yield Desk(bench, livekit, agent)
        finally:
            livekit.busy.set()
            await asyncio.to_thread(starting.__exit__, None, None, None)


async def test_a_ready_worker_is_registered_and_serves_both_lines(migrated: Path) -> None:
    async with working(migrated, "--max-calls=3") as desk:
        assert desk.livekit.registered == ["chamada"]
        assert {line: desk.agent.ready[line] for line in ("phone", "sandbox")} == {"phone": 3, "sandbox": 10}
        assert json.loads(await desk.get("health_port", "/healthz")) == {"status": "ok", "lines": {"sandbox": "ok", "phone": "ok"}}


async def test_it_is_unhealthy_while_livekit_is_away(migrated: Path) -> None:
    async with working(migrated) as desk:
        desk.livekit.refuses = True

        def unhealthy() -> dict[str, Any]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{desk.agent.ready['health_port']}/healthz", timeout=10) as answer:
                    return dict(json.loads(answer.read()))
            except urllib.error.HTTPError as refused:
                return dict(json.loads(refused.read())) | {"code": refused.code}

        assert await asyncio.to_thread(unhealthy) == {"status": "unable", "lines": {"sandbox": "ok", "phone": "unable"}, "code": 503}


async def test_a_job_runs_in_a_process_of_its_own_and_its_log_comes_through_once(migrated: Path) -> None:
    async with working(migrated) as desk:
        job = await desk.livekit.offer("call_restaurante_nobody")
        await until(lambda: desk.livekit.ended.get(job) == "JS_SUCCESS", within_s=20)
        said = desk.agent.said("dispatch names no call")
        assert [(line["job"], line["level"], line["logger"]) for line in said] == [(job, "warning", "agent_worker.entrypoint")]
        await until_figure(desk, 'calls_ended_total{line="phone",outcome="none"}', 1.0)
        assert (await desk.figures())["job_start_seconds_count"] == 1.0


async def until_figure(desk: Desk, name: str, value: float) -> None:
    async with asyncio.timeout(10):
        while (await desk.figures()).get(name) != value:  # noqa: ASYNC110  # another process counts
            await asyncio.sleep(0.1)


async def test_a_full_worker_refuses_and_drains_with_its_call_although_the_whole_group_is_signalled(migrated: Path) -> None:
    async with working(migrated, "--max-calls=1") as desk:
        first = await desk.offer()
        await until(lambda: desk.bench.statuses() == ["dialing"], within_s=20)
        assert (await desk.figures())['calls_active{line="phone"}'] == 1.0
        await until(lambda: desk.livekit.loads[-1:] == [1.0], within_s=10)
        second = await desk.livekit.offer("call_restaurante_second")
        await until(lambda: second in desk.livekit.answers)
        desk.agent.process.signal(signal.SIGTERM)
        await until(lambda: desk.agent.said("agent draining") != [])
        desk.livekit.busy.set()
        assert await asyncio.to_thread(desk.agent.ends, 60) == 0
        assert desk.livekit.answers == {first: True, second: False}
        assert [(call["status"], call["outcome"], call["worker"]) for call in await desk.calls()] == [("ended", "busy", f"job:{first}")]


async def test_a_burst_is_taken_up_to_the_number_of_calls_and_not_of_idle_processes(migrated: Path) -> None:
    async with working(migrated, "--max-calls=4") as desk:
        jobs = [await desk.livekit.offer(f"call_restaurante_{number}") for number in range(4)]
        await until(lambda: len(desk.livekit.answers) == 4)
        assert desk.livekit.answers == dict.fromkeys(jobs, True)
        await until(lambda: [desk.livekit.ended.get(job) for job in jobs] == ["JS_SUCCESS"] * 4, within_s=20)


async def test_a_connection_that_is_lost_is_made_again(migrated: Path) -> None:
    async with working(migrated) as desk:
        await desk.livekit.hang_up_on_the_worker()
        await until(lambda: desk.livekit.registered == ["chamada", "chamada"], within_s=20)
        assert desk.agent.process.popen.poll() is None


async def test_a_worker_that_livekit_does_not_register_ends_and_says_so(migrated: Path) -> None:
    async with fake_livekit(deaf=True) as livekit:
        done = await asyncio.to_thread(Bench(migrated, environment=with_livekit(livekit.url)).run_agent)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "CommandError: LiveKit answers, but did not register this worker within 10 s."
