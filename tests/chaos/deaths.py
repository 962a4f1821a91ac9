"""Who dies, how, and how it comes back."""

import asyncio
import random
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

from .database import Database, NotReached
from .facts import How, Victim
from .parts import Part, descendants, holder_of_port, send
from .stage import Stage

STOPPED_S = 20.0
BACK_AFTER_S = 3.0
STOPS = 0.2


def how(victim: Victim, rng: random.Random) -> How:
    """Mostly killed."""
    if rng.random() < STOPS:
        return How.STOPPED
    return How.EMPTIED if victim == Victim.REDIS and rng.random() < 0.5 else How.KILLED


@dataclass
class Death:
    """One victim: a part of the stage, or the process of one job (which nobody starts again)."""

    stage: Stage
    how: How
    back_after_s: float
    part: Part | None = None
    job: int = 0
    at: float = 0.0
    back_at: float = 0.0

    def strike(self) -> None:
        self.at = self.back_at = time.monotonic()
        if self.part is None:
            send(signal.SIGSTOP if self.how == How.STOPPED else signal.SIGKILL, [self.job])
        elif self.how == How.STOPPED:
            self.part.freeze()
        else:
            self.part.kill()

    async def back(self) -> None:
        """Return when the work is done again: by the victim, or, where it has a twin, by that one, while the victim starts."""
        if self.how == How.STOPPED:
            await asyncio.sleep(STOPPED_S)
            if self.part is None:
                send(signal.SIGCONT, [self.job])
            else:
                self.part.thaw()
        elif self.part is not None:
            await asyncio.sleep(self.back_after_s)
            if self.how == How.EMPTIED:
                self.stage.empty_redis()
            self.part.start()
        if self.part is not None and not self.has_a_twin:
            await self.part.until_ready()
        if self.part is not None or self.how == How.STOPPED:
            self.back_at = time.monotonic()

    @property
    def has_a_twin(self) -> bool:
        return any(self.part in parts and len(parts) > 1 for parts in self.stage.parts.values())


async def find(death: Death, victim: Victim, database: Database, rng: random.Random, call_ids: Iterable[str]) -> None:
    """Find the one to die: the job of the first of these calls that has one, and for an agent the worker that holds it.

    Raises NotReached when no call has a job.
    """
    parts = death.stage.parts.get(victim, [])
    death.part = rng.choice(parts) if parts else None
    if victim in (Victim.AGENT, Victim.JOB):
        found = await _job_of_one(death.stage, database, call_ids)
        if victim == Victim.AGENT and found is not None:
            death.part = found[0]
        elif victim == Victim.JOB:
            if found is None:
                raise NotReached("a job to be killed")
            death.job = found[1]


async def _job_of_one(stage: Stage, database: Database, call_ids: Iterable[str]) -> tuple[Part, int] | None:
    families = [(part, descendants(part.process.pid)) for part in stage.parts[Victim.AGENT]]
    for call_id in call_ids:
        for port in await database.ports_of(call_id):
            for part, family in families:
                if (pid := holder_of_port(port, family)) is not None:
                    return part, pid
    return None
