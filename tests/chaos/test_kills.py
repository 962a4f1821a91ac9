"""Thirty kills: every step, every victim, and no promise to any callee broken."""

from collections import Counter

import pytest

from .facts import Victim
from .kill import step_and_victim
from .report import closing, line, table
from .run import kills
from .steps import STEPS

SEEDS = range(225, 255)
WITHIN_S = 1800


def test_eighty_seeds_in_a_row_are_all_pairs() -> None:
    pairs = {(step.name, victim) for step, victim in map(step_and_victim, range(1000, 1080))}
    assert len(pairs) == len(STEPS) * len(Victim)


def test_thirty_seeds_in_a_row_meet_each_step_thrice_and_every_victim() -> None:
    steps, victims = zip(*map(step_and_victim, SEEDS), strict=True)
    assert set(Counter(step.name for step in steps).values()) == {3}
    assert set(victims) == set(Victim)


@pytest.mark.kills
@pytest.mark.timeout(WITHIN_S)
async def test_thirty_kills_break_no_promise() -> None:
    results = []
    async for result in kills(SEEDS, hurry=True):
        print(line(result), flush=True)  # noqa: T201  # shown when it fails
        results.append(result)
    told = f"{table(results)}\n{closing(results, seconds=sum(result.took_s for result in results))}"
    assert [result for result in results if result.breaches or result.trouble] == [], told
