"""The closing words of an experiment: models compared, what failed and why, where the files are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from blocks.terminal import plain_table
from flows.display.markdown import cell, markdown_table
from flows.matrix.checking import CheckReport
from flows.matrix.listing import ModelList
from flows.matrix.report import ExperimentReport, ModelSummary, cost_words
from flows.matrix.samples import SampleReport


def models_table(models: Sequence[ModelSummary]) -> Table:
    """One line for each model."""
    numbers = ("rows", "ok", "warn", "failed", "p50 s", "p95 s", "tokens in", "out", "US$")
    table = plain_table("model", numbers=numbers)
    for each in models:
        name, rows, ok, warning, error, *others = _figures(each)
        table.add_row(
            Text(name),
            rows,
            Text(ok, style="green" if each.ok else "dim"),
            Text(warning, style="yellow" if each.warning else "dim"),
            Text(error, style="red" if each.error else "dim"),
            *others,
        )
    return table


def _figures(each: ModelSummary) -> tuple[str, ...]:
    latencies = (seconds(each.latency_p50_s), seconds(each.latency_p95_s))
    tokens = (str(each.prompt_tokens), str(each.completion_tokens)) if each.counted else ("–", "–")
    counts = map(str, (each.rows, each.ok, each.warning, each.error))
    return (each.name, *counts, *latencies, *tokens, cost_words(each))


def comparison_page(report: ExperimentReport) -> str:
    """The comparison as a markdown artifact."""
    numbers = ("rows", "ok", "warning", "failed", "p50 s", "p95 s", "tokens in", "out", "cost US$")
    lines = [f"# {cell(report.sentence())}", ""]
    lines += markdown_table(("model", *numbers), [_figures(each) for each in report.models], numbers=numbers)
    if report.messages:
        lines += ["", "## What was said of rows", "", *(f"- {count} × {cell(text)}" for text, count in report.messages)]
    files = [*report.outputs[:20], report.rows_file, *([report.page] if report.page else [])]
    return "\n".join([*lines, "", "## Files", "", *(f"- `{file}`" for file in files)])


def print_experiment(
    outcome: ExperimentReport | CheckReport | ModelList | SampleReport, *, console: Console | None = None
) -> None:
    """Print what a run came to, what a check found, what a provider lists or which samples were written.

    Args:
        outcome: It.
        console: Where; standard error by default, as the results may go to standard output.
    """
    console = console or Console(stderr=True)
    if isinstance(outcome, CheckReport):
        _print_check(outcome, console)
        return
    if isinstance(outcome, ModelList):
        _print_models(outcome, Console())
        return
    if isinstance(outcome, SampleReport):
        for path in outcome.files:
            console.print(Text(f"  {path}", style="dim"), soft_wrap=True)
        console.print(Text(f"→ {outcome.command()}", style="cyan"), soft_wrap=True)
        return
    if outcome.models:
        console.print(models_table(outcome.models))
    told = outcome.sentence()
    console.print(Text(f"{told}, {outcome.earlier} by earlier runs." if outcome.earlier else f"{told}."))
    for message, count in outcome.messages:
        console.print(Text(f"! {count} × {message}", style="yellow"), soft_wrap=True)
    files: list[tuple[str, Any]] = [("output", path) for path in outcome.outputs[:10]]
    if len(outcome.outputs) > 10:
        files.append(("", f"and {len(outcome.outputs) - 10} more"))
    files += [("rows", outcome.rows_file)] + ([("page", outcome.page)] if outcome.page else [])
    for label, path in files:
        console.print(Text(f"  {label:<8}  {path}", style="dim"), soft_wrap=True)
    if outcome.exit_code:
        again = "Run the same command again: it asks only what has no answer yet."
        console.print(Text(f"→ {again}", style="cyan"), soft_wrap=True)


def _print_check(outcome: CheckReport, console: Console) -> None:
    for finding in outcome.findings:
        where = f"row {finding.first}" + (f" and {finding.rows - 1} more" if finding.rows > 1 else "")
        style = "red" if finding.status == "error" else "yellow"
        console.print(Text(f"! {where}: {finding.message}", style=style), soft_wrap=True)
    console.print(Text(f"{outcome.sentence()}. Nothing was asked."), soft_wrap=True)


def _print_models(outcome: ModelList, console: Console) -> None:
    priced = any(each.input_usd_per_mtok is not None for each in outcome.models)
    table = plain_table("model", numbers=("context", *(("in US$/Mtok", "out US$/Mtok") if priced else ())))
    table.add_column("about", overflow="fold", style="dim")
    for each in outcome.models:
        prices = [_price(each.input_usd_per_mtok), _price(each.output_usd_per_mtok)] if priced else []
        table.add_row(Text(each.id), str(each.window or "–"), *prices, Text(each.about))
    console.print(table)
    console.print(Text(f"{outcome.sentence()}."))


def _price(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def seconds(value: float | None) -> str:
    """A duration for a table."""
    return "–" if value is None else f"{value:.2f}"
