"""The figures of a call on the line, the product and the bare library in the same run: `python -m bench.line [--rounds N]`.

Times are taken at the phone: when it rang, and what its ear heard. Everything runs on this one machine, so that the model's
time, the phones' and the servers' are in the figures; what the product adds is the difference to the bare library's.
"""

import argparse
import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

from agent_worker.realtime_emulator import speech
from tests.e2e.far_end import WEBRTC_RATE, FarEnd
from tests.e2e.phone_network import Phone
from tests.e2e.phone_network.sound import VOICE_LEVEL, loudness, tone
from tests.e2e.rig import SPEED, Rig
from tests.numbers import pt_mobile

from .figures import spread, table
from .processes import Meter, children, private_mb
from .rig import GREETING, OPENING, Bare, line

SLOW_MODEL_MS = 800
SETTLED_S = 2.0
# People let it ring for a moment; a machine picks up before the agent is in the room.
PEOPLE_ANSWER_AFTER_S, MACHINES_ANSWER_AFTER_S = 1.5, 0.2
TALK_S = 25.0
ASKED = "A que horas abrem ao sábado?"
ANSWERED = "Ao sábado servimos almoços a partir do meio-dia e jantares a partir das sete da tarde."
AT_ONCE = 10
# Ten jobs at once on two cores: the last one waits for its process.
PATIENCE_S = 60.0

_numbers = (pt_mobile(n) for n in itertools.count(5000))


def gap_ms(phone: Phone, *, opening_s: float) -> float:
    """The silence at the ear between the opening's last sound and the next sound, in steps of a frame (20 ms)."""
    loud = [at for at, pcm in phone.recording.arrivals if loudness(pcm) >= VOICE_LEVEL]
    last = max(at for at in loud if at <= loud[0] + opening_s + 0.12)
    return (min(at for at in loud if at > last) - last) * 1000


async def ring_ms(rig: Rig, bare: Bare, rounds: int) -> tuple[list[float], list[float]]:
    """From the request (product: the API's; bare: LiveKit's CreateRoom with the dispatch) to the ringing phone."""
    ours, theirs = [], []
    for _ in range(rounds):
        phone = rig.network.phone(next(_numbers)).rejects(486)
        began = time.monotonic()
        call = await rig.start_call(phone.number)
        await _invited(phone)
        ours.append((phone.timeline[0].at - began) * 1000)
        await rig.ended(call["id"])
        phone = rig.network.phone(next(_numbers)).rejects(486)
        began = time.monotonic()
        await bare.dispatch(phone.number, name="Bare")
        await _invited(phone)
        theirs.append((phone.timeline[0].at - began) * 1000)
        # The next one finds an idle process, as after a pause.
        await asyncio.sleep(SETTLED_S)
    return ours, theirs


async def _invited(phone: Phone) -> None:
    await phone.until(lambda: phone.rings == 1, "an INVITE")


async def first_sound_ms(rig: Rig, bare: Bare, rounds: int, *, after_s: float) -> dict[str, list[float]]:
    """From the answer, `after_s` behind the ringing, to the first sample at the ear: the product's opening, the bare library's, and a
    bare participant's tone."""
    found: dict[str, list[float]] = {"product": [], "bare library": [], "bare participant": []}
    for _ in range(rounds):
        talk = rig.conversation(next(_numbers), turns=[{"assistant": GREETING}])
        talk.phone.answers(after_s=after_s)
        await talk.start()
        found["product"].append(await _sound_after_answer(talk.phone))
        await talk.phone.hangs_up_now()
        await talk.ended()

        phone = rig.network.phone(next(_numbers)).answers(after_s=after_s)
        room = await bare.dispatch(phone.number, name="Bare")
        found["bare library"].append(await _sound_after_answer(phone))
        await bare.delete(room)
        await phone.hung_up()

        found["bare participant"].append(await _tone_after_answer(rig, bare))
    return found


async def _sound_after_answer(phone: Phone) -> float:
    answered = await phone.answered()
    await phone.heard_speech(since=answered)
    return next(at - answered for at, pcm in phone.recording.arrivals if at > answered and loudness(pcm) >= VOICE_LEVEL) * 1000


async def _tone_after_answer(rig: Rig, bare: Bare) -> float:
    from livekit import api

    phone = rig.network.phone(next(_numbers)).answers()
    room = f"floor_{phone.number[-4:]}"
    async with bare.client() as client:
        await client.room.create_room(api.CreateRoomRequest(name=room))
        async with FarEnd(rig.livekit, room) as participant:
            request = api.CreateSIPParticipantRequest(
                sip_trunk_id=rig.product.environment["SIP_TRUNK_ID"],
                sip_call_to=phone.number,
                room_name=room,
                participant_identity="callee",
                wait_until_answered=True,
            )
            await client.sip.create_sip_participant(request, timeout=40)
            playing = asyncio.create_task(participant.plays(tone(440, 1.0, rate=WEBRTC_RATE)))
            sound = await _sound_after_answer(phone)
            await playing
        await client.room.delete_room(api.DeleteRoomRequest(room=room))
    return sound


async def greeting_gap_ms(rig: Rig, bare: Bare, rounds: int) -> tuple[list[float], list[float]]:
    """From the opening's end to the greeting, at the ear, with a model that takes 800 ms to its first sound."""
    ours, theirs = [], []
    script = {"first_audio_ms": SLOW_MODEL_MS}
    for _ in range(rounds):
        talk = rig.conversation(next(_numbers), turns=[{"assistant": GREETING}], **script)
        talk.phone.answers()
        await talk.start()
        await talk.listens(since=await talk.phone.answered(), ms=1500)
        await talk.phone.hangs_up_now()
        call = await talk.ended()
        opening = next(turn["text"] for turn in await talk.turns() if turn["opening"])
        assert call["opening"]["heard_to_end"], call
        ours.append(gap_ms(talk.phone, opening_s=_seconds(opening, speed=float(SPEED))))

        phone = rig.network.phone(next(_numbers)).answers()
        rig.emulator.configure(instructions_contain="Bare", script=script | {"turns": [{"assistant": GREETING}]})
        room = await bare.dispatch(phone.number, name="Bare")
        await phone.heard_out(since=await phone.answered(), ms=1500)
        theirs.append(gap_ms(phone, opening_s=_seconds(OPENING)))
        await bare.delete(room)
        await phone.hung_up()
        rig.emulator.reset()
    return ours, theirs


def _seconds(text: str, *, speed: float = 1.0) -> float:
    return len(speech.synthesize(text, locale="pt-PT", voice="marin", speed=speed)) / speech.BYTES_PER_MS / 1000


async def cost_of_a_call(rig: Rig, bare: Bare) -> list[list[str]]:
    """CPU and private memory of the job's process during a conversation of 25 s."""
    talk = rig.conversation(next(_numbers), turns=[{"assistant": GREETING}, *[{"assistant": ANSWERED}] * 10])
    talk.phone.answers()
    await talk.start()
    agent = rig.product.agent
    assert agent is not None
    ours = await _cost(agent.pid, talk.phone, lambda: talk.says(ASKED))
    await talk.phone.hangs_up_now()
    await talk.ended()

    rig.emulator.configure(instructions_contain="Bare", script={"turns": [{"assistant": GREETING}, *[{"assistant": ANSWERED}] * 10]})
    phone = rig.network.phone(next(_numbers)).answers()
    room = await bare.dispatch(phone.number, name="Bare", seconds=120)
    from tests.e2e.rig import spoken

    words = await spoken(ASKED)
    theirs = await _cost(bare.worker.pid, phone, lambda: phone.says(words))
    await bare.delete(room)
    rig.emulator.reset()
    return [
        ["one call: CPU of its process", f"{ours[0]:.1f} %", f"{theirs[0]:.1f} %"],
        ["one call: private memory of its process", f"{ours[1]:.0f} MB", f"{theirs[1]:.0f} MB"],
    ]


async def _cost(worker: int, phone: Phone, speak: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    await phone.heard_out(since=await phone.answered())
    meters = [Meter(pid) for pid in children(worker)]
    until = time.monotonic() + TALK_S
    while time.monotonic() < until:
        said = time.monotonic()
        await speak()
        await phone.heard_out(since=said + 0.5, ms=900)
    busiest = max(meters, key=lambda meter: meter.share())
    return busiest.share(), private_mb(busiest.pid)


async def turns_ms(rig: Rig, calls: int, turns: int) -> list[float]:
    """From the callee's last word to the persona's first sample at the ear, in `calls` conversations at once."""

    async def converse(number: str, started_after_s: float) -> list[float]:
        await asyncio.sleep(started_after_s)
        talk = rig.conversation(number, turns=[{"assistant": GREETING}, *[{"assistant": ANSWERED}] * turns])
        talk.phone.answers()
        await talk.start()
        await talk.listens(since=await talk.phone.answered(within_s=PATIENCE_S))
        found = []
        for _ in range(turns):
            ended = await talk.says(ASKED)
            found.append((await talk.phone.heard_speech(since=ended) - ended) * 1000)
            await talk.listens(since=ended)
        await talk.phone.hangs_up_now()
        await talk.ended()
        return found

    per_call = await asyncio.gather(*(converse(next(_numbers), position * 0.4) for position in range(calls)))
    return [each for found in per_call for each in found]


async def let_go_ms(rig: Rig, rounds: int, *, talking: bool) -> list[float]:
    """From the request to cancel to the phone that is let go: while it rings, or in the middle of a conversation."""
    found = []
    for _ in range(rounds):
        talk = rig.conversation(next(_numbers), turns=[{"assistant": GREETING}])
        if talking:
            talk.phone.answers()
            await talk.start()
            await talk.phone.heard_speech(since=await talk.phone.answered(within_s=PATIENCE_S))
        else:
            talk.phone.rings_out()
            await talk.start()
            await talk.phone.rang(within_s=PATIENCE_S)
        asked_at = await talk.cancel()
        found.append((await talk.phone.hung_up() - asked_at) * 1000)
        await talk.ended()
    return found


class Rows(list[list[str]]):
    """Rows of the table, each shown as soon as it is measured."""

    def append(self, row: list[str]) -> None:
        print(" · ".join(row), flush=True)
        super().append(row)


async def main(rounds: int, only: set[str]) -> None:
    rows = Rows()
    async with line() as (rig, bare):
        # The first call pays for what is cold: imports, the opening's rendering, the caches.
        await turns_ms(rig, 1, 1)
        if "ring" in only:
            rings = await ring_ms(rig, bare, rounds)
            rows.append(["request → phone rings (p50 / p95 / max)", *map(spread, rings)])
        if "sound" in only:
            for after_s in (PEOPLE_ANSWER_AFTER_S, MACHINES_ANSWER_AFTER_S):
                sounds = await first_sound_ms(rig, bare, rounds, after_s=after_s)
                what = f"answered {after_s:g} s after the ringing → first sample at the ear"
                rows.append([what, spread(sounds["product"]), spread(sounds["bare library"])])
                rows.append(["the same, a bare participant's tone", "", spread(sounds["bare participant"])])
        if "gap" in only:
            rows.append([f"opening's end → greeting, model of {SLOW_MODEL_MS} ms", *map(spread, await greeting_gap_ms(rig, bare, rounds))])
        if "cancel" in only:
            rows.append(["cancel → the phone stops ringing", spread(await let_go_ms(rig, rounds, talking=False)), ""])
            rows.append(["cancel → the conversation is over", spread(await let_go_ms(rig, rounds, talking=True)), ""])
        if "cost" in only:
            for row in await cost_of_a_call(rig, bare):
                rows.append(row)
        if "turns" in only:
            rows.append(["a turn, one call", spread(await turns_ms(rig, 1, 10)), ""])
            rows.append([f"a turn, {AT_ONCE} calls at once", spread(await turns_ms(rig, AT_ONCE, 5)), ""])
    print(table(["figure", "Chamada.ai", "bare library"], rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="+", default=["ring", "sound", "gap", "cancel", "cost", "turns"])
    options = parser.parse_args()
    asyncio.run(main(options.rounds, set(options.only)))
