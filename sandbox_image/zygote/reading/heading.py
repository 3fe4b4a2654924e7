"""Tells whether a row holds the names of columns or data, by the rows below it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from sandbox_image.zygote.reading.cells import kind
from sandbox_image.zygote.reading.dialect import Row
from sandbox_image.zygote.reading.refusals import LoadError

_TYPED: Final = 0.8
_WHOLE: Final = re.compile(r"^\d+$")


def kinds_of(rows: Sequence[Row], width: int) -> list[str]:
    """What each column holds as a rule: number, date, boolean, or word."""
    return [_kind_in(rows, at) for at in range(width)]


def _kind_in(rows: Sequence[Row], at: int) -> str:
    counts = Counter(kind(row.fields[at]) for row in rows[:200] if at < len(row.fields))
    total = sum(counts[each] for each in ("number", "date", "boolean", "word"))
    for each in ("number", "date", "boolean"):
        if total and counts[each] >= _TYPED * total:
            return each
    return "word"


def typed_in(rows: Sequence[Row], width: int) -> bool:
    """Whether a column holds something else than words."""
    return any(each != "word" for each in kinds_of(rows, width))


def filled_cells(row: Row) -> int:
    """How many cells hold something."""
    return sum(bool(cell.strip()) for cell in row.fields)


def may_be_names(row: Row) -> bool:
    """Whether a row may hold names: words, or years, and not the same one twice."""
    filled = [cell.strip() for cell in row.fields if cell.strip()]
    return bool(filled) and all(kind(cell) in ("word", "missing", "boolean") or _label(cell) for cell in filled)


def may_be_upper_names(row: Row) -> bool:
    """Whether a row may hold the upper part of names that stand in two lines: words, or years."""
    return may_be_names(row) and all(is_year(cell.strip()) for cell in row.fields if _label(cell))


def _label(cell: str) -> bool:
    return re.fullmatch(r"\d{1,4}", cell.strip()) is not None


def verdict_on(first: Row, rest: Sequence[Row]) -> str:
    """Whether the first row holds names or data, told by the rows below it; or that this is in doubt."""
    rest = [row for row in rest if len(row.fields) == len(first.fields)] or list(rest)
    below = rest[1:] if len(rest) > 3 else rest
    kinds = kinds_of(below, len(first.fields))
    names = data = 0
    labels: list[int] = []
    years = 0
    for at, cell in enumerate(each.strip() for each in first.fields):
        what = kind(cell)
        values = [row.fields[at].strip() for row in below if at < len(row.fields)]
        if is_year(cell) and values and all(kind(each) in ("missing", "empty") for each in values):
            data += 1
            labels.append(int(cell))
            continue
        if kinds[at] == "word" or not cell:
            continue
        years += is_year(cell) and sum(is_year(each) for each in values) > 0.5 * len(values)
        if what in ("word", "missing", "boolean") and what != kinds[at]:
            names += cell not in {row.fields[at].strip() for row in rest if at < len(row.fields)}
        elif what != kinds[at] and what == "date":
            names += 1
        else:
            data += 1
            labels += [int(cell)] if _label(cell) else []
    if names and not data:
        return "names"
    if data and labels and len(labels) == data and not years and _are_labels(labels, certain=not names):
        return "names"
    if data == len(labels) == 1 and not years and is_year(str(labels[0])) and len(first.fields) > 1:
        # One year beside words: a column called after it, or a row.
        return "doubt"
    if names and data:
        return "doubt"
    if data:
        return "doubt" if len(labels) == data > 2 and labels == list(range(1, data + 1)) else "data"
    return "data" if _recurs(first, rest, kinds) else "names"


def is_year(cell: str) -> bool:
    """Whether a cell may be a year of our time."""
    return re.fullmatch(r"\d{4}", cell) is not None and 1850 <= int(cell) <= 2150


def _are_labels(labels: list[int], *, certain: bool) -> bool:
    """Whether whole numbers in a first row are names: years, or the numbers of the columns."""
    ascending = all(a < b for a, b in pairwise(labels))
    if len(labels) > 1 and all(1850 <= each <= 2150 for each in labels) and len(set(labels)) == len(labels):
        return ascending or labels == sorted(labels, reverse=True)
    if labels == list(range(len(labels))) and len(labels) > 1:
        return True
    return not certain and ascending and (len(labels) > 1 or 1850 <= labels[0] <= 2150)


def _recurs(first: Row, rest: Sequence[Row], kinds: list[str]) -> bool:
    """Whether the first row's words are values of their columns: no column is named after one of its values."""
    if len(rest) < 3:
        return False
    found = possible = 0
    for at, cell in enumerate(first.fields):
        values = [row.fields[at] for row in rest if at < len(row.fields) and row.fields != first.fields]
        if kinds[at] == "word" and cell.strip() and len(set(values)) <= 0.6 * len(values):
            possible += 1
            found += cell in values
    return found > 0 and found >= 0.5 * possible


def are_row_labels(data: Sequence[Row]) -> bool:
    """Whether the first fields name or number the rows; else one holds the delimiter, and all after it are shifted."""
    labels = [row.fields[0].strip() for row in data]
    if len(set(labels)) < len(labels) or "" in labels:
        return False
    if any(field[:1] == " " and not row.fields[0].startswith(" ") for row in data for field in row.fields[1:]):
        return False
    if all(kind(each) == "number" for each in labels):
        return all(_WHOLE.match(a) and _WHOLE.match(b) and int(a) + 1 == int(b) for a, b in pairwise(labels))
    return True


def _kinds_under_words(row: Row, below: Sequence[Row]) -> dict[int, str]:
    """By place, the kinds of columns of numbers or dates; none where the row has something else than a word in one."""
    found: dict[int, str] = {}
    # Most rows have a number among numbers, which settles it.
    for place in sorted(range(len(row.fields)), key=lambda place: kind(row.fields[place]) == "word"):
        what = _kind_in(below, place)
        if what in ("number", "date"):
            if kind(row.fields[place]) != "word":
                return {}
            found[place] = what
    return found


def later_names(first: Row, rest: Sequence[Row]) -> Row | None:
    """A row some lines below the first that names the columns of what follows, with values of other kinds between."""
    for at, row in enumerate(rest[2:20], start=2):
        below = rest[at + 1 :]
        if len(below) < 5 or len(row.fields) != len(first.fields) or row.fields == first.fields:
            continue
        if len(set(row.fields)) < len(row.fields):
            continue
        between = [each for each in rest[:at] if len(each.fields) == len(row.fields)]
        kinds = _kinds_under_words(row, below)
        if len(kinds) > 1 and between and not any(
            all(kind(each.fields[place]) == what for place, what in kinds.items()) for each in between
        ):  # fmt: skip
            return row
    return None


def check_delimiter_of_names(above: Sequence[Row], first: Row, width: int) -> None:
    """Refuse names right above the rows that have another sign between them than the rows have.

    Args:
        above: The lines above the rows.
        first: The first row.
        width: How many columns the rows have.

    Raises:
        LoadError: There are such names.
    """
    for row in above[-1:]:
        text = row.fields[0] if len(row.fields) == 1 else ""
        for sign, shown in ((",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "the sign |")):
            if text.count(sign) == width - 1 > 0 and may_be_names(Row(row.line, text.split(sign))):
                raise LoadError(
                    "ragged",
                    f"Line {row.line} seems to name the columns with {shown} between the names, though another sign "
                    f"separates the fields from line {first.line} on: write the same sign in line {row.line}.",
                )
