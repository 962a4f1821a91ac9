"""`python -m tests.chaos.phones`: the SIP service and the phones behind it, in a process of their own that may be killed.

What happens to a phone is appended to a log, line by line: it survives the process, and is what calls are judged by. A phone finds its
plan by its number when it is called, and then acts by itself: nobody has to tell it anything, so nothing is lost when it is started anew.
"""

import argparse
import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
from google.protobuf.message import Message

from ..e2e.phone_network import Leg, Phone, StandIn
from ..e2e.phone_network.phone import Programme
from ..e2e.phone_network.sound import PAUSE_S
from ..e2e.phone_network.stand_in_call import StandInCall
from ..e2e.rig import spoken
from ..servers import LiveKitServer, RedisServer
from .phone_log import ENDS, Happening, read
from .plans import KINDS, Plan

# A turn of the persona is over when it has been silent for so long.
TURN_S = 0.8
# Between the opening and the greeting, on a busy machine, too.
FIRST_TURN_S = 1.6
# Somebody at a phone that says nothing waits longer than the product may leave them alone: else its fault would not be seen.
PATIENCE_S = 50.0
MID_SENTENCE_S = 0.7

# A moment at which everybody has heard the persona.
AT_ONCE = 0.0


def hurry(folder: Path, since: dict[str, float]) -> None:
    """Have these numbers, and no others, hang up as soon as they hear the persona after `since` (monotonic seconds), or AT_ONCE."""
    part = folder / "hurry.part"
    part.write_text(json.dumps(since))
    part.rename(folder / "hurry.json")


class Log:
    """Appends; a line is written by one system call, so that a killed process leaves whole lines."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, **happening: Any) -> None:
        os.write(self._file, (json.dumps(happening) + "\n").encode())


class PlannedPhone(Phone):
    """Acts by its plan, and writes down all that happens."""

    def __init__(self, plan: Plan, log: Log, network: "PlannedNetwork") -> None:
        super().__init__(plan.number)
        self.plan, self._log, self._network = plan, log, network
        self._room = self._inviting = ""
        self._voices_logged = 0
        self._spoke_at = 0.0
        self._leaving = False
        kind = plan.what
        self.programme = Programme(
            reject_with=kind.reject_with,
            answers=kind.answers,
            answer_after_s=plan.answer_after_s,
            transfer_result=kind.transfer_result,
            transfer_after_s=plan.transfer_after_s,
        )

    def on_invite(self, leg: Leg) -> None:
        assert isinstance(leg, StandInCall)
        self._inviting = leg.request.room_name
        if self._leg is None:
            self._room, self._voices_logged = self._inviting, 0
        super().on_invite(leg)

    def _note(self, what: str, detail: str = "") -> None:
        super()._note(what, detail)
        if what in ENDS:
            self._log_voices(over=True)
        self._write(what, detail=detail, room=self._inviting if what == "invited" else self._room)
        if what == "answered":
            self._spawn(self._converse())

    def _write(self, what: str, *, at: float | None = None, **more: Any) -> None:
        self._log.write(at=time.monotonic() if at is None else at, number=self.number, what=what, **{"room": self._room, **more})

    def _wake(self) -> None:
        super()._wake()
        self._log_voices()
        hurries_since = self._network.in_a_hurry.get(self.number)
        if hurries_since is None or self._leaving or not self.in_call:
            return
        if hurries_since == AT_ONCE or self.recording.voices_since(hurries_since):
            self._spawn(self._leave())

    def _log_voices(self, *, over: bool = False) -> None:
        """Each voice when it begins, and when it has ended."""
        voices = self.recording.voices
        while self._voices_logged < 2 * len(voices):
            span = voices[self._voices_logged // 2]
            is_begin = self._voices_logged % 2 == 0
            is_last = span is voices[-1]
            if not is_begin and is_last and not over and time.monotonic() - span.end <= PAUSE_S:
                return
            self._write("voice_begins" if is_begin else "voice_ends", at=span.start if is_begin else span.end)
            self._voices_logged += 1

    async def _converse(self) -> None:
        for line in self.plan.what.lines:
            if not await self._persona_has_spoken(FIRST_TURN_S if self._spoke_at == 0.0 else TURN_S):
                return
            await self._network.declare(line, to=self.plan.name)
            self._write("says", detail=line)
            await self.says(await self._network.voice(line))
            self._spoke_at = time.monotonic()
            self._write("said", detail=line)
        if self.plan.what.hangs_up_mid_sentence and await self._persona_speaks():
            await asyncio.sleep(MID_SENTENCE_S)
            await self._leave()
        while await self._persona_speaks():
            self._spoke_at = self.recording.last_voice_at

    async def _persona_has_spoken(self, silent_s: float) -> bool:
        """Wait until the persona has said something since we did, and is silent so long. False: the call is over."""
        while await self._persona_speaks():
            quiet_s = time.monotonic() - self.recording.last_voice_at
            if quiet_s >= silent_s:
                return True
            await asyncio.sleep(min(silent_s - quiet_s, 0.1))
        return False

    async def _persona_speaks(self) -> bool:
        """Wait for a voice since we spoke. False: the call is over, or was given up."""
        since = max(self._spoke_at, *(it.at for it in self.timeline if it.what == "answered"))
        while self.in_call and not self.recording.voices_since(since + 0.02):
            if time.monotonic() - since > PATIENCE_S:
                self._write("gave_up")
                await self._leave()
                return False
            await asyncio.sleep(0.05)
        return self.in_call

    async def _leave(self) -> None:
        if self.in_call and not self._leaving:
            self._leaving = True
            await self.hangs_up_now()


class PlannedNetwork(StandIn):
    """Has a phone wherever a plan lies."""

    def __init__(self, livekit: LiveKitServer, redis: RedisServer, *, folder: Path, log: Log, emulator: str) -> None:
        super().__init__(livekit, redis)
        self._folder, self._log = folder, log
        self._http = httpx2.AsyncClient(base_url=emulator, timeout=5)
        self._voices: dict[str, bytes] = {}
        # Who hears the persona from this moment (monotonic seconds) on hangs up; by their numbers.
        self.in_a_hurry: dict[str, float] = {}

    async def follow_the_hurry(self) -> None:
        """Do as the rig says, until cancelled: where its file is, callees come to an end soon."""
        while True:
            with suppress(FileNotFoundError):
                self.in_a_hurry = json.loads((self._folder / "hurry.json").read_text())
            await asyncio.sleep(0.2)

    async def _dial(self, request: Any, given_up_at: float) -> Message:
        self._log.write(at=time.monotonic(), number=request.call_to, what=Happening.DIALLED, room=request.room_name)
        return await super()._dial(request, given_up_at)

    def invite(self, call: StandInCall) -> None:
        number = call.request.call_to
        if number not in self.phones and (plan := Plan.of(self._folder, number)) is not None:
            self.phones[number] = PlannedPhone(plan, self._log, self)
        super().invite(call)

    async def declare(self, line: str, *, to: str) -> None:
        """Tell the emulated model what the sound of `line` says."""
        await self._http.post("/__emulator/declare", json={"text": line, "instructions_contain": to})

    async def voice(self, line: str) -> bytes:
        if line not in self._voices:
            self._voices[line] = await spoken(line)
        return self._voices[line]

    async def stop(self) -> None:
        await super().stop()
        await self._http.aclose()


def bury(log_path: Path, log: Log) -> None:
    """Write the end of what the last process left open: with the SIP service its calls are gone, and the phone gets no BYE."""
    for leg in read(log_path).open_legs():
        log.write(at=time.monotonic(), number=leg.number, what=Happening.LINE_DIED, room=leg.room)


async def serve(arguments: argparse.Namespace) -> None:
    log_path = arguments.folder / "phones.jsonl"
    log = Log(log_path)
    bury(log_path, log)
    livekit = LiveKitServer(arguments.livekit_port, arguments.api_key, os.environ["PHONES_API_SECRET"])
    redis = RedisServer(arguments.redis_port)
    network = PlannedNetwork(livekit, redis, folder=arguments.folder, log=log, emulator=arguments.emulator)
    for kind in KINDS.values():
        for line in kind.lines:
            await network.voice(line)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with network:
        hurry = asyncio.create_task(network.follow_the_hurry())
        (arguments.folder / f"ready.{os.getpid()}").touch()
        await stop.wait()
        hurry.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--livekit-port", type=int, required=True)
    parser.add_argument("--redis-port", type=int, required=True)
    parser.add_argument("--api-key", required=True)
    parser.add_argument("--emulator", required=True, help="http://127.0.0.1:…")
    asyncio.run(serve(parser.parse_args()))
