"""The report of a home: three tables on a terminal, one page of markdown in the UI."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from blocks.terminal import plain_table
from flows.display.markdown import cell, markdown_table, notes_section
from flows.display.notes import note_lines
from flows.overview.records import DatasetStanding, HomeReport, Line

FIGURES = ("requests", "failed", "tokens in", "out", "US$", "untold")


def report_page(report: HomeReport) -> str:
    """The report as a markdown artifact."""
    lines = [f"# {cell(report.sentence())}", ""]
    lines += [f"- {cell(outage.sentence())}" for outage in report.outages]
    told = [(*line.names, *_figures(line)) for line in report.lines]
    lines += ["", *markdown_table((*report.by, *FIGURES), told, numbers=FIGURES)]
    standings = [(each.dataset, str(each.questions), str(each.open), _verdicts(each)) for each in report.datasets]
    counts = ("questions", "open")
    lines += ["", *markdown_table(("dataset", *counts, "episodes"), standings, numbers=counts)]
    lines += [f"- {cell(f'{each.dataset}: {each.problem}')}" for each in report.datasets if each.problem]
    lines += notes_section((each.dataset, each.notes) for each in report.datasets)
    return "\n".join(lines)


def print_report(report: HomeReport, *, console: Console | None = None) -> None:
    """Print the report.

    Args:
        report: It.
        console: Where; standard output by default.
    """
    console = console or Console()
    if report.lines:
        table = plain_table(*report.by, numbers=FIGURES)
        for line in report.lines:
            table.add_row(*(Text(name or "–") for name in line.names), *_figures(line))
        console.print(table)
    for outage in report.outages:
        console.print(Text(f"! {outage.sentence()}", style="yellow"), soft_wrap=True)
    if report.datasets:
        table = plain_table("dataset", "episodes", numbers=("questions", "open"))
        for each in report.datasets:
            table.add_row(Text(each.dataset), Text(_verdicts(each)), str(each.questions), str(each.open))
        console.print(table)
    for each in report.datasets:
        if each.problem and each.verdicts:
            console.print(Text(f"! {each.dataset}: {each.problem}", style="yellow"), soft_wrap=True)
        for words in note_lines(each.dataset, each.notes, "the report's page"):
            console.print(Text(f"! {words}", style="yellow"), soft_wrap=True)
    console.print(Text(f"{report.sentence()}."), soft_wrap=True)


def _figures(line: Line) -> tuple[str, ...]:
    numbers = (line.requests, line.failed, line.prompt_tokens, line.completion_tokens)
    cost = f"{line.cost_usd:,.4f}" if line.cost_usd else "–"
    return (*(f"{number:,}" for number in numbers), cost, f"{line.unreported:,}")


def _verdicts(each: DatasetStanding) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in each.verdicts.items()) or each.problem or "none"
