"""Tables of one make, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_WORD: Final = 10
"""Columns of the terminal that a word may have in any case: a name that is cut into smaller pieces is hard to read."""


class PlainTable(Table):
    """A table that is none where the terminal is too narrow: each row is a line then, its numbers named.

    Rich would cut numbers off, or leave the names of the rows no place at all.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = self._widths(console, options.max_width - self._extra_width - self._paddings())
        if widths is None:
            yield from self._lines(console)
            return
        for column, width in zip(self.columns, widths, strict=True):
            column.width = width
        yield from super().__rich_console__(console, options)

    def _paddings(self) -> int:
        return sum(self._get_padding_width(place) for place in range(len(self.columns)))

    def _widths(self, console: Console, room: int) -> list[int] | None:
        """The columns' widths: headers are folded first, then words, numbers never. None: there is no room."""
        wide, least = [], []
        for column in self.columns:
            header, cells = console.measure(column.header), [console.measure(cell) for cell in column.cells]
            longest = max((each.maximum for each in cells), default=0)
            whole = column.justify == "right" or column.no_wrap
            wide.append(max(header.maximum, longest))
            least.append(max(header.minimum, longest if whole else min(longest, _WORD)))
        words = [place for place, each in enumerate(self.columns) if each.justify != "right" and not each.no_wrap]
        numbers = [place for place in range(len(wide)) if place not in words]
        for places in (numbers, words):
            while sum(wide) > room:
                foldable = [place for place in places if wide[place] > least[place]]
                if not foldable:
                    break
                wide[max(foldable, key=wide.__getitem__)] -= 1
        return wide if sum(wide) <= room else None

    def _lines(self, console: Console) -> Iterator[Text]:
        kept = ""
        for cells in zip(*(column.cells for column in self.columns), strict=True):
            lines = [Text()]
            for place, (column, cell) in enumerate(zip(self.columns, cells, strict=True)):
                text = cell if isinstance(cell, Text) else console.render_str(str(cell))
                if place == 0:  # A name is said once for a group of rows.
                    text = text if text.plain else Text(kept)
                    kept = text.plain
                if not text.plain:
                    continue
                if column.justify == "right":
                    text = Text.assemble((f"{column.header} ", "dim"), text)
                between = Text("  " if lines[-1] else "")
                if lines[-1] and lines[-1].cell_len + 2 + text.cell_len > console.width:
                    lines.append(Text())
                    between = Text("  ")
                lines[-1].append_text(between).append_text(text)
            yield from lines


def plain_table(*words: str, numbers: tuple[str, ...] = ()) -> Table:
    """An empty table with a line under its header.

    Args:
        words: Columns of text, which is folded where it is long.
        numbers: Columns right of them, aligned right, never folded.
    """
    table = PlainTable(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in words:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table
