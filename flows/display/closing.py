"""The closing words of a run: the table of questions, the totals, where the files are and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from blocks.plurals import several, times, were
from blocks.settings import Settings
from blocks.terminal import plain_table
from flows.display.board import STYLES, SYMBOLS
from flows.display.notes import counted
from flows.display.rows import QuestionRow
from flows.runs.generation import LEVELS, GenerationReport
from flows.runs.reports import RunReport


def questions_table(rows: Sequence[QuestionRow]) -> Table:
    """One line per question, grouped by dataset in the order they were given."""
    table = plain_table("dataset", "question")
    table.add_column("verdict", no_wrap=True)
    for name in ("votes", "turns", "cells", "s"):
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
    parts.append(f"{several(calls, 'model call')} ({replayed} from the journal)")
    if saved:
        calls_saved = sum(row.calls_saved for row in fresh)
        parts.append(
            f"{several(saved, 'trace')} never launched, as none could have changed its verdict"
            f" (about {several(calls_saved, 'call')} saved)"
        )
    return ", ".join(parts) + "."


def print_closing(report: RunReport, *, settings: Settings, console: Console | None = None) -> None:
    """Print the table, the totals, what went wrong, where the files are and what to do next.

    Args:
        report: The run.
        settings: Say where things are kept.
        console: Where; standard output by default.
    """
    console = console or Console()
    if report.rows:
        console.print(questions_table(report.rows))
        console.print(Text(totals(report.rows)))
    for line in _troubles(report):
        console.print(Text(f"! {line}", style="yellow"), soft_wrap=True)
    home, storage = settings.home.absolute(), settings.storage
    # With a storage, Prefect's results lie there and nowhere else.
    last = (
        {"storage": f"{storage}: episodes, results, what other homes need"}
        if storage
        else {"results": home / "results"}
    )
    for label, place in ({"episodes": home / "episodes", "logs": home / "logs" / report.run} | last).items():
        console.print(Text(f"  {label:<8}  {place}", style="dim"), soft_wrap=True)
    for step in _next_steps(report):
        console.print(Text(f"→ {step}", style="cyan"), soft_wrap=True)


def print_generation(report: GenerationReport, *, home: Path, console: Console | None = None) -> None:
    """Print what each source made of each dataset, where the files are and what to do next.

    Args:
        report: The run.
        home: TRIGPOINT_HOME.
        console: Where; standard output by default.
    """
    console = console or Console()
    asked = any(row.calls for row in report.rows)
    numbers = ("proposed", "kept", *LEVELS, *(("reworded", "calls") if asked else ()))
    table = plain_table("dataset", "source", numbers=tuple(name.replace("_", " ") for name in numbers))
    for row in report.rows:
        levels = (str(row.difficulties.get(level, 0)) for level in LEVELS)
        by_model = (str(row.reworded), str(row.calls)) if asked else ()
        table.add_row(row.dataset, row.source, str(row.proposed), str(row.kept), *levels, *by_model)
    if report.rows:
        console.print(table)
    console.print(Text(f"{report.sentence()}."))
    notes = sum(len(dataset.notes) for dataset in report.datasets)
    if notes:
        text = f"! {counted(notes)}, see above; each question's provenance has them."
        console.print(Text(text, style="yellow"), soft_wrap=True)
    for dataset in report.datasets:
        if dataset.error:
            console.print(Text(f"! {dataset.error}", style="yellow"), soft_wrap=True)
    console.print(Text(f"  questions  {home.absolute() / 'questions'}", style="dim"), soft_wrap=True)
    console.print(Text("  why others were left out: the .report.json beside each file", style="dim"), soft_wrap=True)
    if report.exit_code < 2:
        console.print(Text("→ python flows/episode.py DATASET --model … asks them.", style="cyan"), soft_wrap=True)


def _troubles(report: RunReport) -> list[str]:
    """Each reason once, with how many questions it kept from an answer."""
    reasons = Counter(row.explanation for row in report.rows if row.state == "unfinished")
    lines = [f"{count} unfinished: {reason}" for reason, count in reasons.most_common(10)]
    cut = sum(row.cut_by_length > 0 for row in report.rows)
    if cut and not report.replay:  # What was recorded stays as it is.
        what = f"{several(cut, 'question')} had attempts without an answer as max_tokens cut every reply off"
        lines.append(f"{what}; raise --max-tokens, or max_tokens in the sampling of the Chat Model block.")
    lines += [dataset.error for dataset in report.datasets if dataset.error]
    notes = sum(len(dataset.notes) for dataset in report.datasets)
    if notes:
        lines.append(f"{counted(notes)}, see above, and the logs for all of them.")
    left_out = sum(len(dataset.problems) for dataset in report.datasets)
    rebuilt = Counter(each.rstrip(".") for dataset in report.datasets for each in dataset.incidents)
    if left_out:
        what = f"{several(left_out, 'line')} of question or episode files"
        lines.append(f"{what} {were(left_out)} left out, see the warnings above.")
    if rebuilt:
        why = "; ".join(reason for reason, _ in rebuilt.most_common(3))
        lines.append(f"A sandbox had to be rebuilt {times(rebuilt.total())} ({why}).")
    return lines


def _next_steps(report: RunReport) -> list[str]:
    if report.replay:
        return [
            "These replies were recorded. Ask a live model: export OPENROUTER_API_KEY=… and run",
            '    python flows/episode.py my.csv --ask "…" --model openrouter/VENDOR/MODEL',
            "or any local endpoint: --model NAME --base-url http://localhost:8000/v1, or --model ollama/NAME.",
        ]
    if report.failed:
        return ["Run the same command again: finished questions and answered calls are not asked twice."]
    return []
