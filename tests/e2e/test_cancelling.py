"""A call that is canceled leaves its callee in peace: the phone's own clock says how soon."""

import time

from .rig import Conversation, Rig

GREETING = "Em que posso ajudar?"
# The promise is two seconds. A test shares its machine with everything else that runs here: `bench.line --only cancel` has the figure.
WITHIN_S = 5.0


async def cancelled(rig: Rig, talk: Conversation) -> float:
    """Cancel the call by API; how many seconds after the request the phone was let go."""
    asked_at = time.monotonic()
    answer = await rig.request("POST", f"/api/v1/calls/{talk.id}/cancel/")
    assert answer.status_code == 200, answer.text
    return await talk.phone.hung_up() - asked_at


async def test_a_phone_stops_ringing_within_two_seconds_of_a_cancel(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    talk.phone.rings_out()
    await talk.start()
    await talk.phone.rang()
    await rig.until_status(talk.id, "ringing")
    assert await cancelled(rig, talk) < WITHIN_S
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["ended_by"]) == ("canceled", "api.canceled", "client")
    assert talk.phone.happenings == ["invited", "ringing", "canceled"]


async def test_a_conversation_is_over_within_two_seconds_of_a_cancel(rig: Rig, number: str) -> None:
    talk = rig.conversation(number, turns=[{"assistant": GREETING}])
    talk.phone.answers()
    await talk.start()
    await talk.greeted()
    assert await cancelled(rig, talk) < WITHIN_S
    call = await talk.ended()
    assert (call["outcome"], call["ended_reason"], call["ended_by"]) == ("answered", "api.canceled", "client")
    assert talk.phone.happenings == ["invited", "ringing", "answered", "bye_received"]
