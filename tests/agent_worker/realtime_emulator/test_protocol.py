"""The wire: order, echoes, ids and refusals, as the service has them."""

import asyncio
import base64
from typing import Any

import pytest

from agent_worker.realtime_emulator import Emulator, Session, contract
from agent_worker.realtime_emulator.contract import ContractBroken
from agent_worker.realtime_emulator.speech import BYTES_PER_MS

from .client import INSTRUCTIONS, Client, Json, called, connect, quick, said, session_of, silence, tool

SPOKEN = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
]
AFTER_THE_WORDS = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]


async def test_a_session_begins_with_its_configuration(emulator: Emulator) -> None:
    async with connect(emulator) as client:
        session = (await client.until("session.created"))["session"]
    assert (session["model"], session["type"], session["audio"]["input"]["turn_detection"]["type"]) == (
        "gpt-realtime-2.1",
        "realtime",
        "server_vad",
    )


async def test_an_update_merges_and_is_confirmed(client: Client, emulator: Emulator) -> None:
    await client.configure(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
    audio = client.of("session.updated")[-1]["session"]["audio"]
    assert audio["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "high",
        "create_response": True,
        "interrupt_response": True,
    }
    assert audio["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session_of(emulator).instructions == INSTRUCTIONS


async def test_a_spoken_response_has_the_services_order(client: Client) -> None:
    await client.reply()
    await client.until("rate_limits.updated")
    order = client.types_since("response.created")
    assert order[: len(SPOKEN)] == SPOKEN
    assert order[-len(AFTER_THE_WORDS) :] == AFTER_THE_WORDS
    assert client.of("response.content_part.added")[0]["part"] == {"type": "audio", "transcript": ""}


async def test_the_transcript_is_ahead_of_the_audio_and_both_are_whole(client: Client) -> None:
    response = await client.reply()
    words = "".join(event["delta"] for event in client.of("response.output_audio_transcript.delta"))
    audio = b"".join(base64.b64decode(event["delta"]) for event in client.of("response.output_audio.delta"))
    assert words == said(response) == "Olá, fala a Taberna. Quer mesa?"
    assert 1500 < len(audio) // BYTES_PER_MS < 6000


async def test_a_text_response_has_no_audio(client: Client) -> None:
    response = await client.reply(output_modalities=["text"])
    assert client.of("response.output_audio.delta") == []
    assert client.of("response.content_part.added")[0]["part"] == {"type": "text", "text": ""}
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "Olá, fala a Taberna. Quer mesa?"}]


async def test_metadata_is_echoed(client: Client) -> None:
    response = await client.reply(metadata={"client_event_id": "response_create_7"})
    created = client.of("response.created")[0]["response"]
    assert created["metadata"] == response["metadata"] == {"client_event_id": "response_create_7"}
    assert (created["status"], created["usage"]) == ("in_progress", None)


async def test_items_of_the_client_keep_their_ids_and_places(client: Client) -> None:
    for item_id, after in (("a", "root"), ("b", None), ("c", "a")):
        item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_text", "text": item_id}]}
        await client.send("conversation.item.create", item=item, previous_item_id=after)
    await client.until("conversation.item.done", 3)
    places = [(event["item"]["id"], event["previous_item_id"]) for event in client.of("conversation.item.added")]
    assert places == [("a", None), ("b", "a"), ("c", "a")]
    await client.reply()
    spoken = client.of("conversation.item.added")[-1]
    assert (spoken["previous_item_id"], spoken["item"]["content"]) == ("b", [])


async def test_an_item_can_be_retrieved_and_deleted_once(client: Client) -> None:
    await client.type_text("Boa tarde.")
    item = (await client.until("conversation.item.added"))["item"]
    await client.send("conversation.item.retrieve", item_id=item["id"])
    assert (await client.until("conversation.item.retrieved"))["item"] == item
    await client.send("conversation.item.delete", item_id=item["id"])
    assert (await client.until("conversation.item.deleted"))["item_id"] == item["id"]
    await client.send("conversation.item.delete", item_id=item["id"], event_id="twice")
    error = (await client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("item_delete_invalid_item_id", "twice")


async def test_a_call_comes_whole_and_its_answer_is_spoken(client: Client) -> None:
    await client.configure(tools=[tool("lookup_information", question={"type": "string"})])
    await client.type_text("Há onde estacionar?")
    asked = await client.reply()
    assert called(asked) == [("lookup_information", {"question": "Há onde estacionar?"})]
    assert client.of("conversation.item.added")[-1]["item"]["arguments"] == ""
    deltas = "".join(event["delta"] for event in client.of("response.function_call_arguments.delta"))
    assert deltas == client.of("response.function_call_arguments.done")[0]["arguments"] == asked["output"][0]["arguments"]
    assert client.types_since("response.created") == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    output = {"type": "function_call_output", "call_id": asked["output"][0]["call_id"], "output": "Há um parque a duzentos metros."}
    await client.send("conversation.item.create", item=output)
    assert said(await client.reply()).startswith("Há um parque a duzentos metros.")


async def test_usage_counts_by_modality_and_grows_with_the_conversation(client: Client) -> None:
    await client.configure(instructions=INSTRUCTIONS + "\nFala pouco." * 40)
    first = (await client.reply())["usage"]
    await client.type_text("Boa tarde, queria uma mesa para sábado.")
    second = (await client.reply())["usage"]
    assert first["input_token_details"]["cached_tokens"] == 0
    assert first["output_token_details"]["audio_tokens"] > first["output_token_details"]["text_tokens"] > 0
    assert second["input_token_details"]["audio_tokens"] == first["output_token_details"]["audio_tokens"]
    assert second["input_tokens"] > first["input_tokens"]
    assert second["input_token_details"]["cached_tokens"] == first["input_tokens"] // 64 * 64 > 0
    assert second["total_tokens"] == second["input_tokens"] + second["output_tokens"]


async def test_a_second_response_is_refused_while_one_runs(client: Client) -> None:
    await client.send("response.create")
    await client.send("response.create", event_id="too_soon")
    error = (await client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "too_soon")
    assert (await client.until("response.done"))["response"]["status"] == "completed"


@pytest.fixture
async def slow_client(emulator: Emulator) -> Any:
    """In a session whose speech takes a while to send."""
    emulator.configure(script=quick(pace=4.0))
    async with connect(emulator) as connected:
        await connected.configure()
        yield connected


async def test_a_cancelled_response_says_what_was_sent(slow_client: Client) -> None:
    await slow_client.send("response.create")
    await slow_client.until("response.output_audio.delta", 2)
    await slow_client.send("response.cancel")
    response = (await slow_client.until("response.done"))["response"]
    assert (response["status"], response["status_details"]) == ("cancelled", {"type": "cancelled", "reason": "client_cancelled"})
    assert response["output"][0]["status"] == "incomplete"
    assert "Olá, fala a Taberna. Quer mesa?".startswith(said(response))
    assert said(response) not in ("", "Olá, fala a Taberna. Quer mesa?")


async def test_a_response_cancelled_before_its_first_sound_says_nothing(emulator: Emulator) -> None:
    emulator.configure(script=quick(first_audio_ms=5000))
    async with connect(emulator) as client:
        await client.send("response.create")
        created = await client.until("response.created")
        await client.send("response.cancel", response_id=created["response"]["id"])
        response = (await client.until("response.done", timeout_s=2))["response"]
    assert (response["status"], response["output"]) == ("cancelled", [])


async def test_cancelling_nothing_is_an_error(client: Client) -> None:
    await client.send("response.cancel", event_id="c1")
    error = (await client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "c1")


async def test_speech_is_truncated_where_it_was_heard_and_not_beyond(client: Client, emulator: Emulator) -> None:
    item_id = (await client.reply())["output"][0]["id"]
    spoken = next(item for item in session_of(emulator).conversation if item.id == item_id)
    heard = spoken.audio_ms // 2
    for end in (spoken.audio_ms + 1, heard):
        await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=end)
    error = (await client.until("error"))["error"]
    assert "is already shorter than" in error["message"]
    assert (await client.until("conversation.item.truncated"))["audio_end_ms"] == heard
    assert (spoken.audio_ms, spoken.text) == (heard, "Olá, fala a")


async def test_what_is_no_speech_cannot_be_truncated(client: Client) -> None:
    await client.type_text("Boa tarde.")
    item_id = (await client.until("conversation.item.added"))["item"]["id"]
    await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
    assert (await client.until("error"))["error"]["code"] == "item_truncate_invalid_item_id"


async def test_an_out_of_band_response_leaves_the_conversation_as_it_is(slow_client: Client, emulator: Emulator) -> None:
    await slow_client.send("response.create")
    await slow_client.until("response.output_audio.delta")
    instructions = "Lê palavra por palavra: <read>Uma frase\n  à parte.</read>"
    await slow_client.send("response.create", response={"conversation": "none", "instructions": instructions, "metadata": {"n": "2"}})
    await slow_client.until("response.done", 2)
    aside = next(event["response"] for event in slow_client.of("response.done") if event["response"]["metadata"])
    assert (said(aside), aside["conversation_id"], aside["status"]) == ("Uma frase à parte.", None, "completed")
    assert [item.text for item in session_of(emulator).conversation] == ["Olá, fala a Taberna. Quer mesa?"]
    assert len(slow_client.of("conversation.item.added")) == 1


async def test_an_out_of_band_response_reads_its_own_input(client: Client) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "É um robô?"}]}
    response = await client.reply(conversation="none", input=[item], output_modalities=["text"])
    assert said(response).startswith("Sim, sou uma inteligência artificial")


async def test_an_out_of_band_response_may_refer_to_an_item(client: Client) -> None:
    await client.type_text("É um robô?")
    item_id = (await client.until("conversation.item.added"))["item"]["id"]
    response = await client.reply(conversation="none", input=[{"type": "item_reference", "id": item_id}], output_modalities=["text"])
    assert said(response).startswith("Sim, sou uma inteligência artificial")


async def test_an_out_of_band_response_can_be_cancelled_by_its_id(slow_client: Client) -> None:
    await slow_client.send("response.create", response={"conversation": "none"})
    created = (await slow_client.until("response.created"))["response"]
    await slow_client.send("response.cancel", response_id=created["id"])
    assert (await slow_client.until("response.done"))["response"]["status"] == "cancelled"


async def test_the_voice_cannot_change_once_it_was_heard(client: Client) -> None:
    await client.reply()
    await client.send("session.update", session={"type": "realtime", "audio": {"output": {"voice": "cedar"}}})
    assert (await client.until("error"))["error"]["code"] == "cannot_update_voice"


MESSAGE = {"type": "message", "role": "user", "content": []}


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "response.gate"}, "invalid_value"),
        ({}, "missing_required_parameter"),
        ({"type": "session.update"}, "missing_required_parameter"),
        ({"type": "session.update", "session": {"type": "transcription"}}, "invalid_value"),
        ({"type": "session.update", "session": {"output_modalities": ["audio", "text"]}}, "invalid_value"),
        ({"type": "session.update", "session": {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}}, "invalid_value"),
        ({"type": "response.create", "response": {"output_modalities": ["video"]}}, "invalid_value"),
        ({"type": "input_audio_buffer.append", "audio": "%%%"}, "invalid_value"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
        ({"type": "conversation.item.create", "item": {"type": "picture"}}, "invalid_value"),
        ({"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "c"}}, "missing_required_parameter"),
        ({"type": "conversation.item.create", "item": MESSAGE, "previous_item_id": "x"}, "item_create_invalid_previous_item_id"),
        ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_not_found"),
        ({"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": True}, "missing_required_parameter"),
    ],
)
async def test_a_wrong_event_is_refused_by_its_id_and_the_session_goes_on(client: Client, event: Json, code: str) -> None:
    await client.send(**{"event_type": event.get("type"), **{k: v for k, v in event.items() if k != "type"}, "event_id": "mine"})
    error = (await client.until("error"))["error"]
    assert (error["code"], error["event_id"]) == (code, None if "type" not in event else "mine")
    assert (await client.reply())["status"] == "completed"


async def test_what_is_not_json_is_refused(client: Client) -> None:
    await client.socket.send_str("{")
    assert (await client.until("error"))["error"]["code"] == "invalid_json"


async def test_an_id_is_taken_once(client: Client) -> None:
    for _ in range(2):
        await client.send("conversation.item.create", item={"id": "same", **MESSAGE})
    assert (await client.until("error"))["error"]["code"] == "item_create_duplicate_item_id"


async def test_the_clients_own_turns_are_committed(client: Client, emulator: Emulator) -> None:
    await client.configure(audio={"input": {"turn_detection": None}})
    emulator.declare("Quero um bitoque.")
    await client.append(silence(200))
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")
    await client.append(silence(300))
    await client.send("input_audio_buffer.commit")
    committed = await client.until("input_audio_buffer.committed")
    added = await client.until("conversation.item.added")
    assert (added["item"]["id"], added["previous_item_id"]) == (committed["item_id"], None)
    assert [item.text for item in session_of(emulator).conversation] == ["Quero um bitoque."]
    assert client.of("response.created") == []


async def test_a_socket_that_goes_away_in_mid_sentence_leaves_nothing_behind(emulator: Emulator) -> None:
    emulator.configure(script=quick(pace=1.0))
    async with connect(emulator) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
    await session_of(emulator).journal.wait_for("(closed)")
    assert (session_of(emulator).state, emulator.failures, emulator.open_sessions) == ("closed", [], [])


async def test_stopping_closes_every_session() -> None:
    emulator = Emulator(default=quick())
    await emulator.start()
    async with connect(emulator) as client:
        await client.until("session.created")
        stopping = asyncio.create_task(emulator.stop())
        assert await client.until_closed() == 1001
        await stopping
    assert emulator.open_sessions == []


async def test_many_sessions_at_once_keep_to_themselves(emulator: Emulator) -> None:
    async def converse(number: int) -> tuple[str, str]:
        key = f"sk-emu-mind.{number}"
        emulator.configure(key=key, script=quick())
        async with connect(emulator, key) as client:
            await client.configure(instructions=f"Falas português de Portugal. Saudação: «Fala o número {number}.»")
            emulator.declare(f"Sou o {number}.", key=key)
            await client.say()
            await client.until("response.done")
            heard = [item.text for item in emulator.find(key=key)[0].conversation if item.kind == "user"]
            await client.reply(instructions="Cumprimenta a pessoa.")
            return heard[0], said(client.of("response.done")[-1]["response"])

    assert await asyncio.gather(*map(converse, range(12))) == [(f"Sou o {n}.", f"Fala o número {n}.") for n in range(12)]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.audio.delta", "event_id": "e"},
        {"type": "error", "event_id": "e"},
        {"type": "input_audio_buffer.cleared", "event_id": 7},
        {"type": "input_audio_buffer.cleared", "event_id": "e", "surprise": 1},
    ],
)
def test_an_event_that_the_service_does_not_know_breaks_the_contract(event: Json) -> None:
    with pytest.raises(ContractBroken):
        contract.check(event)


async def test_a_broken_contract_is_raised_when_the_emulator_is_left() -> None:
    async def misspeak(session: Session) -> None:
        session.emit("response.audio.done")

    async def converse() -> None:
        async with Emulator(default=quick(), strict=True) as emulator, connect(emulator) as client:
            await client.until("session.created")
            session_of(emulator).spawn(misspeak(session_of(emulator)))
            assert await client.until_closed() == 1011

    with pytest.raises(ContractBroken):
        await converse()
