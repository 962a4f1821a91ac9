"""What goes wrong when it is told to, and only then."""

import asyncio

import aiohttp
import pytest

from agent_worker.realtime_emulator import Emulator, ScriptError, load_scripts
from agent_worker.realtime_emulator.faults import parse_faults

from .client import QUICK, Client, Json, connect, quick, said, session_of

MODEL = "gpt-realtime-2.1-mini"


async def get(emulator: Emulator, path: str, key: str = "sk-test") -> tuple[int, Json]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http, http.get(f"{emulator.url}{path}") as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ("bad_key", 401, "invalid_api_key"),
        ("forbidden", 403, "access_denied"),
        ("busy", 429, "rate_limit_exceeded"),
        ("unavailable", 503, "server_error"),
    ],
)
async def test_an_upgrade_is_refused(emulator: Emulator, script: str, status: int, code: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect(emulator, f"sk-emu-{script}.1"):
            pass
    assert refused.value.status == status
    answer = await get(emulator, "/realtime", f"sk-emu-{script}.1")
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    assert emulator.sessions == []


@pytest.mark.parametrize("key", ["", "nonsense"])
async def test_what_is_no_key_is_refused_everywhere(emulator: Emulator, key: str) -> None:
    for path in ("/realtime", "/models", f"/models/{MODEL}"):
        status, body = await get(emulator, path, key)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")


async def test_models_are_listed_for_a_good_key(emulator: Emulator) -> None:
    status, body = await get(emulator, "/models")
    assert (status, body["object"], MODEL in [model["id"] for model in body["data"]]) == (200, "list", True)
    assert await get(emulator, f"/models/{MODEL}") == (200, {"id": MODEL, "object": "model", "created": 0, "owned_by": "emulator"})
    status, body = await get(emulator, "/models/gpt-1")
    assert (status, body["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(("script", "status"), [("bad_key", 401), ("refused_key", 401), ("no_credit", 200), ("busy", 200)])
async def test_models_are_refused_to_a_bad_key_alone(emulator: Emulator, script: str, status: int) -> None:
    assert (await get(emulator, "/models", f"sk-emu-{script}"))[0] == status


@pytest.mark.parametrize(
    ("script", "code", "closed_with"),
    [("refused_key", "invalid_api_key", 3000), ("no_credit", "insufficient_quota", 4000)],
)
async def test_a_session_is_accepted_and_then_refused(emulator: Emulator, script: str, code: str, closed_with: int) -> None:
    async with connect(emulator, f"sk-emu-{script}") as client:
        assert await client.until_closed() == closed_with
    assert [(event["type"], event["error"]["code"]) for event in client.events] == [("error", code)]


async def test_a_client_that_writes_before_it_reads_hears_why_it_is_refused(emulator: Emulator) -> None:
    async with connect(emulator, "sk-emu-refused_key") as client:
        transport = client.socket._response.connection.transport
        transport.pause_reading()  # as a client whose loop is busy does not come to it
        for _ in range(100):
            await client.send("input_audio_buffer.clear")
            await asyncio.sleep(0)
        transport.resume_reading()
        assert await client.until_closed() == 3000
    assert [event["error"]["code"] for event in client.events] == ["invalid_api_key"]


async def test_a_socket_is_closed_again_and_again(emulator: Emulator) -> None:
    for _ in range(2):
        async with connect(emulator, "sk-emu-closes.1") as client:
            assert await client.until_closed() == 1011
        assert client.types == ["session.created"]


async def failing(client: Client) -> tuple[str, Json | None]:
    response = await client.reply()
    return response["status"], response["status_details"] and response["status_details"]["error"]


async def test_credit_ends_at_the_second_response(emulator: Emulator) -> None:
    emulator.configure(script=quick(), faults=[{"kind": "fail", "code": "insufficient_quota", "response": 2}])
    async with connect(emulator) as client:
        first, second, third = [await failing(client) for _ in range(3)]
    assert first == third == ("completed", None)
    assert second[0] == "failed"
    assert second[1] is not None
    assert (second[1]["code"], second[1]["type"]) == ("insufficient_quota", "insufficient_quota")
    assert client.of("response.done")[1]["response"]["usage"] is None


async def test_a_rate_limit_is_of_one_key_and_once(emulator: Emulator) -> None:
    faults = [{"kind": "fail", "times": 1}]
    emulator.configure(key="sk-a", script=quick(), faults=faults)
    async with connect(emulator, "sk-a") as hit, connect(emulator, "sk-b") as spared:
        assert [(await failing(hit))[0] for _ in range(2)] == ["failed", "completed"]
        assert (await failing(spared))[0] == "completed"
    async with connect(emulator, "sk-a") as again:
        assert (await failing(again))[0] == "completed"
    emulator.configure(key="sk-a", faults=faults)
    async with connect(emulator, "sk-a") as anew:
        assert (await failing(anew))[0] == "failed"


async def test_the_network_is_cut_in_mid_sentence(emulator: Emulator) -> None:
    emulator.configure(script=quick(), faults=[{"kind": "drop", "response": 1, "after_audio_ms": 500, "times": 1}])
    async with connect(emulator) as client:
        await client.configure()
        await client.send("response.create")
        assert await client.until_closed() == 1006  # no close frame: the network was cut
        assert (len(client.of("response.output_audio.delta")), client.of("response.done")) == (5, [])
    async with connect(emulator) as client:
        assert (await client.reply())["status"] == "completed"


async def test_the_network_is_cut_after_a_while(emulator: Emulator) -> None:
    emulator.configure(faults=[{"kind": "drop", "after_s": 0.01}])
    async with connect(emulator) as client:
        assert await client.until_closed() == 1006


async def test_a_response_is_closed_on_before_its_first_word(emulator: Emulator) -> None:
    emulator.configure(script=quick(), faults=[{"kind": "close", "response": 1}])
    async with connect(emulator) as client:
        await client.send("response.create")
        assert await client.until_closed() == 1011
    assert client.types == ["session.created", "response.created"]


async def test_a_response_is_never_answered(emulator: Emulator) -> None:
    emulator.configure(faults=[{"kind": "stall", "response": 1}], script=quick())
    async with connect(emulator) as client:
        await client.send("response.create")
        assert (await client.reply(metadata={"number": "2"}))["metadata"] == {"number": "2"}
    assert len(client.of("response.created")) == 1


async def test_the_first_sound_is_slow(emulator: Emulator) -> None:
    emulator.configure(script=quick(), faults=[{"kind": "slow", "ms": 400}])
    async with connect(emulator) as client:
        await client.reply()
    journal = session_of(emulator).journal
    wait = journal.of("response.output_item.added")[0].at - journal.of("response.created")[0].at
    assert 0.4 <= wait < 2.0


async def test_a_session_expires(emulator: Emulator) -> None:
    emulator.configure(faults=[{"kind": "expire", "after_s": 0}])
    async with connect(emulator) as client:
        assert await client.until_closed() == 1001
    assert client.of("error")[0]["error"]["code"] == "session_expired"


async def test_a_burst_of_errors_ends_nothing(emulator: Emulator) -> None:
    emulator.configure(script=quick(), faults=[{"kind": "error", "count": 5}])
    async with connect(emulator) as client:
        await client.until("error", 5)
        assert (await client.reply())["status"] == "completed"
    assert {event["error"]["type"] for event in client.of("error")} == {"server_error"}


async def test_an_error_comes_with_a_response(emulator: Emulator) -> None:
    emulator.configure(script=quick(), faults=[{"kind": "error", "response": 2, "code": "odd", "message": "Odd."}])
    async with connect(emulator) as client:
        await client.reply()
        assert client.of("error") == []
        assert (await client.reply())["status"] == "completed"
        assert client.of("error")[0]["error"]["message"] == "Odd."


async def test_a_turn_is_not_transcribed(emulator: Emulator) -> None:
    emulator.configure(script=quick(), faults=[{"kind": "transcription_failed", "turn": 1}])
    async with connect(emulator) as client:
        await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
        for number, outcome in enumerate(("failed", "completed"), 1):
            await client.say()
            await client.until(f"conversation.item.input_audio_transcription.{outcome}")
            await client.until("response.done", number)
    assert client.of("conversation.item.input_audio_transcription.delta") != []


async def test_faults_reach_an_open_session_and_end_with_the_next_setting(emulator: Emulator) -> None:
    async with connect(emulator) as client:
        await client.configure()
        emulator.configure(session_id=session_of(emulator).id, faults=[{"kind": "fail"}])
        assert (await client.reply())["status"] == "failed"
        emulator.configure(session_id=session_of(emulator).id, faults=[])
        assert (await client.reply())["status"] == "completed"


async def test_a_clock_that_was_called_off_strikes_nobody(emulator: Emulator) -> None:
    async with connect(emulator) as client:
        await client.configure()
        emulator.configure(faults=[{"kind": "drop", "after_s": 0.02}])
        emulator.configure(faults=[{"kind": "error", "after_s": 0.05}])
        await client.until("error")
        assert (await client.reply())["status"] == "completed"


async def test_faults_go_by_what_the_instructions_contain(emulator: Emulator) -> None:
    emulator.configure(instructions_contain="Cliente: Rui", faults=[{"kind": "fail"}])
    async with connect(emulator) as ana, connect(emulator) as rui:
        await ana.configure(instructions="Cliente: Ana")
        await rui.configure(instructions="Cliente: Rui")
        assert [(await client.reply())["status"] for client in (ana, rui)] == ["completed", "failed"]


async def test_a_reset_forgets_all_that_was_set(emulator: Emulator) -> None:
    emulator.configure(faults=[{"kind": "http"}])
    emulator.declare("Boa tarde.")
    emulator.reset()
    async with connect(emulator) as client:
        await client.say()
        await client.until("response.done")
        assert next(iter(session_of(emulator).conversation)).text == "(inaudível)"


async def test_a_text_without_words_is_a_moment_of_silence(emulator: Emulator) -> None:
    emulator.configure(script={**QUICK, "turns": [{"assistant": "…"}]})
    async with connect(emulator) as client:
        response = await client.reply()
    assert (response["status"], said(response)) == ("completed", "…")


def test_every_built_in_script_is_one() -> None:
    assert set(load_scripts()) >= {"mind", "obey", "bad_key", "no_credit", "drops", "stalls", "slow", "expires"}


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "flood"},
        "drop",
        {"kind": "drop"},
        {"kind": "http", "status": 418},
        {"kind": "refuse", "code": "odd"},
        {"kind": "slow", "ms": "much"},
        {"kind": "fail", "response": True},
        {"kind": "stall", "when": "now"},
    ],
)
def test_a_fault_that_is_written_wrongly_is_refused_in_a_sentence(fault: Json) -> None:
    with pytest.raises(ScriptError) as refused:
        parse_faults([fault])
    assert str(refused.value).endswith(".")
