"""What a benchmark prints: a table of measured numbers, the bar each stands against, and whether it was cleared."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """One line of a table: `bar` and `cleared` are empty where a number stands for information only."""

    what: str
    measured: str
    bar: str = ""
    cleared: bool | None = None


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Print rows as a Markdown table, so that it can be pasted into docs/benchmarks.md."""
    print(f"\n\n#### {title}\n\n| what | measured | bar | |\n|---|---|---|---|")
    for row in rows:
        verdict = "" if row.cleared is None else "pass" if row.cleared else "FAIL"
        print(f"| {row.what} | {row.measured} | {row.bar} | {verdict} |")


def ms(seconds: Sequence[float]) -> str:
    """Median, lowest and highest of some times, in milliseconds."""
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    return f"{1000 * middle:.2f} ms (median of {len(seconds)}; {1000 * low:.2f} to {1000 * high:.2f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times our median fits into theirs."""
    return statistics.median(theirs) / statistics.median(ours)
