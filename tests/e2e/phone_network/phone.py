"""A phone: programmed before it is called, awaited while it is, asked afterwards."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from .network import Leg
from .sound import FRAME_S, PAUSE_S, SILENCE, Recording, frames, through_g711

PATIENCE_S = 20.0
DIGIT_S = 0.3


@dataclass(frozen=True)
class Happening:
    """Something that happened to a phone, at a monotonic moment.

    `what`: invited, ringing, answered, rejected, canceled, pressed, refer, bye_received, bye_sent, broke.
    """

    at: float
    what: str
    detail: str = ""


@dataclass
class Programme:
    """What a phone does when it is called. Seconds from the ringing (answer) and from the answer (hang-up)."""

    silent: bool = False
    reject_with: int = 0
    answers: bool = True
    answer_after_s: float = 0.2
    answering_words: bytes = b""
    hang_up_after_s: float | None = None
    transfer_result: int = 200
    transfer_after_s: float = 0.2


class Phone:
    """One number's phone, for one call at a time; a second INVITE during a call gets 486.

    `rings` counts the INVITEs and `timeline` keeps what happened, over all of its calls; `recording` is what it heard in the last one,
    through G.711 whatever the codec of the line.
    """

    def __init__(self, number: str) -> None:
        self.number = number
        self.programme = Programme()
        self.rings = 0
        self.timeline: list[Happening] = []
        self.recording = Recording()
        self.transfer_targets: list[str] = []
        self._leg: Leg | None = None
        self._answered = False
        self._mouth: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: list[asyncio.Future[None]] = []

    # Before the call

    def answers(self, *, after_s: float = 0.2, saying: bytes = b"") -> Self:
        """Ring, and pick up `after_s` later; `saying` (pcm16, 8 kHz) is spoken from the very moment of picking up."""
        self.programme = Programme(answer_after_s=after_s, answering_words=saying)
        return self

    def rejects(self, code: int, *, after_s: float = 0.3) -> Self:
        """Answer the INVITE with `code` instead of ringing; never at once, no network is that quick."""
        self.programme = Programme(reject_with=code, answer_after_s=after_s)
        return self

    def rings_out(self) -> Self:
        """Ring, and nobody comes."""
        self.programme = Programme(answers=False)
        return self

    def hangs_up(self, *, after_s: float) -> Self:
        """Send a BYE that long after picking up."""
        self.programme.hang_up_after_s = after_s
        return self

    def transfer_accepts(self, *, after_s: float = 0.2) -> Self:
        self.programme.transfer_result, self.programme.transfer_after_s = 200, after_s
        return self

    def transfer_refuses(self, code: int, *, after_s: float = 0.2) -> Self:
        self.programme.transfer_result, self.programme.transfer_after_s = code, after_s
        return self

    # During the call

    async def rang(self, *, within_s: float = PATIENCE_S) -> float:
        """When it started to ring (monotonic seconds), which may be in the past."""
        return await self._happened("ringing", within_s=within_s)

    async def answered(self, *, within_s: float = PATIENCE_S) -> float:
        """When it was picked up."""
        return await self._happened("answered", within_s=within_s)

    async def hung_up(self, *, within_s: float = PATIENCE_S) -> float:
        """When the other side ended the call: BYE, or CANCEL while it was ringing."""
        return await self._happened("bye_received", "canceled", within_s=within_s)

    async def asked_to_transfer(self, *, within_s: float = PATIENCE_S) -> str:
        """The target of the first REFER."""
        await self._happened("refer", within_s=within_s)
        return self.transfer_targets[0]

    async def heard_speech(self, *, since: float = 0.0, within_s: float = PATIENCE_S) -> float:
        """When a voice was first heard after `since`: the start of it."""
        await self.until(lambda: bool(self.recording.voices_since(since)), "a voice", within_s=within_s)
        return self.recording.voices_since(since)[0].start

    async def silence(self, ms: int, *, within_s: float = PATIENCE_S) -> float:
        """Return when the line has been silent for `ms`, or the call is over: since when."""
        seconds = max(ms / 1000, PAUSE_S)
        await self.until(
            lambda: not self.in_call or time.monotonic() - self._quiet_since >= seconds, f"{ms} ms of silence", within_s=within_s
        )
        return self._quiet_since

    async def heard_out(self, *, since: float = 0.0, ms: int = 700, within_s: float = PATIENCE_S) -> float:
        """A voice begins after `since`, and then is silent for `ms`: when it ended."""
        await self.heard_speech(since=since, within_s=within_s)
        return await self.silence(ms, within_s=within_s)

    async def says(self, pcm: bytes, *, within_s: float = 60.0) -> float:
        """Speak `pcm` (pcm16, 8 kHz) to its end; when it ended, at the mouth."""
        self._mouth += frames(pcm)
        await self.until(lambda: not self._mouth or not self.in_call, "its own words to end", within_s=within_s)
        return time.monotonic()

    async def presses(self, digits: str) -> None:
        """Press one key after the other, as fast as a thumb does."""
        for digit in digits:
            self._note("pressed", digit)
            self._line.press(digit)
            await asyncio.sleep(DIGIT_S)

    async def hangs_up_now(self) -> None:
        leg = self._line
        self._over("bye_sent")
        await leg.hang_up()

    @property
    def in_call(self) -> bool:
        return self._answered and self._leg is not None

    @property
    def happenings(self) -> list[str]:
        return [happening.what for happening in self.timeline]

    async def until(self, holds: Callable[[], bool], what: str, *, within_s: float = PATIENCE_S) -> None:
        """Return when `holds()`, which is asked whenever something happens, and every 20 ms of a call.

        Raises AssertionError with the timeline when that takes longer than `within_s`.
        """
        deadline = time.monotonic() + within_s
        while not holds():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"The phone waited {within_s:g} s for {what}, in vain. {self.story()}")
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            # A voice that stops leaves no trace on a line that sends nothing: look again now and then.
            await asyncio.wait([waiter], timeout=min(left, 0.25))

    def story(self) -> str:
        """The timeline and the voices heard, in seconds since the first happening."""
        zero = self.timeline[0].at if self.timeline else time.monotonic()
        happenings = [f"{it.at - zero:.2f} {it.what} {it.detail}".rstrip() for it in self.timeline]
        voices = [f"{span.start - zero:.2f}–{span.end - zero:.2f}" for span in self.recording.voices]
        return f"INVITEs: {self.rings}; happened: {', '.join(happenings) or 'nothing'}; voices: {', '.join(voices) or 'none'}"

    # What the network tells it

    def on_invite(self, leg: Leg) -> None:
        self.rings += 1
        self._note("invited")
        if self._leg is not None:
            leg.reject(486)
            return
        self._leg, self._answered, self.recording = leg, False, Recording()
        self._spawn(self._behave(leg))

    def on_cancel(self, leg: Leg) -> None:
        if leg is self._leg:
            self._over("canceled")

    def on_bye(self, leg: Leg) -> None:
        if leg is self._leg:
            self._over("bye_received")

    def on_audio(self, pcm: bytes) -> None:
        if self.in_call:
            self.recording.add(time.monotonic(), through_g711(pcm))

    def on_refer(self, leg: Leg, target: str) -> None:
        self.transfer_targets.append(target)
        self._note("refer", target)
        self._spawn(self._transfer(leg))

    async def unplug(self) -> None:
        """End everything that it still does."""
        self._leg = None
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # Inside

    @property
    def _line(self) -> Leg:
        if self._leg is None or not self._answered:
            raise AssertionError(f"The phone is in no call. {self.story()}")
        return self._leg

    @property
    def _quiet_since(self) -> float:
        answered = [it.at for it in self.timeline if it.what == "answered"]
        return max([self.recording.last_voice_at, *answered[-1:]])

    async def _behave(self, leg: Leg) -> None:
        plan = self.programme
        if plan.reject_with:
            await asyncio.sleep(plan.answer_after_s)
            if leg is self._leg:
                leg.reject(plan.reject_with)
                self._over("rejected", str(plan.reject_with))
            return
        leg.ring()
        self._note("ringing")
        if not plan.answers:
            return
        await asyncio.sleep(plan.answer_after_s)
        if leg is not self._leg:
            return  # canceled meanwhile
        self._mouth = frames(plan.answering_words)
        await leg.answer()
        self._answered = True
        self._note("answered")
        self._spawn(self._speak(leg))
        if plan.hang_up_after_s is not None:
            await asyncio.sleep(plan.hang_up_after_s)
            if leg is self._leg:
                await self.hangs_up_now()

    async def _speak(self, leg: Leg) -> None:
        """A frame every 20 ms, by the clock: a phone that nobody speaks into sends silence."""
        due = time.monotonic()
        while leg is self._leg:
            leg.speak(self._mouth.pop(0) if self._mouth else SILENCE)
            self._wake()
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _transfer(self, leg: Leg) -> None:
        await asyncio.sleep(self.programme.transfer_after_s)
        if leg is self._leg:
            leg.report_transfer(self.programme.transfer_result)

    async def _happened(self, *whats: str, within_s: float) -> float:
        await self.until(lambda: any(it.what in whats for it in self.timeline), " or ".join(whats), within_s=within_s)
        return next(it.at for it in self.timeline if it.what in whats)

    def _over(self, what: str, detail: str = "") -> None:
        self._leg, self._mouth = None, []
        self._note(what, detail)

    def _note(self, what: str, detail: str = "") -> None:
        self.timeline.append(Happening(time.monotonic(), what, detail))
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _spawn(self, behaviour: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(behaviour)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._note("broke", repr(error))
