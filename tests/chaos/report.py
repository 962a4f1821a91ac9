"""What came of the kills: a line each, a table, and the page under docs/ on which they add up."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..servers.process import REPOSITORY
from .facts import Victim
from .kill import Result
from .steps import STEPS

PAGE = REPOSITORY / "docs/operations/kills.md"
TOTALS = "| step | victim | kills | calls | failures |"
FOUND = "## What the rig found, and how it was mended"
FAILURES = "| seed | step | victim | how | call | what was broken |"
INTRODUCTION = """# Kills

What came of killing: `python3 dev.py chaos N --seed S --keep` adds to this page. A kill has eight calls of eight kinds in flight, brings
one of them to the named step, kills the victim with SIGKILL (or stops it for 20 s), starts it again, and judges every call by what its
phone wrote down: rings, outcome, seconds alone, turns. A failure is a broken promise to one callee, or a step that was not reached; its
seed alone makes it again: `python3 dev.py chaos 1 --seed SEED`.
"""


def line(result: Result) -> str:
    """One kill, as it is shown when it is over."""
    kill = result.kill
    calls = ", ".join(f"{call.kind}: {call.outcome}" + (" ✗" if call.breaches else "") for call in result.calls)
    head = f"{kill.seed}: {kill.step} × {kill.victim} {kill.how}, back after {kill.outage_s:.1f} s, over in {result.took_s:.0f} s: {calls}"
    more = [f"    {kind}: {breach}" for kind, breach in result.breaches]
    more += [f"    trouble: {result.trouble}"] if result.trouble else []
    more += [f"    ended by itself and was started again: {', '.join(result.fell)}"] if result.fell else []
    return "\n".join([head, *more])


def failures(result: Result) -> int:
    return len(result.breaches) + bool(result.trouble)


def table(results: Iterable[Result]) -> str:
    """Step × victim, with how many calls came to which outcome."""
    outcomes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    kills: Counter[tuple[str, str]] = Counter()
    broken: Counter[tuple[str, str]] = Counter()
    for result in results:
        place = (result.kill.step, str(result.kill.victim))
        kills[place] += 1
        broken[place] += failures(result)
        outcomes[place].update(call.outcome for call in result.calls)
    rows = ["| step | victim | kills | outcomes of the calls | failures |", "|---|---|---|---|---|"]
    for place in sorted(kills, key=_order):
        told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes[place].most_common())
        rows.append(f"| {place[0]} | {place[1]} | {kills[place]} | {told} | {broken[place]} |")
    return "\n".join(rows)


def closing(results: Sequence[Result], *, seconds: float) -> str:
    """The last lines: the sum, and how to make each failure again."""
    calls = sum(len(result.calls) for result in results)
    bad = [result.kill.seed for result in results if failures(result)]
    told = f"{len(results)} kills, {calls} calls, {sum(map(failures, results))} failures in {seconds:.0f} s"
    return "\n".join([told, *(f"again: python3 dev.py chaos 1 --seed {seed}" for seed in bad)])


@dataclass
class Totals:
    """The page: kills, calls, failures by step and victim, the failures one by one, and what was mended."""

    counts: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    # Written by people, and kept as it is.
    found: str = ""

    @classmethod
    def read(cls, text: str) -> "Totals":
        totals = cls()
        for row in _rows(text, TOTALS):
            step, victim, *numbers = row
            if victim in tuple(Victim):  # the sum below them is made anew
                totals.counts[step, victim] = [int(number) for number in numbers]
        totals.failures = ["| " + " | ".join(row) + " |" for row in _rows(text, FAILURES)]
        totals.found = "".join(text.partition(FOUND)[1:])
        return totals

    def add(self, result: Result) -> None:
        kill = result.kill
        counts = self.counts.setdefault((kill.step, str(kill.victim)), [0, 0, 0])
        for position, more in enumerate((1, len(result.calls), failures(result))):
            counts[position] += more
        what = [*result.breaches, *([("–", result.trouble)] if result.trouble else [])]
        self.failures += [
            f"| {kill.seed} | {kill.step} | {kill.victim} | {kill.how} | {kind} | {_cell(str(broken))} |" for kind, broken in what
        ]

    def page(self) -> str:
        sums = [sum(column) for column in zip(*self.counts.values(), strict=True)] or [0, 0, 0]
        rows = [
            f"| {step} | {victim} | {' | '.join(map(str, self.counts[step, victim]))} |" for step, victim in sorted(self.counts, key=_order)
        ]
        rows.append(f"| all | | {' | '.join(map(str, sums))} |")
        parts = [INTRODUCTION, "\n".join([TOTALS, "|---|---|---|---|---|", *rows])]
        if self.failures:
            parts += ["## Failures", "\n".join([FAILURES, "|---|---|---|---|---|---|", *self.failures])]
        parts += [self.found] if self.found else []
        return "\n\n".join(part.strip() for part in parts) + "\n"


def keep(results: Iterable[Result], *, page: Path = PAGE) -> None:
    """Add the results to the page."""
    totals = Totals.read(page.read_text() if page.exists() else "")
    for result in results:
        totals.add(result)
    page.parent.mkdir(exist_ok=True)
    page.write_text(totals.page())


def _order(place: tuple[str, str]) -> tuple[int, int]:
    return [step.name for step in STEPS].index(place[0]), list(map(str, Victim)).index(place[1])


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("|", "/"))[:200]


def _rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table that begins with `head`."""
    if head not in text:
        return []
    rows = []
    for row in text.split(head, 1)[1].splitlines()[2:]:
        if not row.startswith("|"):
            break
        rows.append([cell.strip() for cell in row.strip("|").split("|")])
    return rows
