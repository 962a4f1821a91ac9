"""What a process costs, read from Linux's /proc."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """All processes below `pid`, at any depth."""
    below: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            below += [child, *children(child)]
    return below


def cpu_s(pid: int) -> float:
    """CPU seconds that `pid` has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def private_mb(pid: int) -> float:
    """Memory that only `pid` has (USS), in MB: what the machine gets back when it ends."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")) / 1024


@dataclass
class Meter:
    """The share of a core that a process uses from now on."""

    pid: int

    def __post_init__(self) -> None:
        self._cpu, self._at = cpu_s(self.pid), time.monotonic()

    def share(self) -> float:
        """Percent of one core since the start."""
        return 100 * (cpu_s(self.pid) - self._cpu) / (time.monotonic() - self._at)
