"""A model that fails: the callee hears a sentence and is let go, and the call says whose fault it was."""

from typing import Any

import pytest

from .rig import Conversation, Rig

BAD_KEY = {"kind": "refuse", "code": "invalid_api_key"}
NO_CREDIT = {"kind": "refuse", "code": "insufficient_quota"}
REFUSED_UPGRADE = {"kind": "http", "status": 401}


async def answered_call(rig: Rig, number: str) -> Conversation:
    talk = rig.conversation(number)
    talk.phone.answers()
    return await talk.start()


@pytest.mark.parametrize(
    ("fault", "reason", "whose"),
    [
        (BAD_KEY, "error.configuration.key", "configuration"),
        (REFUSED_UPGRADE, "error.configuration.key", "configuration"),
        (NO_CREDIT, "error.ai.quota", "ai_provider"),
    ],
    ids=["bad key", "bad key, told at the upgrade", "no credit"],
)
async def test_a_model_that_refuses_us_is_apologised_for(rig: Rig, number: str, fault: dict[str, Any], reason: str, whose: str) -> None:
    rig.emulator.configure(faults=[fault])
    talk = await answered_call(rig, number)
    answered = await talk.phone.answered()
    await talk.phone.heard_speech(since=answered)
    await talk.phone.hung_up(within_s=30)
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"], talk.phone.rings) == ("answered", reason, whose, 1)


async def test_a_model_that_is_lost_in_mid_call_is_apologised_for(rig: Rig, number: str) -> None:
    talk = await answered_call(rig, number)
    quiet = await talk.greeted()
    rig.emulator.configure(faults=[{"kind": "drop", "after_s": 0}, {"kind": "http", "status": 503}])
    await talk.phone.heard_speech(since=quiet, within_s=30)
    await talk.phone.hung_up(within_s=30)
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"]) == ("answered", "error.ai.lost", "ai_provider")


async def test_a_model_that_drops_once_goes_on(rig: Rig, number: str) -> None:
    talk = await answered_call(rig, number)
    await talk.greeted()
    rig.emulator.configure(instructions_contain=talk.name, faults=[{"kind": "drop", "after_s": 0, "times": 1}])
    await talk.phone.until(lambda: len(rig.emulator.find(instructions_contain=talk.name)) >= 2, "a second session")
    await talk.listens(since=await talk.says("A que horas abrem ao almoço?"))
    await talk.phone.hangs_up_now()
    call = await talk.ended()
    assert (call["ended_reason"], call["fault"]) == ("callee.hangup", "none")
    assert "Servimos almoços" in (await talk.said("assistant"))[-1]


async def test_a_model_that_never_answers_is_apologised_for(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    rig.emulator.configure(instructions_contain=talk.name, faults=[{"kind": "stall"}])
    talk.phone.answers()
    await talk.start()
    quiet = await talk.listens(since=await talk.phone.answered())
    await talk.phone.heard_speech(since=quiet, within_s=30)
    await talk.phone.hung_up(within_s=30)
    call = await talk.ended()
    assert (call["outcome"], call["fault"]) == ("answered", "ai_provider")
    assert call["ended_reason"] in ("error.ai.lost", "error.ai.connect")
