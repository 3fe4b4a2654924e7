"""Tables on a terminal of any width: no name and no digit is lost, and no line is longer than the terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.text import Text

from blocks.terminal import plain_table

NAMES = ("openrouter/qwen/qwen3-coder", "mock/mock")
HEADERS = ("rows", "ok", "warn", "failed", "p50 s", "p95 s", "tokens in", "very hard", "US$")
FIGURES = ("1204", "1200", "4", "17", "10.11", "20.16", "425123", "241", "0.0123")


def shown(width: int) -> str:
    table = plain_table("model", numbers=HEADERS)
    for name in NAMES:
        table.add_row(Text(name), *FIGURES)
    console = Console(file=StringIO(), width=width)
    console.print(table)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [30, 40, 60, 72, 80, 100, 120, 200])
def test_names_and_numbers_are_whole(width: int) -> None:
    text = shown(width)
    assert max(map(len, text.splitlines())) <= width
    words = text.split()
    for figure in FIGURES:
        assert words.count(figure) == FIGURES.count(figure) * len(NAMES), text
    for name in NAMES:
        assert name in text.replace("\n", "") or len(name) > 10, text
    assert "…" not in text
    for header in ("rows", "failed", "US$"):
        assert header in words


def test_a_wide_terminal_has_a_line_for_each_row() -> None:
    assert len(shown(120).strip().splitlines()) == 2 + len(NAMES)


def test_a_narrow_terminal_has_each_row_by_itself_with_the_name_said_again() -> None:
    table = plain_table("dataset", "question", numbers=("turns", "a long header"))
    table.add_row("penguins", "penguins-1", "3", "123,456,789")
    table.add_row("", "penguins-2", "", "5")
    console = Console(file=StringIO(), width=34)
    console.print(table)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().splitlines() == [
        "penguins  penguins-1  turns 3",
        "  a long header 123,456,789",
        "penguins  penguins-2",
        "  a long header 5",
    ]
