"""The caller's side: that somebody speaks is heard, what they say is told."""

import pytest

from agent_worker.realtime_emulator import Emulator
from agent_worker.realtime_emulator.speech import synthesize
from agent_worker.realtime_emulator.vad import Edge, Vad, silence_ms

from .client import INSTRUCTIONS, Client, connect, quick, said, session_of, silence

SPEECH = synthesize("Boa tarde.", locale="pt-PT", voice="caller", max_pause_ms=100)
SPEECH_MS = len(SPEECH) // 48


def edges(pcm: bytes, silence_after: int = 500, packet: int = 4800) -> list[Edge]:
    vad = Vad(-42.0)
    return [edge for start in range(0, len(pcm), packet) for edge in vad.feed(pcm[start : start + packet], silence_after)]


def test_speech_starts_and_stops_where_it_does() -> None:
    start, stop = edges(silence(1000) + SPEECH + silence(1000))
    assert (start.kind, stop.kind) == ("start", "stop")
    assert abs(start.ms - 1000) <= 60
    assert abs(stop.ms - (1000 + SPEECH_MS + 500)) <= 80


@pytest.mark.parametrize("packet", [2, 320, 960, 4800, 48_000])
def test_the_size_of_the_packets_changes_nothing(packet: int) -> None:
    pcm = silence(300) + SPEECH + silence(1000)
    assert edges(pcm, packet=packet) == edges(pcm)


def test_a_click_is_no_speech() -> None:
    click = (8000).to_bytes(2, "little") * (24 * 40)
    assert edges(silence(300) + click + silence(1000)) == []


def test_a_pause_shorter_than_the_silence_is_part_of_the_turn() -> None:
    assert [edge.kind for edge in edges(SPEECH + silence(300) + SPEECH + silence(1000))] == ["start", "stop"]
    assert [edge.kind for edge in edges(SPEECH + silence(700) + SPEECH + silence(1000))] == ["start", "stop"] * 2


@pytest.mark.parametrize(
    ("detection", "milliseconds"),
    [
        ({"type": "server_vad", "silence_duration_ms": 320}, 320),
        ({"type": "semantic_vad", "eagerness": "low"}, 1200),
        ({"type": "semantic_vad", "eagerness": "auto"}, 700),
        ({"type": "semantic_vad", "eagerness": None}, 700),
        ({"type": "semantic_vad", "eagerness": "high"}, 350),
    ],
)
def test_how_long_a_pause_ends_a_turn(detection: dict[str, object], milliseconds: int) -> None:
    assert silence_ms(detection) == milliseconds


TRANSCRIBED = {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": {"type": "semantic_vad"}}}


async def test_a_turn_has_the_services_order(client: Client, emulator: Emulator) -> None:
    await client.configure(audio=TRANSCRIBED)
    emulator.declare("Boa tarde.")
    await client.say()
    await client.until("response.done")
    heard = [event for event in client.types if event.startswith(("input_audio_buffer", "conversation.item"))][:5]
    assert heard == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    item = client.of("conversation.item.added")[0]["item"]
    assert item["content"] == [{"type": "input_audio", "transcript": None}]
    assert {event["item_id"] for event in client.events if event["type"].startswith("input_audio_buffer")} == {item["id"]}


async def test_a_turn_is_transcribed_and_counted_in_tokens(client: Client, emulator: Emulator) -> None:
    await client.configure(audio=TRANSCRIBED)
    emulator.declare("Queria uma mesa.")
    await client.say()
    completed = await client.until("conversation.item.input_audio_transcription.completed")
    deltas = "".join(event["delta"] for event in client.of("conversation.item.input_audio_transcription.delta"))
    assert completed["transcript"] == deltas == "Queria uma mesa."
    usage = completed["usage"]
    assert (usage["type"], usage["total_tokens"]) == ("tokens", usage["input_tokens"] + usage["output_tokens"])
    assert usage["input_token_details"] == {"text_tokens": 0, "audio_tokens": usage["input_tokens"]}


async def test_whisper_counts_seconds(client: Client) -> None:
    await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
    await client.say()
    completed = await client.until("conversation.item.input_audio_transcription.completed")
    assert completed["usage"] == {"type": "duration", "seconds": 1}


async def test_without_transcription_the_words_still_reach_the_mind(client: Client, emulator: Emulator) -> None:
    emulator.declare("É um robô?")
    await client.say()
    response = (await client.until("response.done"))["response"]
    assert said(response).startswith("Sim, sou uma inteligência artificial")
    assert client.of("conversation.item.input_audio_transcription.completed") == []


async def test_what_nobody_declared_is_inaudible(client: Client, emulator: Emulator) -> None:
    await client.say()
    await client.until("response.done")
    assert next(iter(session_of(emulator).conversation)).text == "(inaudível)"


async def test_a_declaration_goes_to_the_session_it_names_and_is_used_once(emulator: Emulator) -> None:
    async with connect(emulator) as first, connect(emulator) as second:
        await first.configure(instructions=f"{INSTRUCTIONS}\nCliente: Ana.")
        await second.configure(instructions=f"{INSTRUCTIONS}\nCliente: Rui.")
        emulator.declare("Sou o Rui.", instructions_contain="Cliente: Rui")
        emulator.sessions[0].declare("Sou a Ana.")
        for number, client in enumerate((first, second), 1):
            await client.say()
            await client.until("response.done")
            await client.say()
            await client.until("response.done", 2)
            assert [item.text for item in emulator.sessions[number - 1].conversation if item.kind == "user"] == [
                ["Sou a Ana.", "Sou o Rui."][number - 1],
                "(inaudível)",
            ]


async def test_a_declaration_waits_for_a_session_of_its_key(emulator: Emulator) -> None:
    emulator.declare("Boa tarde.", key="sk-emu-mind.7")
    async with connect(emulator, "sk-emu-mind.8") as other, connect(emulator, "sk-emu-mind.7") as mine:
        for client in (other, mine):
            await client.say()
            await client.until("conversation.item.done")
    texts = [next(iter(session.conversation)).text for session in emulator.sessions]
    assert texts == ["(inaudível)", "Boa tarde."]


async def test_the_caller_interrupts_and_is_answered_after_the_cut(emulator: Emulator) -> None:
    emulator.configure(script=quick(pace=1.0))
    async with connect(emulator) as client:
        await client.configure()
        await client.send("response.create")
        await client.until("response.output_audio.delta", 2)
        emulator.declare("É um robô?")
        await client.say()
        cut = (await client.until("response.done"))["response"]
        answer = (await client.until("response.output_audio_transcript.done", 2))["transcript"]
    assert (cut["status"], cut["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert answer.startswith("Sim, sou uma inteligência artificial")


async def test_a_caller_who_may_not_interrupt_is_answered_afterwards(emulator: Emulator) -> None:
    emulator.configure(script=quick(pace=8.0))
    async with connect(emulator) as client:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        for _ in range(2):  # two turns while it speaks get one answer
            await client.say(silence_ms=500)
        await client.until("response.done", 2)
        assert [event["response"]["status"] for event in client.of("response.done")] == ["completed", "completed"]


async def test_a_turn_is_answered_only_when_the_session_wants_it(client: Client) -> None:
    await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    await client.say()
    await client.until("conversation.item.done")
    await client.reply(metadata={"asked": "yes"})
    assert [event["response"]["metadata"] for event in client.of("response.created")] == [{"asked": "yes"}]


async def test_a_script_says_what_the_caller_and_the_model_say(emulator: Emulator) -> None:
    turns = [
        {"user": "Há mesa?"},
        {"assistant": "Para quantos?", "first_audio_ms": 1},
        {"user": "Quatro."},
        {"assistant": "Vou ver.", "tool": {"name": "check", "arguments": {"people": 4}}},
    ]
    emulator.configure(script={"turns": turns, "pace": 100, "first_audio_ms": 1})
    async with connect(emulator) as client:
        for number in (1, 2):
            await client.say()
            await client.until("response.done", number)
        last = client.of("response.done")[-1]["response"]
        assert [item.text for item in session_of(emulator).conversation] == [
            "Há mesa?",
            "Para quantos?",
            "Quatro.",
            "Vou ver.",
            '{"people": 4}',
        ]
        assert [item["type"] for item in last["output"]] == ["message", "function_call"]
        await client.say()
        assert said((await client.until("response.done", 3))["response"]).startswith("Desculpe")


async def test_history_that_is_replayed_moves_the_script_on(emulator: Emulator) -> None:
    turns = [{"assistant": "Olá."}, {"user": "Há mesa?"}, {"tool": {"name": "check"}}, {"assistant": "Há sim."}, {"user": "Boa."}]
    emulator.configure(script={"turns": turns, "pace": 100, "first_audio_ms": 1})
    async with connect(emulator) as client:
        await client.type_text("Olá.", role="assistant")
        await client.type_text("Há mesa?")
        call = {"type": "function_call", "name": "check", "arguments": "{}", "call_id": "c1"}
        for item in (call, {"type": "function_call_output", "call_id": "c1", "output": "sim"}):
            await client.send("conversation.item.create", item=item)
        assert said(await client.reply()) == "Há sim."
        await client.say()
        await client.until("response.done", 2)
        assert [item.text for item in session_of(emulator).conversation if item.kind == "user"] == ["Há mesa?", "Boa."]
