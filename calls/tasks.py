"""The queue worker's steps, as tasks of django-tasks: each does a piece of what is due, and rings again for itself while it did any."""

from collections.abc import Callable
from dataclasses import dataclass

from django_tasks import task
from django_tasks.base import Task

from personas import seeding

from . import retries, schedule
from .engine.steps import Step, attempt, ring


@task()
def promote() -> bool:
    """Put scheduled calls whose time has come into the queue."""
    return _do(Step.PROMOTE, schedule.promote_due)


@task()
def expire() -> bool:
    """End calls that nobody dialled in time."""
    return _do(Step.EXPIRE, schedule.expire_due)


@task()
def retry() -> bool:
    """Put the retries of calls that nobody answered on the schedule."""
    return _do(Step.RETRY, retries.plan_due)


@task()
def seed() -> bool:
    """Give a new organization its personas."""
    return _do(Step.SEED, seeding.seed_due_organizations)


def _do(step: Step, act: Callable[[], bool]) -> bool:
    worked = bool(attempt(act, step=step))
    if worked:
        ring(step)
    return worked


@dataclass(frozen=True, slots=True)
class Due:
    """A step, and the question, one cheap query, whether anything waits for it."""

    task: Task[[], bool]
    is_due: Callable[[], bool]


# Every step: the sweep asks each, about once a second, and rings for it.
STEPS: dict[Step, Due] = {
    Step.PROMOTE: Due(promote, schedule.may_promote),
    Step.EXPIRE: Due(expire, schedule.may_expire),
    Step.RETRY: Due(retry, retries.may_plan),
    Step.SEED: Due(seed, seeding.organizations_are_due),
}
