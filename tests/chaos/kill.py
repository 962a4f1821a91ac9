"""One kill: eight calls of eight kinds on their way, one of them brought to the step, a death, and what came of it."""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pprint import pformat
from typing import Any

import psycopg

from ..numbers import pt_mobile
from .database import Database, NotReached, Row
from .deaths import BACK_AFTER_S, Death, find, how
from .facts import CallFacts, How, Kill, Saw, Victim, saw
from .judge import Breach, judge
from .phone_log import Leg
from .phones import HURRY
from .plans import KINDS, Plan
from .stage import Stage
from .steps import STEPS, Scene, Step
from .truths import STUCK_AFTER_S

PERSONA = "restaurante"
VICTIMS = tuple(Victim)
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru")
CALLS_PER_KILL = len(KINDS)
LEAD_S = 8.0
SETTLE_POLL_S = 0.25
# What a job that overslept everything would do, it does at once.
AFTERMATH_S = 0.5
CANCELS_WITHIN_S = 20.0


def step_and_victim(seed: int) -> tuple[Step, Victim]:
    """Eighty seeds in a row make all pairs; ten of them in a row meet every step and every victim."""
    return STEPS[seed % len(STEPS)], VICTIMS[(seed + seed // len(STEPS)) % len(VICTIMS)]


def name_of(number: int) -> str:
    """A name that no other call bears, nor any part of one: the model's sessions are told apart by it."""
    syllables = [SYLLABLES[number // len(SYLLABLES) ** place % len(SYLLABLES)] for place in range(4)]
    return f"Ana {''.join(syllables).capitalize()}"


@dataclass(frozen=True)
class Judged:
    """What became of one call."""

    kind: str
    saw: Saw
    outcome: str
    reason: str
    breaches: tuple[Breach, ...]


@dataclass(frozen=True)
class Result:
    """What came of a kill. `trouble` is the rig's own: the step was not reached, or something did not come back."""

    kill: Kill
    calls: tuple[Judged, ...] = ()
    trouble: str = ""
    fell: tuple[str, ...] = ()
    took_s: float = 0.0

    @property
    def breaches(self) -> list[tuple[str, Breach]]:
        return [(call.kind, breach) for call in self.calls for breach in call.breaches]


@dataclass
class Round:
    """The calls of one kill."""

    stage: Stage
    database: Database
    seed: int
    number_from: int
    # Callees hang up as soon as they have heard the persona after all is back: for who has little time.
    hurry: bool = False
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.step, self.victim = step_and_victim(self.seed)
        self.death = Death(self.stage, how(self.victim, self.rng), back_after_s=self.rng.uniform(0, BACK_AFTER_S))
        target = self.rng.choice(self.step.kinds)
        others = [kind for kind in KINDS if kind != target]
        self.rng.shuffle(others)
        self.plans = [self._plan(position, kind) for position, kind in enumerate([target, *others])]
        self.over_before: set[str] = set()

    def _plan(self, position: int, kind: str) -> Plan:
        return Plan(
            tag=f"{self.seed}-{self.number_from}-{position}",
            kind=kind,
            number=pt_mobile(self.number_from + position),
            name=name_of(self.number_from + position),
            answer_after_s=round(self.rng.uniform(0.3, 2.0), 2),
            transfer_after_s=round(self.rng.uniform(0.5, 2.0), 2),
        )

    # -- the calls --------------------------------------------------------------------------------------------------

    async def place(self, plan: Plan) -> None:
        """Begin to ask for the call; returns at once. The client asks until it is answered."""
        plan.keep(self.stage.folder)
        if plan.what.turns:
            await self.stage.emulator.script(list(plan.what.turns), name=plan.name)
        self.tasks.append(asyncio.create_task(self._request(plan)))

    async def _request(self, plan: Plan) -> None:
        body = {
            "phone_number": plan.number,
            "persona": PERSONA,
            "customer_name": plan.name,
            "metadata": {"chaos": plan.tag},
            "ring_timeout_s": plan.what.rings_out_after_s,
        }
        call = await self.stage.post("/api/v1/calls/", body, key=plan.tag)
        if plan.what.canceled_by_api:
            await self._until_it_rings(plan)
            await self.stage.post(f"/api/v1/calls/{call['id']}/cancel/", {})

    async def _until_it_rings(self, plan: Plan) -> None:
        deadline = time.monotonic() + CANCELS_WITHIN_S
        while time.monotonic() < deadline and not any(leg.ringing_at for leg in self._legs(plan)):  # noqa: ASYNC110  # a log is a file
            await asyncio.sleep(0.1)
        await asyncio.sleep(plan.answer_after_s)

    async def _place_after(self, seconds: float, plan: Plan) -> None:
        await asyncio.sleep(seconds)
        await self.place(plan)

    def _legs(self, plan: Plan) -> list[Leg]:
        return self.stage.tail.look().legs(plan.number)

    # -- the kill ---------------------------------------------------------------------------------------------------

    async def run(self) -> Result:
        target, *others = self.plans
        lead_s = max(LEAD_S, self.step.takes_s)
        for plan in others:
            self.tasks.append(asyncio.create_task(self._place_after(self.rng.uniform(0, lead_s), plan)))
        await asyncio.sleep(lead_s - self.step.takes_s)
        for part in self.stage.all_parts:
            await part.until_ready()  # who died last may still be starting
        scene = Scene(self.stage, self.database, target, self.rng, lambda: self.place(target))
        trouble = ""
        async with scene.holds:
            try:
                await self.step.reach(scene)
            except NotReached as missed:
                trouble = str(missed)
            rows = await self.database.calls([plan.tag for plan in self.plans])
            self.over_before = {tag for tag, found in rows.items() if found and all(row.status == "ended" for row in found)}
            try:
                await find(self.death, self.victim, self.database, self.rng, self._in_flight(rows))
            except NotReached as missed:
                return await self._given_up(str(missed))
            self.death.strike()
        await self.death.back()
        kill = Kill(self.seed, self.step.name, self.victim, self.death.how, self.death.at, self.death.back_at)
        if self.hurry:
            (self.stage.folder / HURRY).write_text(str(time.monotonic()))
        await self._settled(kill)
        calls = [await self._judged(plan, kill) for plan in self.plans]
        await self._clean_up()
        return Result(kill, tuple(calls), trouble)

    def _in_flight(self, rows: dict[str, list[Row]]) -> list[str]:
        """The calls that may have a job, the target first."""
        return [row.id for plan in self.plans for row in rows[plan.tag] if row.status not in ("ended", "queued", "scheduled")]

    async def _given_up(self, trouble: str) -> Result:
        now = time.monotonic()
        kill = Kill(self.seed, self.step.name, self.victim, How.KILLED, now, now)
        await self._settled(kill)
        await self._clean_up()
        return Result(kill, (), trouble)

    async def _settled(self, kill: Kill) -> None:
        """All calls have ended and all phones are let go; a minute after everything was back, whatever they do."""
        deadline = kill.back_at + STUCK_AFTER_S
        while time.monotonic() < deadline and not await self._is_over():  # noqa: ASYNC110  # rows, and a file
            await asyncio.sleep(SETTLE_POLL_S)
        await asyncio.sleep(AFTERMATH_S)

    async def _is_over(self) -> bool:
        try:
            rows = await self.database.calls([plan.tag for plan in self.plans])
        except psycopg.Error:
            return False
        ended = all(found and all(row.status in ("ended", "scheduled") for row in found) for found in rows.values())
        return ended and all(leg.ended_at is not None for plan in self.plans for leg in self._legs(plan))

    # -- what came of it --------------------------------------------------------------------------------------------

    async def _judged(self, plan: Plan, kill: Kill) -> Judged:
        rows = (await self.database.calls([plan.tag]))[plan.tag]
        calls = [await self.stage.get(f"/api/v1/calls/{row.id}/") for row in rows]
        turns = {row.id: (await self.stage.get(f"/api/v1/calls/{row.id}/transcript/"))["turns"] for row in rows}
        facts = CallFacts(
            plan=plan,
            calls=calls,
            legs=self._legs(plan),
            requests=await self.database.requests(plan.tag),
            turns=turns,
            model_turns=await self.stage.emulator.turns(plan.name),
            over_before=plan.tag in self.over_before,
            judged_at=time.monotonic(),
        )
        breaches = tuple(judge(facts, kill))
        if breaches:
            self._keep_facts(facts, kill, breaches)
        first = next(iter(calls), {"outcome": "", "ended_reason": "", "status": "unknown"})
        outcome = first["outcome"] or first["status"]
        return Judged(plan.kind, saw(facts.legs, plan), outcome, first["ended_reason"] or "", breaches)

    def _keep_facts(self, facts: CallFacts, kill: Kill, breaches: tuple[Breach, ...]) -> None:
        """What a broken promise is understood from, beside the processes' logs."""
        with (self.stage.folder / "breaches.txt").open("a") as file:
            file.write(f"{kill}\n{[str(breach) for breach in breaches]}\n{pformat(facts, width=160)}\n\n")

    async def _clean_up(self) -> None:
        """The next kill finds no call and no phone of this one."""
        (self.stage.folder / HURRY).unlink(missing_ok=True)
        if self.death.how == How.EMPTIED:
            self.stage.restore_trunks()
        for plan in self.plans:
            for row in (await self.database.calls([plan.tag]))[plan.tag]:
                if row.status != "ended":
                    with suppress(RuntimeError):
                        await self.stage.post(f"/api/v1/calls/{row.id}/cancel/", {}, within_s=10)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if any(leg.ended_at is None for plan in self.plans for leg in self._legs(plan)):
            phones = self.stage.parts[Victim.SIP][0]
            phones.kill()
            phones.start()
            await phones.until_ready()
        await self.stage.emulator.forget()


async def one_kill(stage: Stage, database: Database, seed: int, *, number_from: int, hurry: bool = False) -> Result:
    """Make kill `seed`, with the eight numbers from `number_from` on, which nobody has called before."""
    began = time.monotonic()
    fell_before = {part.name: part.fell for part in stage.all_parts}
    result = await Round(stage, database, seed, number_from, hurry).run()
    fell = tuple(part.name for part in stage.all_parts if part.fell > fell_before[part.name])
    return replace(result, fell=fell, took_s=time.monotonic() - began)
