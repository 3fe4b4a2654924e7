"""Run results as Prefect artifacts show them: table rows, and a page of markdown per dataset."""

from __future__ import annotations

from collections.abc import Sequence
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


def dataset_page(slug: str, rows: Sequence[QuestionRow], problems: Sequence[str], files: Sequence[str]) -> str:
    """A page of markdown about one dataset: what was decided about each question, and why."""
    verified = sum(row.state == "verified" for row in rows)
    lines = [f"# {slug}", "", f"{verified} of {len(rows)} questions verified.", ""]
    lines += ["| question | verdict | votes | why |", "|---|---|---|---|"]
    for row in rows[:MOST_ROWS]:
        cells = (row.question, f"{SYMBOLS[row.state]} {row.verdict}", row.votes, row.explanation)
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    if len(rows) > MOST_ROWS:
        lines += ["", f"The first {MOST_ROWS} of {len(rows)} rows."]
    if problems:
        lines += ["", "## Left out", "", *(f"- {_cell(problem)}" for problem in problems)]
    lines += ["", "## Files", "", *(f"- `{file}`" for file in files)]
    return "\n".join(lines)


def artifact_key(kind: str, name: str) -> str:
    """A key as Prefect allows it: lowercase letters, digits and dashes."""
    return f"{kind}-" + "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in name.lower()).strip("-")


def _cell(text: str) -> str:
    """Text that cannot break out of a table cell or become markup."""
    escaped = "".join(f"\\{sign}" if sign in "\\`*_{}[]<>|#!~" else sign for sign in text)
    return " ".join(escaped.split())
