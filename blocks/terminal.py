"""Tables of one make, for a terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table


def plain_table(*words: str, numbers: tuple[str, ...] = (), whole: bool = False) -> Table:
    """An empty table with a line under its header.

    Args:
        words: Columns of text, which is folded where it is long.
        numbers: Columns right of them, aligned right.
        whole: Numbers take the room they need, however little it leaves for the words.
    """
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in words:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=whole)
    return table
