"""Percentiles, and a table that can be pasted into a document."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: a value that was measured, not one in between."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def spread(values: Sequence[float], *, unit: str = "ms") -> str:
    """«p50 / p95 / max unit (n)»"""
    if not values:
        return "not measured"
    return f"{percentile(values, 50):.0f} / {percentile(values, 95):.0f} / {max(values):.0f} {unit} (n={len(values)})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
