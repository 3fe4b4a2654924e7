"""What upkeep reports: a row for everything it found to do, and whether it is done."""

from __future__ import annotations

from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from blocks.frozen import Frozen
from blocks.terminal import plain_table
from flows.display.markdown import MOST_ROWS

MIB = 2**20


class Row(Frozen):
    """One thing to do."""

    what: str
    """The deed, as a verb and its object: "crash run", "remove container"."""
    which: str
    """What it is done to."""
    why: str
    bytes: int = 0
    """How much room it makes."""
    done: bool = False
    problem: str = ""
    """Why it could not be done; empty otherwise."""

    def told(self, *, applied: bool) -> str:
        """What became of it, in a word."""
        if self.problem:
            return "failed"
        return "done" if self.done else ("left" if applied else "would be done")


class UpkeepReport(Frozen):
    """What became of an upkeep run."""

    schema_version: Literal[1] = 1
    run: str
    applied: bool
    rows: tuple[Row, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: everything is done, or was only to be listed. 1: something could not be done. 2: nothing could."""
        failed = sum(bool(row.problem) for row in self.rows)
        if failed and failed == len(self.rows):
            return 2
        return 1 if failed else 0

    def sentence(self) -> str:
        """The run in one sentence, for the state's message."""
        room = sum(row.bytes for row in self.rows if row.done or not self.applied)
        freed = f", {room / MIB:.1f} MiB" if room else ""
        failed = sum(bool(row.problem) for row in self.rows)
        if not self.applied:
            return f"{len(self.rows)} things to do{freed}, nothing done" if self.rows else "nothing to do"
        done = sum(row.done for row in self.rows)
        told = f"{done} of {len(self.rows)} things done{freed}" if self.rows else "nothing to do"
        return f"{told}, {failed} failed" if failed else told

    def table(self) -> list[dict[str, Any]]:
        """Rows for a table artifact."""
        return [
            {
                "what": row.what,
                "which": row.which,
                "why": f"{row.why} {row.problem}".strip(),
                "bytes": row.bytes,
                "done": row.told(applied=self.applied),
            }
            for row in self.rows[:MOST_ROWS]
        ]


def print_upkeep(report: UpkeepReport, *, console: Console | None = None) -> None:
    """Print the rows, and how to have them done.

    Args:
        report: The run.
        console: Where; standard output by default.
    """
    console = console or Console()
    if report.rows:
        table = plain_table("what", "which", "why", numbers=("MiB",))
        table.add_column("")
        for row in report.rows:
            size = f"{row.bytes / MIB:.1f}" if row.bytes else ""
            table.add_row(row.what, Text(row.which), Text(row.why), size, row.told(applied=report.applied))
        console.print(table)
    console.print(Text(f"{report.sentence()}."), soft_wrap=True)
    for row in report.rows:
        if row.problem:
            console.print(Text(f"! {row.what} {row.which}: {row.problem}", style="yellow"), soft_wrap=True)
    if report.rows and not report.applied:
        console.print(Text("  --apply does it", style="dim"))
