"""A call from the first ring to the goodbye, and what happens when people do not wait for their turn."""

import asyncio
import time
from itertools import pairwise

from agent_worker.realtime_emulator import speech
from personas.opening import opening_text

from .phone_network import StandIn
from .rig import SPEED, Conversation, Rig, spoken


def opening_of(gender: str) -> str:
    return opening_text(locale="pt-PT", gender=gender, of_organization="da Chamada.ai", organization="Chamada.ai", purpose="demo_call")


OPENING = opening_of("feminino")
GREETING = "Atendo pela Taberna do Cais. Quer marcar mesa ou saber alguma coisa da casa?"
WANTS = "Queria uma mesa para quatro pessoas, no sábado."
ASKS = "Com certeza. A que horas lhe dava mais jeito?"
THANKS = "Afinal telefono mais tarde, obrigado."
GOODBYE = "Cá estaremos. Até à próxima!"
LONG = (
    "Temos bacalhau à Brás, polvo à lagareiro, robalo grelhado e arroz de marisco para duas pessoas, tudo feito no momento, e também carne."
)
SAYS_GOODBYE = {"assistant": GOODBYE, "tool": {"name": "end_call", "arguments": {"reason": "goodbye"}}}
# What is heard of a voice is shorter than what was said by its own fading in and out.
HEARD_SHARE = 0.85


def seconds_of(text: str) -> float:
    """How long the persona speaks that."""
    return len(speech.synthesize(text, locale="pt-PT", voice="marin", speed=SPEED)) / speech.BYTES_PER_MS / 1000


async def hear_into(talk: Conversation, text: str, *, seconds: float) -> None:
    """Return when the callee has heard that much of `text`, which is said after the opening."""
    answered = await talk.phone.answered()
    began = await talk.phone.heard_speech(since=answered)
    enough_s = seconds_of(OPENING) + seconds
    assert seconds_of(text) > seconds + 1
    await talk.phone.until(lambda: talk.phone.recording.last_voice_at - began > enough_s, f"{enough_s:.1f} s of voice", within_s=30)


async def test_a_call_goes_from_the_opening_to_the_goodbye(rig: Rig, number: str) -> None:
    talk = rig.conversation(number, turns=[{"assistant": GREETING}, {"assistant": ASKS}, SAYS_GOODBYE])
    talk.phone.answers()
    await talk.start()
    answered = await talk.phone.answered()
    quiet = await talk.greeted()
    assert quiet - answered >= HEARD_SHARE * (seconds_of(OPENING) + seconds_of(GREETING))
    await talk.listens(since=await talk.says(WANTS))
    thanked = await talk.says(THANKS)
    assert await talk.phone.heard_speech(since=thanked) < await talk.phone.hung_up()

    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["ended_by"], call["fault"]) == (
        "answered",
        "assistant.end_call",
        "assistant",
        "none",
    )
    assert (call["opening"]["heard_to_end"], call["sip"]["status_code"], talk.phone.rings) == (True, 200, 1)
    said = [(turn["role"], turn["text"], turn["opening"]) for turn in await talk.turns() if turn["role"] != "tool"]
    assert said == [
        ("assistant", OPENING, True),
        ("assistant", GREETING, False),
        ("user", WANTS, False),
        ("assistant", ASKS, False),
        ("user", THANKS, False),
        ("assistant", GOODBYE, False),
    ]
    assert abs(call["duration_s"] - (talk.phone.timeline[-1].at - answered)) <= 2


async def test_a_call_keeps_its_times_its_usage_and_how_fast_it_answered(rig: Rig, number: str) -> None:
    talk = rig.conversation(number, turns=[{"assistant": GREETING}, {"assistant": ASKS}, SAYS_GOODBYE])
    talk.phone.answers(after_s=1.5)
    await talk.start()
    await talk.greeted()
    await talk.listens(since=await talk.says(WANTS))
    await talk.says(THANKS)
    call = await talk.ended()
    times = [call[f"{state}_at"] for state in ("created", "queued", "dispatched", "dialing", "ringing", "answered", "ended")]
    assert all(earlier <= later for earlier, later in pairwise(times)), times
    usage = [done.event["response"]["usage"] for done in talk.session.journal.of("response.done", "server")]
    spoken_tokens = sum(each["output_token_details"]["audio_tokens"] for each in usage if each)
    assert call["usage"]["model"]["output_audio_tokens"] == spoken_tokens > 0
    assert call["latency"]["count"] == 2
    answered_turns = [turn for turn in await talk.turns() if turn["latency_ms"] is not None]
    assert [turn["text"] for turn in answered_turns] == [ASKS, GOODBYE]
    assert all(200 <= turn["latency_ms"] <= 3000 for turn in answered_turns)


async def test_what_is_asked_while_picking_up_is_answered_after_the_whole_opening(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    asked = "Estou? Quem fala?"
    talk.phone.answers(saying=await spoken(asked))
    rig.emulator.declare(asked, instructions_contain=talk.name)
    await talk.start()
    answered = await talk.phone.answered()
    await talk.until_turns(lambda turns: turns[-1]["role"] == "assistant" and len(turns) >= 3)
    assert await talk.phone.silence(500) - answered >= HEARD_SHARE * seconds_of(OPENING)
    await talk.phone.hangs_up_now()
    call = await talk.ended()
    assert call["opening"]["heard_to_end"] is True
    turns = await talk.turns()
    assert [(turn["role"], turn["interrupted"]) for turn in turns[:3]] == [("assistant", False), ("user", False), ("assistant", False)]
    assert (turns[0]["text"], turns[1]["text"]) == (OPENING, asked)
    assert turns[2]["text"]


async def test_a_callee_who_hangs_up_in_mid_sentence_leaves_what_they_heard(rig: Rig, number: str) -> None:
    talk = rig.conversation(number, turns=[{"assistant": LONG}])
    talk.phone.answers()
    await talk.start()
    await hear_into(talk, LONG, seconds=2)
    await talk.phone.hangs_up_now()
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["ended_by"], call["fault"]) == ("answered", "callee.hangup", "callee", "none")
    opening, greeting = await talk.turns()
    assert (opening["text"], opening["interrupted"]) == (OPENING, False)
    assert greeting["interrupted"] is True
    assert 5 <= len(greeting["text"]) <= 0.8 * len(LONG)
    assert LONG.startswith(greeting["text"].rstrip("… "))


async def test_the_persona_stops_when_it_is_spoken_over(rig: Rig, number: str) -> None:
    talk = rig.conversation(number, turns=[{"assistant": LONG}, {"assistant": ASKS}])
    talk.phone.answers()
    await talk.start()
    await hear_into(talk, LONG, seconds=2)
    speaking = asyncio.create_task(talk.says(WANTS))
    started = await talk.session.journal.wait_for("input_audio_buffer.speech_started")
    await talk.phone.silence(400)
    stopped = talk.phone.recording.last_voice_at
    said = await speaking
    line_s = rig.network.line_delay_s if isinstance(rig.network, StandIn) else 0.3
    # 250 ms to the last frame sent, WebRTC's buffers, and the way to the ear.
    assert stopped - started.at <= 0.25 + 0.2 + line_s
    await talk.listens(since=said)
    await talk.phone.hangs_up_now()
    await talk.ended()
    _, cut, over_it, answer = await talk.turns()
    assert (cut["interrupted"], over_it["text"], answer["text"]) == (True, WANTS, ASKS)
    assert LONG.startswith(cut["text"].rstrip("… "))
    assert len(cut["text"]) < 0.8 * len(LONG)


async def test_a_callee_who_says_nothing_is_asked_once_and_then_left(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    talk.phone.answers()
    started = time.monotonic()
    await talk.start()
    await talk.phone.hung_up(within_s=60)
    assert time.monotonic() - started >= 15
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"]) == ("answered", "limit.silence")
    assert [turn["role"] for turn in await talk.turns() if turn["role"] != "tool"] == ["assistant"] * 4


async def test_each_persona_greets_with_its_own_words(rig: Rig, numbers: list[str]) -> None:
    async def greeted(persona: str, gender: str, number: str) -> None:
        talk = rig.conversation(number)
        talk.phone.answers()
        await talk.start(persona=persona)
        await talk.greeted()
        await talk.phone.hangs_up_now()
        call = await talk.ended()
        opening, greeting = await talk.turns()
        assert (call["persona"]["slug"], call["room"].startswith(f"call_{persona}_")) == (persona, True)
        assert opening["text"] == opening_of(gender)
        assert greeting["text"] in talk.session.instructions

    await asyncio.gather(greeted("clinica", "feminino", numbers[0]), greeted("vendedor", "masculino", numbers[1]))
