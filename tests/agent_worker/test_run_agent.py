"""The agent worker as a process of its own, on the sandbox line: it takes calls, and it stops as it was told."""

import json
import signal
import sqlite3
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.agent_worker.agent_process import Agent, Bench

pytestmark = pytest.mark.timeout(180)

PEOPLE_SAY = ["Boa tarde. A que horas abrem?", "Obrigada. Até amanhã!"]


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def health(agent: Agent) -> tuple[int, dict[str, Any]]:
    status, body = get(agent.ready["health_port"], "/healthz")
    return status, json.loads(body)


def figures(agent: Agent) -> dict[str, float]:
    """Ours, by name and labels."""
    lines = get(agent.ready["metrics_port"], "/metrics")[1].splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line.startswith("chamada_agent_calls"))}


def wait_until_talking(bench: Bench, agent: Agent, calls: int = 1) -> None:
    agent.process.wait_until(lambda: bench.statuses().count("in_progress") >= calls)


@dataclass
class Drained:
    """What was seen of an agent that was told to stop during its first call, when a second one was asked for."""

    code: int
    calls: list[dict[str, Any]]
    log: list[dict[str, Any]]
    health: list[tuple[int, dict[str, Any]]]
    figures: list[dict[str, float]]


@pytest.fixture(scope="module")
def drained(tmp_path_factory: pytest.TempPathFactory, migrated_once: Path) -> Iterator[Drained]:
    bench = Bench.copy_of(migrated_once, tmp_path_factory.mktemp("drained"))
    with bench.agent() as agent:
        bench.queue()
        wait_until_talking(bench, agent)
        seen_health, seen_figures = [health(agent)], [figures(agent)]
        agent.process.signal(signal.SIGTERM)
        agent.wait_until_said("agent draining")
        bench.queue()
        seen_health.append(health(agent))
        code = agent.ends(within_s=90)
        yield Drained(code, bench.calls(), agent.lines(), seen_health, seen_figures)


def test_a_worker_that_is_told_to_stop_lets_its_call_end_and_takes_no_other(drained: Drained) -> None:
    assert drained.code == 0
    assert [call["status"] for call in drained.calls] == ["ended", "queued"]
    assert drained.log[-1]["event"] == "agent stopped"


def test_a_sandbox_call_leaves_the_rows_that_a_phone_call_leaves(drained: Drained) -> None:
    call = drained.calls[0]
    told = {name: call[name] for name in ("outcome", "fault", "simulated", "opening_heard_to_end")}
    assert told == {"outcome": "answered", "fault": "none", "simulated": True, "opening_heard_to_end": True}
    assert call["ended_reason"] in ("assistant.end_call", "callee.hangup")
    assert [new for kind, new in call["events"] if kind == "status"] == [
        "queued",
        "dispatched",
        "dialing",
        "ringing",
        "in_progress",
        "ended",
    ]
    assert call["usage"]["model"]["output_audio_tokens"] > 0


def test_the_timeline_says_that_a_script_answered(drained: Drained) -> None:
    assert ["model", "script"] in drained.calls[0]["events"]


def test_both_sides_stand_in_the_transcript_in_the_order_in_which_they_spoke(drained: Drained) -> None:
    turns = [(role, text) for role, text in drained.calls[0]["turns"] if role != "tool"]
    assert [text for role, text in turns if role == "user"] == PEOPLE_SAY
    roles = [role for role, _ in turns]
    assert roles[:4] == ["assistant", "assistant", "user", "assistant"]
    assert turns[0][1].startswith("Olá, fala a assistente virtual de inteligência artificial")
    assert turns[1][1] == "Em que posso ajudar?"
    assert "nove da manhã" in turns[3][1]


def test_health_is_bad_while_it_drains(drained: Drained) -> None:
    lines = {"sandbox": "ok"}
    assert drained.health == [(200, {"status": "ok", "lines": lines}), (503, {"status": "draining", "lines": lines})]


def test_its_figures_tell_how_many_calls_it_carries(drained: Drained) -> None:
    assert drained.figures == [{'chamada_agent_calls_max{line="sandbox"}': 10.0, 'chamada_agent_calls_active{line="sandbox"}': 1.0}]


def test_no_line_is_logged_twice_and_a_calls_lines_name_it(drained: Drained) -> None:
    texts = Counter(json.dumps(line, sort_keys=True) for line in drained.log)
    assert [text for text, times in texts.items() if times > 1] == []
    moved = [line for line in drained.log if line["event"] == "call ends"]
    assert len(moved) == 1
    assert moved[0]["call"]


def test_a_second_signal_breaks_its_calls_off_and_says_so(migrated: Path) -> None:
    bench = Bench(migrated)
    with bench.agent() as agent:
        bench.queue()
        wait_until_talking(bench, agent)
        agent.process.signal(signal.SIGTERM)
        agent.wait_until_said("agent draining")
        agent.process.signal(signal.SIGTERM)
        assert agent.ends(within_s=10) == 1
    (call,) = bench.calls()
    told = tuple(call[name] for name in ("status", "outcome", "ended_reason", "fault"))
    assert told == ("ended", "answered", "error.platform.worker_lost", "platform")


def test_a_third_signal_stops_it_at_once(migrated: Path) -> None:
    bench = Bench(migrated)
    with bench.agent() as agent:
        bench.queue()
        wait_until_talking(bench, agent)
        for event in ("agent draining", "agent forced to stop"):
            agent.process.signal(signal.SIGTERM)
            agent.wait_until_said(event)
        agent.process.signal(signal.SIGTERM)
        assert agent.ends(within_s=2) == 1


def test_calls_that_do_not_end_in_time_are_broken_off_and_say_so(migrated: Path) -> None:
    bench = Bench(migrated)
    with bench.agent("--drain-timeout=1") as agent:
        bench.queue()
        wait_until_talking(bench, agent)
        agent.process.signal(signal.SIGINT)
        assert agent.ends(within_s=60) == 0
        assert [line["calls"] for line in agent.said("sandbox calls are broken off")] == [1]
    (call,) = bench.calls()
    assert (call["status"], call["outcome"], call["ended_reason"], call["fault"]) == (
        "ended",
        "answered",
        "error.platform.worker_lost",
        "platform",
    )


def test_ten_calls_at_once_have_ten_right_transcripts_and_an_eleventh_waits(migrated: Path) -> None:
    bench = Bench(migrated)
    with bench.agent() as agent:
        bench.queue(11)
        wait_until_talking(bench, agent, calls=10)
        assert Counter(bench.statuses()) == {"in_progress": 10, "queued": 1}
        agent.process.wait_until(lambda: bench.statuses().count("ended") >= 10, within_s=90)
        agent.process.signal(signal.SIGTERM)
        assert agent.ends(within_s=90) == 0
    ended = [call for call in bench.calls() if call["status"] == "ended"]
    assert len(ended) >= 10
    assert {call["outcome"] for call in ended} == {"answered"}
    assert {tuple(text for role, text in call["turns"] if role == "user") for call in ended} == {tuple(PEOPLE_SAY)}


def test_a_database_that_goes_away_is_waited_for(migrated: Path) -> None:
    bench = Bench(migrated)
    with bench.agent() as agent, sqlite3.connect(bench.file) as database:
        database.execute("ALTER TABLE calls_call RENAME TO away")
        agent.wait_until_said("sandbox calls cannot be claimed")
        assert health(agent) == (503, {"status": "unable", "lines": {"sandbox": "unable"}})
        database.execute("ALTER TABLE away RENAME TO calls_call")
        agent.process.wait_until(lambda: health(agent)[0] == 200)
        assert len(agent.said("sandbox calls cannot be claimed")) == 1
    database.close()


def test_the_defaults_are_the_settings(migrated: Path) -> None:
    bench = Bench(migrated, environment={"AGENT_MAX_CALLS": "7", "AGENT_DRAIN_TIMEOUT_S": "90"})
    text = bench.manage("run_agent", "--help").stdout
    assert "calls at once on the phone line (default: 7)" in " ".join(text.split())
    assert "seconds that running calls get to end (default: 90)" in " ".join(text.split())
