"""A model that fails: the callee hears a sentence and is let go, and the call says whose fault it was."""

from typing import Any

import pytest

from .rig import Rig

Fault = dict[str, Any]
BAD_KEY = {"kind": "refuse", "code": "invalid_api_key"}
BAD_KEY_AT_THE_UPGRADE = {"kind": "http", "status": 401}
NO_CREDIT = {"kind": "refuse", "code": "insufficient_quota"}
AWAY = {"kind": "http", "status": 503}
DROPS_NOW = {"kind": "drop", "after_s": 0}
CREDIT_USED_UP = {"kind": "expire", "code": "insufficient_quota", "after_s": 0}


@pytest.mark.parametrize(
    ("fault", "reason", "whose"),
    [
        (BAD_KEY, "error.configuration.key", "configuration"),
        (BAD_KEY_AT_THE_UPGRADE, "error.configuration.key", "configuration"),
        (NO_CREDIT, "error.ai.quota", "ai_provider"),
    ],
    ids=["bad key", "bad key, told at the upgrade", "no credit"],
)
async def test_nobodys_phone_rings_on_for_a_model_that_refuses_us(rig: Rig, number: str, fault: Fault, reason: str, whose: str) -> None:
    rig.emulator.configure(faults=[fault])
    talk = rig.conversation(number)
    talk.phone.answers(after_s=15)
    await talk.start()
    await talk.phone.hung_up()
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"]) == ("failed", reason, whose)
    assert (talk.phone.happenings, await talk.turns()) == (["invited", "ringing", "canceled"], [])


@pytest.mark.parametrize(
    ("faults", "reason"),
    [([CREDIT_USED_UP, NO_CREDIT], "error.ai.quota"), ([DROPS_NOW, AWAY], "error.ai.lost")],
    ids=["no credit any more", "away"],
)
async def test_a_model_that_is_lost_in_mid_call_is_apologised_for(rig: Rig, number: str, faults: list[Fault], reason: str) -> None:
    talk = rig.conversation(number)
    talk.phone.answers()
    await talk.start()
    quiet = await talk.greeted()
    rig.emulator.configure(faults=faults)
    await talk.phone.heard_speech(since=quiet)
    await talk.phone.hung_up()
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"], talk.phone.rings) == ("answered", reason, "ai_provider", 1)


async def test_a_model_that_drops_once_goes_on(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    talk.phone.answers()
    await talk.start()
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
