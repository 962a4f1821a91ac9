"""A phone that is not answered, and a network that does not carry: what the call says of it, after one dial."""

import pytest

from .rig import Rig


@pytest.mark.parametrize(
    ("status", "outcome", "reason", "fault"),
    [
        (486, "busy", "dial.busy", "none"),
        (603, "declined", "callee.declined", "none"),
        (480, "unreachable", "dial.unreachable", "none"),
        (404, "unreachable", "dial.invalid_number", "none"),
        (503, "failed", "error.carrier.unavailable", "carrier"),
    ],
)
async def test_a_sip_status_becomes_an_outcome_after_one_dial(
    rig: Rig, number: str, status: int, outcome: str, reason: str, fault: str
) -> None:
    talk = rig.conversation(number)
    talk.phone.rejects(status)
    await talk.start()
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"], call["sip"]["status_code"]) == (outcome, reason, fault, status)
    assert (talk.phone.rings, await talk.turns(), call["duration_s"]) == (1, [], None)


async def test_a_phone_that_nobody_picks_up_rings_as_long_as_was_asked_and_once(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    talk.phone.rings_out()
    await talk.start(ring_timeout_s=5)
    rang = await talk.phone.rang()
    assert 4 <= await talk.phone.hung_up() - rang <= 8
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"], call["sip"]["status_code"]) == (
        "no_answer",
        "dial.no_answer",
        "none",
        None,
    )
    assert (talk.phone.rings, talk.phone.happenings) == (1, ["invited", "ringing", "canceled"])


async def test_a_sip_service_that_is_away_is_the_carriers_fault(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    talk.phone.answers()
    async with rig.network.away():
        await talk.start()
        call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"]) == ("failed", "error.carrier.unavailable", "carrier")
    assert talk.phone.rings == 0


async def test_an_unknown_trunk_is_the_configurations_fault(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    talk.phone.answers()
    async with rig.without_trunk():
        await talk.start()
        call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["fault"]) == ("failed", "error.configuration.trunk", "configuration")
    assert talk.phone.rings == 0
