"""What livekit-server itself tells of a call by its signed webhooks, and what is kept of it."""

import asyncio
import json
import time
from typing import Any

from .rig import PACE_S, POLL_S, Rig

GREETING = "Em que posso ajudar?"
# Of the call with this id, in the order in which LiveKit saw it: what is kept, whether it came to its call, and what is concluded.
KEPT = """
import json
from calls import witness
from calls.models import RoomEvent
events = RoomEvent.objects.filter(call={call_id!r}, applied_at__isnull=False).order_by("at", "pk")
told = [[event.kind, event.who, event.call_status, event.disconnect_reason] for event in events]
evidence = witness.evidence_of([{call_id!r}])
concluded = [[each.picked_up, each.left, each.hung_up_at is not None] for each in evidence.values()]
print(json.dumps({{"told": told, "concluded": concluded, "late": RoomEvent.objects.filter(applied_at=None).count()}}))
"""


async def kept(rig: Rig, call_id: str) -> dict[str, Any]:
    """What the product keeps of the webhooks about a call, once the room's end is among it."""
    deadline = time.monotonic() + PACE_S
    while True:
        said = await asyncio.to_thread(rig.product.manage, "shell", "-v", "0", "-c", KEPT.format(call_id=call_id))
        found: dict[str, Any] = json.loads(said)
        if ["room_finished", "", "", ""] in found["told"] and not found["late"]:
            return found
        assert time.monotonic() < deadline, f"LiveKit told only {found}"
        await asyncio.sleep(POLL_S)


async def test_livekit_tells_of_a_call_from_the_first_ring_to_the_end_and_is_believed(rig: Rig, number: str) -> None:
    talk = rig.conversation(number, turns=[{"assistant": GREETING}])
    talk.phone.answers()
    await talk.start()
    await talk.greeted()
    await talk.phone.hangs_up_now()
    assert (await talk.ended())["ended_reason"] == "callee.hangup"
    found = await kept(rig, talk.id)
    of_the_callee = [(kind, status, reason) for kind, who, status, reason in found["told"] if who == "callee"]
    assert [kind for kind, _status, _reason in of_the_callee] == ["participant_joined", "track_published", "participant_left"]
    assert of_the_callee[-1] == ("participant_left", "hangup", "CLIENT_INITIATED")
    assert next(kind for kind, who, *_ in found["told"] if who == "agent") == "participant_joined"
    # Somebody picked up, went, and hung up by themselves.
    assert found["concluded"] == [[True, True, True]]


async def test_livekit_tells_of_a_phone_that_nobody_picked_up(rig: Rig, number: str) -> None:
    talk = rig.conversation(number)
    talk.phone.rejects(486)
    await talk.start()
    assert (await talk.ended())["outcome"] == "busy"
    found = await kept(rig, talk.id)
    assert found["concluded"] == [[False, True, False]]
