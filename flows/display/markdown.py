"""Run results as Prefect artifacts show them: table rows, and a page of markdown per dataset."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from flows.display.board import SYMBOLS
from flows.display.rows import QuestionRow

MOST_ROWS = 1000
"""Prefect keeps a table artifact in one JSON column and the UI draws it whole."""


def table_rows(rows: Sequence[QuestionRow]) -> list[dict[str, Any]]:
    """The rows as a table artifact takes them, at most `MOST_ROWS`."""
    return [
        {
            "dataset": row.dataset,
            "question": row.question,
            "verdict": f"{SYMBOLS[row.state]} {row.verdict}",
            "votes": row.votes,
            "turns": row.turns,
            "cells": row.cells,
            "seconds": round(row.seconds, 1),
            "earlier": "yes" if row.cached else "",
        }
        for row in rows[:MOST_ROWS]
    ]


def dataset_page(
    slug: str, rows: Sequence[QuestionRow], problems: Sequence[str], notes: Sequence[str], files: Sequence[str]
) -> str:
    """A page of markdown about one dataset: what was decided about each question, and why; how its file was read."""
    verified = sum(row.state == "verified" for row in rows)
    lines = [f"# {slug}", "", f"{verified} of {len(rows)} questions verified.", ""]
    told = [(row.question, f"{SYMBOLS[row.state]} {row.verdict}", row.votes, row.explanation) for row in rows]
    lines += markdown_table(("question", "verdict", "votes", "why"), told)
    if notes:
        lines += ["", "## How the file was read", "", *(f"- {cell(note)}" for note in notes)]
    if problems:
        lines += ["", "## Left out", "", *(f"- {cell(problem)}" for problem in problems)]
    lines += ["", "## Files", "", *(f"- `{file}`" for file in files)]
    return "\n".join(lines)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[str] = ()) -> list[str]:
    """The lines of a table of at most `MOST_ROWS` rows.

    Args:
        header: Names of the columns; may be empty.
        rows: Plain text, a cell a column.
        numbers: Names of the columns that are aligned right.
    """
    lines = [_line(header), "|" + "".join("--:|" if name in numbers else "---|" for name in header)]
    lines += [_line([cell(text) for text in row]) for row in rows[:MOST_ROWS]]
    return lines + (["", f"The first {MOST_ROWS} of {len(rows)} rows."] if len(rows) > MOST_ROWS else [])


def notes_section(notes: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """The lines of a section about how files were read, none where there are no notes.

    Args:
        notes: A dataset's name with its notes, each.
    """
    rows = [(dataset, note) for dataset, told in notes for note in told]
    return ["", "## How files were read", "", *markdown_table(("dataset", "note"), rows)] if rows else []


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def artifact_key(kind: str, name: str) -> str:
    """A key as Prefect allows it: lowercase letters, digits and dashes."""
    return f"{kind}-" + "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in name.lower()).strip("-")


def cell(text: str) -> str:
    """Text that cannot break out of a table cell or become markup."""
    escaped = "".join(f"\\{sign}" if sign in "\\`*_{}[]<>|#!~" else sign for sign in text)
    return " ".join(escaped.split())
