"""The first words of a call: heard to their end, in whatever way they are spoken, with the greeting right behind them."""

import asyncio
from typing import Any

import pytest

from agent_worker.lines.base import Endpoint
from agent_worker.voice import PlatformVoice
from calls.models import Call
from personas.models import PersonaVersion
from tests.agent_worker.calling import Caller, Rig, dispatched_call, rig_for
from tests.agent_worker.waiting import until
from tests.factories import MembershipFactory, published_version

GREETING = "Em que posso ajudar?"
WHO = "Estou? Quem fala?"
ANSWER = "Fala a assistente virtual da Casa Azul."


@pytest.fixture
def version(transactional_db: None) -> PersonaVersion:
    organization = MembershipFactory(organization__name="Casa Azul").organization
    return published_version(organization=organization, slug="restaurante")


@pytest.fixture
def call(version: PersonaVersion) -> Call:
    return dispatched_call(version)


async def rendered(rig: Rig) -> None:
    """Have the opening in the store, as after an earlier call."""
    version = rig.call.persona_version
    voice = PlatformVoice(
        locale=version.locale,
        voice=version.voice,
        model="gpt-realtime-2.1-mini",
        speed=float(version.speed),
        endpoint=Endpoint(base_url=rig.emulator.url, api_key="sk-emu-mind.render"),
    )
    await voice.ready(rig.call.opening_text)


async def hears_the_greeting(callee: Caller) -> None:
    await callee.listen()


def conversation_of(rig: Rig) -> Any:
    """The model's session of the call itself: the only one that was told who it is."""
    return next((session for session in rig.emulator.find(key=rig.key) if session.instructions), None)


# The model's time to its first sound.
MODEL_MS = 800


async def test_a_stored_opening_is_played_at_once_and_the_greeting_follows_without_a_gap(call: Call) -> None:
    async with rig_for(call, {"turns": [{"assistant": GREETING}], "first_audio_ms": MODEL_MS}) as rig:
        await rendered(rig)
        ended = await rig.run(hears_the_greeting)
        assert (ended.opening_spoken, ended.opening_heard_to_end) == ("stored", True)
        # Sooner than the model makes a sound: nobody asked it.
        assert 0 <= (ended.opening_at_ms if ended.opening_at_ms is not None else -1) < MODEL_MS
        opening, greeting = await rig.turns()
        assert (opening.text, opening.is_opening, greeting.text) == (call.opening_text, True, GREETING)
        began = {turn.text: turn.started_at for turn in (opening, greeting)}
        length = (began[GREETING] - began[call.opening_text]).total_seconds()
        # Asked for when the opening was over, it would come no sooner than the model's own time after it.
        assert 0 <= length - rig.seconds_of(call.opening_text) < MODEL_MS / 1000


async def test_what_is_said_over_the_opening_is_kept_and_answered_after_it(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.say(WHO)
        await callee.listen()

    async with rig_for(call, {"turns": [{"assistant": ANSWER}]}) as rig:
        await rendered(rig)
        ended = await rig.run(does)
        assert ended.opening_heard_to_end is True
        assert await rig.said() == [("assistant", call.opening_text), ("user", WHO), ("assistant", ANSWER)]
        assert [turn.interrupted for turn in await rig.turns()] == [False, False, False]


async def test_a_greeting_that_was_made_already_gives_way_to_an_answer(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await until(lambda: bool(conversation_of(rig) and conversation_of(rig).journal.of("response.done", "server")), within_s=20)
        await callee.say(WHO)
        await callee.listen()

    async with rig_for(call, {"turns": [{"assistant": GREETING}, {"assistant": ANSWER}], "pace": 50}) as rig:
        await rendered(rig)
        ended = await rig.run(does)
        assert ended.opening_heard_to_end is True
        assert await rig.said() == [("assistant", call.opening_text), ("user", WHO), ("assistant", ANSWER)]
        deleted = [each.event["item_id"] for each in conversation_of(rig).journal.of("conversation.item.deleted", "server")]
        assert len(deleted) == 1


async def test_a_noise_that_is_no_speech_does_not_cost_the_greeting(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.handset.heard_something()
        # As loud as speech for longer than a click, and not what the model's own detector takes for a voice.
        await callee.handset.speak(b"\x00\x08\x00\xf8" * 1600)
        await callee.listen()
        await callee.listen()

    async with rig_for(call, {"turns": [{"assistant": GREETING}], "vad_dbfs": -10}) as rig:
        await rendered(rig)
        rig.impatient(greeting_s=0.5)
        await rig.run(does)
        assert await rig.said() == [("assistant", call.opening_text), ("assistant", GREETING)]


async def test_an_opening_that_is_not_rendered_yet_is_spoken_by_the_model_word_for_word(call: Call) -> None:
    async with rig_for(call, {"turns": [{"assistant": GREETING}]}) as rig:
        ended = await rig.run(hears_the_greeting)
        assert (ended.opening_spoken, ended.opening_heard_to_end) == ("model", True)
        assert await rig.said() == [("assistant", call.opening_text), ("assistant", GREETING)]
        (reading,) = [each for each in await rig.turns() if each.is_opening]
        assert reading.text == call.opening_text


async def test_an_opening_that_the_model_does_not_speak_is_played_as_soon_as_it_is_rendered(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_worker.opening.RENDERED_BY_NOW_S", 10.0)
    async with rig_for(call) as rig:
        rig.emulator.configure(instructions_contain="Casa Azul", faults=[{"kind": "fail", "response": 1, "times": 1}])
        ended = await rig.run(hears_the_greeting)
        assert (ended.opening_spoken, ended.opening_heard_to_end) == ("rendered", True)
        assert await rig.said() == [("assistant", call.opening_text), ("assistant", GREETING)]


async def test_an_opening_that_the_model_cannot_speak_at_all_is_said_in_a_plain_voice(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.opening.RENDERED_BY_NOW_S", 0.0)
    async with rig_for(call, faults=[{"kind": "fail"}]) as rig:
        ended = await rig.run(hears_the_greeting)
        assert (ended.opening_spoken, ended.opening_heard_to_end) == ("plain", True)
        assert (await rig.said())[0] == ("assistant", call.opening_text)


async def test_a_greeting_that_is_asked_for_and_not_there_yet_gives_way_too(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await until(lambda: bool(conversation_of(rig) and conversation_of(rig).journal.of("response.create")), within_s=20)
        await callee.say(WHO)
        await callee.listen(4.0)

    async with rig_for(call, {"turns": [{"assistant": GREETING}, {"assistant": ANSWER}], "first_audio_ms": 1500}) as rig:
        await rendered(rig)
        await rig.run(does)
        assert await rig.said() == [("assistant", call.opening_text), ("user", WHO), ("assistant", ANSWER)]


async def test_an_opening_that_was_rendered_while_it_rang_is_played(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_worker.lines.sandbox.RINGS_S", 4)
    async with rig_for(call, {"turns": [{"assistant": GREETING}]}) as rig:
        assert (await rig.run(hears_the_greeting)).opening_spoken == "rendered"


async def test_a_callee_who_hangs_up_in_the_opening_did_not_hear_it_to_its_end(call: Call) -> None:
    async def does(callee: Caller) -> None:
        await callee.handset.heard_something()
        await asyncio.sleep(2)

    async with rig_for(call) as rig:
        await rendered(rig)
        ended = await rig.run(does)
        assert (ended.ended_reason, ended.opening_spoken, ended.opening_heard_to_end) == ("callee.hangup", "stored", False)
        (opening,) = await rig.turns()
        assert (opening.interrupted, opening.is_opening) == (True, True)
        assert call.opening_text.startswith(opening.text)
        assert len(opening.text) < len(call.opening_text) / 2
