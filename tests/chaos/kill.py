"""One kill: eight calls of eight kinds on their way, one of them brought to the step, a death, and what came of it."""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pprint import pformat
from typing import Any

import psycopg

from ..numbers import pt_mobile
from .database import Database, NotReached, Row
from .deaths import BACK_AFTER_S, Death, find, how
from .facts import CallFacts, How, Kill, Saw, Victim, lateness, saw
from .judge import Breach, judge
from .phone_log import Leg
from .phones import AT_ONCE, hurry
from .plans import KINDS, Plan
from .stage import Stage
from .steps import STEPS, Scene, Step
from .truths import STUCK_AFTER_S

PERSONA = "restaurante"
VICTIMS = tuple(Victim)
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru")
CALLS_PER_KILL = len(KINDS)
# An extra call may be needed to meet a step: no number is called in two kills.
NUMBERS_PER_KILL = 2 * CALLS_PER_KILL
# The first calls begin within so long, and the others within the last moments before the kill.
LEAD_S = 6.0
LATE_S = 3.0
# A step that takes long is set out for when the last kill's calls have mostly ended: it is to be reached when they all have.
MOSTLY_SETTLED_AFTER_S = 6.0
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
    """The calls of one kill. The last kill's may still come to their end while these are placed; nothing dies before they have."""

    stage: Stage
    seed: int
    number_from: int
    # Callees hang up as soon as they have heard the persona after all is back: for who has little time.
    hurry: bool = False
    kill: Kill | None = None
    trouble: str = ""
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.step, self.victim = step_and_victim(self.seed)
        self.death = Death(self.stage, how(self.victim, self.rng), back_after_s=self.rng.uniform(0, BACK_AFTER_S))
        target = self.rng.choice(self.step.kinds)
        others = [kind for kind in KINDS if kind != target]
        self.rng.shuffle(others)
        self.plans = [self._plan(position, kind) for position, kind in enumerate([target, *others])]
        # Who does not talk is over soon: those are placed when the kill is near, and every second one of the others.
        self.early = {plan.tag: self.rng.uniform(0, self.lead_s) for plan in self.plans[1:] if self.is_long or plan in self._soonest()}
        self.late = {plan.tag: self.rng.uniform(0, LATE_S) for plan in self.plans[1:] if plan.tag not in self.early}
        self.over_before: set[str] = set()
        self.database = Database(self.stage.product.environment["DATABASE_URL"])
        self._fell_before: dict[str, int] = {}
        self._began = self._free_at = 0.0

    def _plan(self, position: int, kind: str) -> Plan:
        return Plan(
            tag=f"{self.seed}-{self.number_from}-{position}",
            kind=kind,
            number=pt_mobile(self.number_from + position),
            name=name_of(self.number_from + position),
            answer_after_s=round(self.rng.uniform(0.3, 2.0), 2),
            transfer_after_s=round(self.rng.uniform(0.5, 2.0), 2),
        )

    def _soonest(self) -> list[Plan]:
        return [plan for plan in self.plans[1::2] if plan.what.talks]

    @property
    def is_long(self) -> bool:
        """Whether it takes so long to come to the step that all calls are placed on the way there."""
        return self.step.takes_s > LEAD_S

    @property
    def lead_s(self) -> float:
        return max(LEAD_S, self.step.takes_s)

    @property
    def may_be_overlapped(self) -> bool:
        """Whether what died was whole when it was back. A Redis that came back empty is not, until staff have made the trunk again."""
        return self.death.how != How.EMPTIED

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

    async def _place_in_time(self, plan: Plan, all_settled: asyncio.Event) -> None:
        if plan.tag in self.early:
            await asyncio.sleep(self.early[plan.tag])
        else:
            await all_settled.wait()
            await asyncio.sleep(self.late[plan.tag])
        await self.place(plan)

    def _legs(self, plan: Plan) -> list[Leg]:
        return self.stage.tail.look().legs(plan.number)

    # -- the kill ---------------------------------------------------------------------------------------------------

    async def strike(self, *, all_settled: asyncio.Event) -> None:
        """Place the calls, bring one to the step, kill, and return when all is back. `all_settled`: the calls of the last kill."""
        self._began = time.monotonic()
        for part in self.stage.all_parts:
            await part.until_ready()  # who died last may still be starting
        if self.is_long:
            with suppress(TimeoutError):
                await asyncio.wait_for(all_settled.wait(), MOSTLY_SETTLED_AFTER_S)
        for plan in self.plans[1:]:
            self.tasks.append(asyncio.create_task(self._place_in_time(plan, all_settled)))
        scene = await self._at_the_step(all_settled)
        async with scene.holds:
            self._fell_before = {part.name: part.fell for part in self.stage.all_parts}
            rows = await self.database.calls([plan.tag for plan in self.plans])
            self.over_before = {tag for tag, found in rows.items() if found and all(row.status == "ended" for row in found)}
            try:
                await find(self.death, self.victim, self.database, self.rng, self._in_flight(rows))
            except NotReached as missed:
                self.trouble = str(missed)
                return
            self.death.strike()
        await self.death.back()
        self.kill = Kill(self.seed, self.step.name, self.victim, self.death.how, self.death.at, self.death.back_at)

    async def _at_the_step(self, all_settled: asyncio.Event) -> Scene:
        """A scene that is held at the step, or has only just come there."""
        if not self.is_long:
            await asyncio.sleep(LEAD_S - LATE_S)
            await all_settled.wait()
            self._free_at = time.monotonic()
            await asyncio.sleep(LATE_S - min(LATE_S, self.step.takes_s))
            return await self._reach(self.plans[0])
        # What is reached only after long is begun meanwhile; when it was there too soon, another call is brought there.
        scene = await self._reach(self.plans[0])
        self._free_at = time.monotonic()
        while not all_settled.is_set() and not self.trouble:
            await all_settled.wait()
            extra = self._plan(len(self.plans), self.plans[0].kind)
            self.plans.insert(0, extra)
            scene = await self._reach(extra)
        return scene

    async def _reach(self, target: Plan) -> Scene:
        scene = Scene(self.stage, self.database, target, self.rng, lambda: self.place(target))
        try:
            await self.step.reach(scene)
        except NotReached as missed:
            self.trouble = str(missed)
        return scene

    def _in_flight(self, rows: dict[str, list[Row]]) -> list[str]:
        """The calls that may have a job, the target first."""
        return [row.id for plan in self.plans for row in rows[plan.tag] if row.status not in ("ended", "queued", "scheduled")]

    # -- what came of it --------------------------------------------------------------------------------------------

    async def result(self) -> Result:
        """Wait until the calls have come to their end, judge them, and leave neither call nor phone behind."""
        now = time.monotonic()
        kill = self.kill or Kill(self.seed, self.step.name, self.victim, How.KILLED, now, now)
        if self.hurry:
            hurry(self.stage.folder, {plan.number: now for plan in self.plans})
        await self._settled(kill)
        settled_at = time.monotonic()
        calls = [await self._judged(plan, kill) for plan in self.plans] if self.kill else []
        await self._clean_up()
        self._keep_times(kill, settled_at)
        fell = tuple(part.name for part in self.stage.all_parts if part.fell > self._fell_before[part.name])
        return Result(kill, tuple(calls), self.trouble, fell, time.monotonic() - self._began)

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
            late_s=lateness([leg for each in self.plans for leg in self._legs(each)], before=kill.at),
            judged_at=time.monotonic(),
        )
        breaches = tuple(judge(facts, kill))
        if breaches:
            self._keep_facts(facts, kill, breaches)
        first = next(iter(calls), {"outcome": "", "ended_reason": "", "status": "unknown"})
        outcome = first["outcome"] or first["status"]
        return Judged(plan.kind, saw(facts.legs, plan), outcome, first["ended_reason"] or "", breaches)

    def _keep_times(self, kill: Kill, settled_at: float) -> None:
        """Where the seconds went."""
        moments = {"free": self._free_at, "killed": kill.at, "back": kill.back_at, "settled": settled_at, "judged": time.monotonic()}
        told = ", ".join(f"{what} {at - self._began:.1f}" for what, at in moments.items())
        with (self.stage.folder / "times.txt").open("a") as file:
            file.write(f"{kill.seed}, {kill.step} × {kill.victim}, begun {self._began:.1f}: {told}\n")

    def _keep_facts(self, facts: CallFacts, kill: Kill, breaches: tuple[Breach, ...]) -> None:
        """What a broken promise is understood from, beside the processes' logs."""
        with (self.stage.folder / "breaches.txt").open("a") as file:
            file.write(f"{kill}\n{[str(breach) for breach in breaches]}\n{pformat(facts, width=160)}\n\n")

    async def _clean_up(self) -> None:
        """The next kill finds no call and no phone of this one."""
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
        hurry(self.stage.folder, {plan.number: AT_ONCE for plan in self.plans})
        await self.database.aclose()
