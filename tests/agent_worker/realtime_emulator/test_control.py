"""The control API: what tests in other processes set and read."""

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from agent_worker.realtime_emulator import Emulator

from .client import INSTRUCTIONS, Client, Json, connect, session_of


class Control:
    def __init__(self, emulator: Emulator, http: aiohttp.ClientSession) -> None:
        self._base, self._http = f"{emulator.origin}/__emulator", http

    async def get(self, path: str, **query: str) -> tuple[int, Json]:
        async with self._http.get(f"{self._base}/{path}", params=query) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: object = None, **headers: str) -> tuple[int, Json]:
        async with self._http.post(f"{self._base}/{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def control(emulator: Emulator) -> AsyncIterator[Control]:
    async with aiohttp.ClientSession() as http:
        yield Control(emulator, http)


async def test_sessions_are_found_by_key_and_by_what_their_instructions_contain(emulator: Emulator, control: Control) -> None:
    async with connect(emulator, "sk-emu-mind.1") as ana, connect(emulator, "sk-emu-mind.2") as rui:
        await ana.configure(instructions="Cliente: Ana")
        await rui.configure(instructions="Cliente: Rui")
        _, everyone = await control.get("sessions")
        _, by_key = await control.get("sessions", key="sk-emu-mind.2")
        _, by_text = await control.get("sessions", instructions_contain="Rui")
    assert [session["key"] for session in everyone["sessions"]] == ["sk-emu-mind.1", "sk-emu-mind.2"]
    assert [session["id"] for session in by_key["sessions"]] == [emulator.sessions[1].id]
    assert by_text == by_key
    described = by_key["sessions"][0]
    assert (described["model"], described["state"], described["script"]) == ("gpt-realtime-2.1", "idle", "mind")
    assert (len(described["instructions_sha256"]), "Rui" in str(described)) == (64, False)


async def test_a_journal_has_both_sides_with_monotonic_times_and_no_audio(client: Client, emulator: Emulator, control: Control) -> None:
    before = time.monotonic()
    await client.reply(metadata={"n": "1"})
    await client.until("rate_limits.updated")
    _, journal = await control.get(f"sessions/{session_of(emulator).id}/journal")
    entries = journal["entries"]
    assert [entry["type"] for entry in entries if entry["sender"] == "client"] == ["session.update", "response.create"]
    created = next(entry for entry in entries if entry["type"] == "response.created")
    assert before <= created["at"] <= time.monotonic()
    assert created["event"]["response"]["metadata"] == {"n": "1"}
    deltas = [entry["event"]["delta"] for entry in entries if entry["type"] == "response.output_audio.delta"]
    assert deltas[0] == "100 ms"
    _, rest = await control.get(f"sessions/{session_of(emulator).id}/journal", since=str(len(entries) - 1))
    assert rest["entries"] == entries[-1:]


async def test_what_happens_can_be_waited_for(client: Client, emulator: Emulator, control: Control) -> None:
    session = session_of(emulator)
    await client.send("response.create")
    status, entry = await control.get(f"sessions/{session.id}/wait", type="response.done", count="1", timeout_s="5")
    assert (status, entry["event"]["response"]["status"]) == (200, "completed")
    assert entry["at"] == session.journal.of("response.done", "server")[0].at
    status, late = await control.get(f"sessions/{session.id}/wait", type="response.done", count="2", timeout_s="0.05")
    assert (status, late) == (408, {"error": "It did not happen in time."})


async def test_a_sentence_is_declared_from_outside(client: Client, emulator: Emulator, control: Control) -> None:
    status, _ = await control.post("declare", {"text": "Há mesa?", "session_id": session_of(emulator).id})
    await client.say()
    await client.until("conversation.item.done")
    assert (status, next(iter(session_of(emulator).conversation)).text) == (200, "Há mesa?")


async def test_a_script_and_faults_are_set_from_outside_and_taken_back(client: Client, emulator: Emulator, control: Control) -> None:
    timing = {"first_audio_ms": 1, "pace": 100}
    await control.post("configure", {"instructions_contain": INSTRUCTIONS[:20], "script": {"turns": [{"assistant": "Sim."}], **timing}})
    assert (await client.reply())["output"][0]["content"][0]["transcript"] == "Sim."
    await control.post("configure", {"key": "sk-test", "faults": [{"kind": "fail"}]})
    assert (await client.reply())["status"] == "failed"
    await control.post("reset")
    assert (await client.reply())["status"] == "completed"


async def test_a_built_in_script_is_set_by_its_name(emulator: Emulator, control: Control) -> None:
    await control.post("configure", {"key": "sk-test", "script": "no_credit"})
    async with connect(emulator) as refused:
        assert await refused.until_closed() == 4000


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("declare", {}, "A declaration needs a text."),
        ("declare", {"text": "a", "to": "all"}, "The body is an object with some of instructions_contain, key, session_id, text."),
        ("declare", ["a"], "The body is an object with some of instructions_contain, key, session_id, text."),
        ("configure", {"script": "nowhere"}, "There is no script 'nowhere'."),
        ("configure", {"script": {"turns": [{"say": "a"}]}}, None),
        ("configure", {"faults": [{"kind": "flood"}]}, None),
    ],
)
async def test_what_is_wrong_is_said_in_a_sentence(control: Control, path: str, body: Any, error: str | None) -> None:
    status, answer = await control.post(path, body)
    assert (status, answer["error"].endswith(".")) == (400, True)
    assert error in (None, answer["error"])


async def test_a_body_that_is_not_json_and_a_number_that_is_none_are_refused(client: Client, emulator: Emulator, control: Control) -> None:
    async with aiohttp.ClientSession() as http, http.post(f"{emulator.origin}/__emulator/declare", data="text") as answer:
        assert (answer.status, await answer.json()) == (400, {"error": "The body is not JSON."})
    assert (await control.get(f"sessions/{session_of(emulator).id}/journal", since="x"))[0] == 400


async def test_an_unknown_session_is_not_found(control: Control) -> None:
    assert await control.get("sessions/sess_0/journal") == (404, {"error": "There is no such session."})


async def test_a_page_in_a_browser_cannot_steer_the_emulator(control: Control) -> None:
    status, answer = await control.post("reset", Origin="https://example.com")
    assert (status, answer) == (403, {"error": "The control API is not for browsers."})


async def test_the_journals_of_old_sessions_are_forgotten(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.realtime_emulator.server.KEPT_SESSIONS", 1)
    for number in range(3):
        async with connect(emulator, f"sk-{number}") as client:
            await client.until("session.created")
            await client.socket.close()
        await emulator.sessions[-1].journal.wait_for("(closed)")
    async with connect(emulator, "sk-3") as client:
        await client.until("session.created")
        assert [session.key for session in emulator.sessions] == ["sk-2", "sk-3"]
