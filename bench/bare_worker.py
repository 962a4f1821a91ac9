"""A phone call with the bare library: what LiveKit's own pieces need for the same call, without the product.

One job: join the room, open the Realtime session, dial the callee, play an opening, let the model greet, converse.
Started by `bench.rig` as `python -m bench.bare_worker`; its settings come in the environment that the product's worker gets.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext
from livekit.agents.voice import room_io
from livekit.plugins import openai
from livekit.protocol.sip import CreateSIPParticipantRequest

AGENT_NAME = "bare"
RATE = 24000
FRAME = RATE // 50
RING_S = 30


def note(**facts: object) -> None:
    """One line for the measuring process: both read the machine's monotonic clock."""
    with Path(os.environ["BENCH_NOTES"]).open("a") as notes:
        notes.write(json.dumps({"at": time.monotonic(), "pid": os.getpid(), **facts}) + "\n")


def recorded_opening() -> bytes:
    return Path(os.environ["BENCH_OPENING"]).read_bytes()


async def frames(pcm: bytes) -> AsyncIterator[rtc.AudioFrame]:
    for start in range(0, len(pcm), FRAME * 2):
        yield rtc.AudioFrame(pcm[start : start + FRAME * 2].ljust(FRAME * 2, b"\0"), RATE, 1, FRAME)


async def entrypoint(ctx: JobContext) -> None:
    order = json.loads(ctx.job.metadata)
    opening = recorded_opening()
    model = openai.realtime.RealtimeModel(base_url=os.environ["OPENAI_BASE_URL"], api_key=order["model_key"], voice="marin")
    session: AgentSession[None] = AgentSession(llm=model, user_away_timeout=None, aec_warmup_duration=None)
    gone = asyncio.Event()
    ctx.room.on("participant_disconnected", lambda _participant: gone.set())
    note(event="job", number=order["number"])
    await ctx.connect()
    options = room_io.RoomOptions(participant_identity="callee", close_on_disconnect=False)
    await session.start(Agent(instructions=order["instructions"]), room=ctx.room, room_options=options, record=False)
    request = CreateSIPParticipantRequest(
        sip_trunk_id=order["trunk"],
        sip_call_to=order["number"],
        room_name=ctx.room.name,
        participant_identity="callee",
        wait_until_answered=True,
        ringing_timeout=Duration(seconds=RING_S),
        max_call_duration=Duration(seconds=300),
    )
    await ctx.api.sip.create_sip_participant(request, timeout=RING_S + 10)
    note(event="answered", number=order["number"])
    await session.say(order["opening_text"], audio=frames(opening), allow_interruptions=False)
    note(event="opening_done", number=order["number"])
    session.generate_reply()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(gone.wait(), order["seconds"])
    await ctx.delete_room()
    ctx.shutdown("done")


async def main() -> None:
    server = AgentServer(
        num_idle_processes=int(os.environ.get("AGENT_IDLE_PROCESSES", "2")),
        load_fnc=lambda _server: 0.0,
        initialize_process_timeout=60,
        host="127.0.0.1",
        port=0,
        job_memory_warn_mb=0,
    )
    server.rtc_session(entrypoint, agent_name=AGENT_NAME)
    server.on("worker_registered", lambda *_: note(event="registered"))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    running = asyncio.create_task(server.run())
    await asyncio.wait({running, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await server.aclose()


if __name__ == "__main__":
    asyncio.run(main())
