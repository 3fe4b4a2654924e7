"""The rows of a table as bytes, and what is said of those that do not fit."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from sandbox_image.zygote.reading.cells import kind
from sandbox_image.zygote.reading.naming import several
from sandbox_image.zygote.reading.refusals import LoadError

LINE_END: Final = re.compile(rb"\r\n|\n|\r")


@dataclass
class Body:
    """The rows of a table as bytes.

    Attributes:
        data: In UTF-8.
        first_line: Number of the file's line in which they begin.
        removed: Numbers of the file's lines that were taken out of them, ascending.
    """

    data: memoryview
    first_line: int
    removed: tuple[int, ...] = ()

    def line(self, at: int) -> int:
        """The number of the file's line that is one of the rows' lines, counted from 0."""
        return self.first_line + at + bisect_right(self._before, self.first_line + at)

    def line_at(self, place: int) -> int:
        """The number of the file's line in which a byte stands."""
        return self.line(sum(1 for _ in LINE_END.finditer(self.data, 0, place)))

    @cached_property
    def _before(self) -> list[int]:
        """For each removed line the number it would have without those removed before it."""
        return [number - at for at, number in enumerate(self.removed)]


@dataclass
class Structure:
    """What was found out about all records.

    Attributes:
        data: The rows, in the dialect of `delimiter` and `quote`.
        as_text: Columns that hold something a number would lose: leading zeros, a plus sign, many digits.
        rows: How many there are.
        lines: The line of each record, where they were written anew.
    """

    data: memoryview
    delimiter: str
    quote: str
    width: int
    rows: int = 0
    as_text: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    lines: array[int] | None = None


def look_like_rows(lines: Sequence[str], delimiter: str, kinds: Sequence[str]) -> bool:
    """Whether every one of the lines that a field in quotation marks spans could be a row by itself."""
    for line in lines:
        cells = line.replace('"', "").split(delimiter)
        if len(cells) != len(kinds):
            return False
        typed = [(each, kind(cell)) for each, cell in zip(kinds, cells, strict=True) if each != "word"]
        if typed and all(what == "empty" for _, what in typed):
            return False
        if any(what not in (each, "empty", "missing") for each, what in typed):
            return False
    return True


def swallowed(line: int, lines: int) -> LoadError:
    """What is said of a quotation mark that takes in whole rows."""
    return LoadError(
        "quote",
        f"The quotation mark that opens in line {line} closes {several(lines - 1, 'line')} further down and swallows "
        "what look like rows: mend it, or say --quote '' where quotation marks enclose nothing.",
        helps=True,
    )


def ragged(line: int, fields: int, width: int) -> LoadError:
    """What is said of a row that does not fit."""
    remedy = "a field with the delimiter in it must stand in quotation marks" if fields > width else "mend the line"
    return LoadError(
        "ragged", f"Line {line} has {several(fields, 'field')} where {width} were expected: {remedy}; "
        "--delimiter, --quote and --skip-lines say how the file is read.", helps=True,
    )  # fmt: skip
