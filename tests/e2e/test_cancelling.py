"""A call that is canceled leaves its callee in peace: the phone's own clock says how soon."""

from .rig import Rig

GREETING = "Em que posso ajudar?"
# The promise is two seconds. A test shares its machine with everything else that runs here: `bench.line --only cancel` has the figure.
WITHIN_S = 5.0


async def test_a_phone_stops_ringing_within_two_seconds_of_a_cancel(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    talk.phone.rings_out()
    await talk.start()
    await talk.phone.rang()
    await rig.until_status(talk.id, "ringing")
    asked_at = await talk.cancel()
    assert await talk.phone.hung_up() - asked_at < WITHIN_S
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["ended_by"]) == ("canceled", "api.canceled", "client")
    assert talk.phone.happenings == ["invited", "ringing", "canceled"]


async def test_a_conversation_is_over_within_two_seconds_of_a_cancel(rig: Rig, number: str) -> None:
    talk = rig.conversation(number, turns=[{"assistant": GREETING}])
    talk.phone.answers()
    await talk.start()
    await talk.greeted()
    asked_at = await talk.cancel()
    assert await talk.phone.hung_up() - asked_at < WITHIN_S
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["ended_by"]) == ("answered", "api.canceled", "client")
    assert talk.phone.happenings == ["invited", "ringing", "answered", "bye_received"]
