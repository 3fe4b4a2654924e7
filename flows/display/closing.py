"""The closing words of a run: the table of questions, the totals, where the files are and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.display.board import STYLES, SYMBOLS
from flows.display.rows import QuestionRow


def questions_table(rows: Sequence[QuestionRow]) -> Table:
    """One line per question, grouped by dataset in the order they were given."""
    table = Table(header_style="bold", expand=False)
    for name in ("dataset", "question", "verdict"):
        table.add_column(name, overflow="fold")
    for name in ("votes", "turns", "cells", "seconds"):
        table.add_column(name, justify="right")
    last = ""
    for row in rows:
        if last and row.dataset != last:
            table.add_section()
        verdict = Text(f"{SYMBOLS[row.state]} {row.verdict}", style=STYLES[row.state])
        if row.cached:
            verdict.append(" (earlier)", style="dim")
        table.add_row(
            row.dataset if row.dataset != last else "",
            row.question,
            verdict,
            row.votes,
            str(row.turns),
            str(row.cells),
            f"{row.seconds:.1f}",
        )
        last = row.dataset
    return table


def totals(rows: Sequence[QuestionRow]) -> str:
    """One sentence with the sums over the rows of this run."""
    verified = sum(row.state == "verified" for row in rows)
    unfinished = sum(row.state == "unfinished" for row in rows)
    fresh = [row for row in rows if not row.cached]
    calls = sum(row.calls for row in fresh)
    replayed = sum(row.replayed for row in fresh)
    saved = sum(row.traces_saved for row in fresh)
    parts = [f"{verified} of {len(rows)} verified"]
    if unfinished:
        parts.append(f"{unfinished} unfinished (the next run takes them up again)")
    if len(fresh) < len(rows):
        parts.append(f"{len(rows) - len(fresh)} done by earlier runs")
    parts.append(f"{calls} model calls ({replayed} from the journal)")
    if saved:
        parts.append(f"{saved} traces saved by stopping early")
    return ", ".join(parts) + "."


def print_closing(
    console: Console, rows: Sequence[QuestionRow], *, files: Sequence[tuple[str, Path]], next_steps: Sequence[str]
) -> None:
    """Print the table, the totals, the files and the next steps."""
    console.print(questions_table(rows))
    console.print(totals(rows))
    width = max((len(label) for label, _ in files), default=0)
    for label, path in files:
        console.print(Text(f"  {label:<{width}}  {path}", style="dim"), soft_wrap=True)
    for step in next_steps:
        console.print(Text(f"  → {step}", style="cyan"), soft_wrap=True)
