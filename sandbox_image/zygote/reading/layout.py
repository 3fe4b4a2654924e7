"""Finds out where in a file the table stands: what precedes it, its column names, units under them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sandbox_image.zygote.reading.cells import kind
from sandbox_image.zygote.reading.dialect import Dialect, Line, Row, read_rows
from sandbox_image.zygote.reading.heading import (
    are_row_labels,
    check_delimiter_of_names,
    filled_cells,
    kinds_of,
    later_names,
    may_be_names,
    may_be_upper_names,
    typed_in,
    verdict_on,
)
from sandbox_image.zygote.reading.naming import several, short, unique
from sandbox_image.zygote.reading.records import ragged
from sandbox_image.zygote.reading.refusals import LoadError
from sandbox_image.zygote.reading.rules import Rules
from sandbox_image.zygote.reading.under_names import take_lines_under_names

COMMENTS: Final = ("#", "//", "%", "--", "!", "*", "'", '"#')
_RULED: Final = re.compile(r"[-=+|:\s]*")
_STROKE: Final = re.compile(r"[-=]{3}")
_SEP: Final = re.compile(r'^"?sep=(.|\\t)"?[,;\t]*$', re.I)


@dataclass
class Layout:
    """Where the table stands, and what was said on the way."""

    names: list[str]
    first_line: int
    """The first line of data."""
    header_line: int = 0
    kinds: list[str] = field(default_factory=list)
    """By column: number, date, boolean, or word."""
    wordy: set[int] = field(default_factory=set)
    """Columns whose first values are words, or missing, none of them a number."""
    spoken: set[int] = field(default_factory=set)
    """Columns whose first values are words or dates, none of them a number."""
    notes: list[str] = field(default_factory=list)
    joined: bool = False
    """The names were put together from two lines."""
    twice: str = ""
    """The note on names that occur more than once; empty where none does."""
    nameless: str = ""
    """The note on columns without a name; empty where each has one."""
    column_notes: dict[str, str] = field(default_factory=dict)
    whole: bool = False
    """Every row has one field more than the header line; none may have fewer then."""
    trailing: bool = False
    """Every row ends with a delimiter that the header line lacks."""

    def unsay(self, *said: str) -> None:
        """Take notes back that no longer hold; an empty one was never said."""
        self.notes[:] = [note for note in self.notes if note not in said]


def separator_line(lines: Sequence[Line]) -> str | None:
    """The delimiter that a first line `sep=;` names, as a spreadsheet program writes it."""
    found = _SEP.match(lines[0].text.strip(" ")) if lines else None
    return None if found is None else found[1].replace("\\t", "\t")


def comment_prefix(lines: Sequence[Line], rules: Rules) -> str:
    """What lines before the table begin with that are comments; nothing where there are none."""
    if rules.comment is not None:
        return rules.comment
    filled = [line.text for line in lines if line.text.strip()]
    if filled and re.match(r'"?#"?\s?[,;\t|]', filled[0]):
        # The first column is called #.
        return ""
    for prefix in COMMENTS:
        leading = 0
        while leading < len(filled) and filled[leading].startswith(prefix):
            leading += 1
        # Where all lines begin so, it is part of the first field.
        rest = filled[leading:]
        if leading and len(rest) > 1 and sum(text.startswith(prefix) for text in rest) < 0.2 * len(rest):
            if prefix in ("'", "*", "!", "--") and not re.match(r"[\w*!'-]*\s", filled[0][len(prefix) :]):
                continue
            return prefix
    return ""


def lay_out(
    lines: Sequence[Line], comments: Sequence[Line], dialect: Dialect, rules: Rules, *, complete: bool
) -> Layout:
    """Find the table.

    Args:
        lines: The first lines, without comments and lines to skip.
        comments: The comments before the table.
        dialect: How fields are written.
        rules: What is known.
        complete: Whether these lines are the whole file.

    Raises:
        LoadError: There are no columns, or no rows, or it is in doubt which line names the columns.
    """
    ruled = [line for line in lines[:40] if _RULED.fullmatch(line.text) and _STROKE.search(line.text)]
    kept = [line for line in lines if line not in ruled] if ruled else list(lines)
    rows = read_rows(kept, dialect)
    filled = [row for row in rows if not row.blank]
    if not filled:
        raise LoadError("no_columns", "The file has no columns: its first line names none.")
    width = _width(filled)
    if rules.header_line:
        given, first = _given_header(filled, rules.header_line)
        head: Row | None = given
    else:
        head, first = _find_header(filled, rows, width, rules)
    layout = Layout(names=[], first_line=0)
    if head is None and comments and first < len(filled) and rules.header_line is None:
        head = _commented(comments[-1], dialect, width, filled[first])
        if head is not None:
            layout.notes.append(f"The names of the columns stand in a comment, line {head.line}.")
    data = filled[first:]
    if not data and complete:
        raise LoadError("empty", "The file has a header line but no rows.")
    _note_skipped(layout, filled, head, first, comments, ruled)
    _name(layout, head, data, width)
    layout.header_line = head.line if head else 0
    data = take_lines_under_names(layout, head, data)
    layout.first_line = _first_line(layout, head, data, rows, [line.number for line in ruled])
    layout.kinds = kinds_of(data, len(layout.names))
    for at, each in enumerate(layout.kinds):
        if each not in ("word", "date"):
            continue
        cells = {kind(row.fields[at]) for row in data if len(row.fields) == len(layout.names)}
        if "number" not in cells:
            layout.spoken |= {at} if cells & {"word", "date"} else set()
            layout.wordy |= {at} if each == "word" else set()
    return layout


def _width(rows: Sequence[Row]) -> int:
    counts = Counter(len(row.fields) for row in rows if len(row.fields) > 1)
    return max(counts, key=lambda each: (counts[each], each)) if counts else 1


def _given_header(rows: Sequence[Row], number: int) -> tuple[Row, int]:
    for at, row in enumerate(rows):
        if row.line == number:
            return row, at + 1
    raise LoadError(
        "rules", f"Line {number} cannot name the columns (--header-line): it is empty, left out, or not there."
    )


def _find_header(rows: Sequence[Row], all_rows: Sequence[Row], width: int, rules: Rules) -> tuple[Row | None, int]:
    start = _start(rows, all_rows, width)
    first, rest = rows[start], rows[start + 1 :]
    if rules.header_line == 0:
        return None, start
    if start and width > 1 and may_be_names(rows[start - 1]) and len(rows[start - 1].fields) > 1:
        before = len(rows[start - 1].fields)
        if before == width + 1 and not rows[start - 1].fields[-1].strip() and verdict_on(first, rest) != "names":
            # Only the header line ends with a delimiter.
            return rows[start - 1], start
        if before == width - 1 and verdict_on(first, rest) != "names":
            return rows[start - 1], start
        if before > 1 and start == 1 and verdict_on(first, rest) == "data":
            return rows[start - 1], start
        if start == 1 and before not in (1, width) and not typed_in(rest, width):
            # Nothing tells a line before the table from names that do not fit the rows.
            raise ragged(first.line, len(first.fields), before)
    if not rest:
        return first, start + 1
    verdict = verdict_on(first, rest)
    if verdict != "names" and len(rest) > 3 and typed_in(rest[1:], width) and verdict_on(rest[0], rest[1:]) == "names":
        # A row of data above the names there cannot be: years or the like, which the names below belong to.
        if len(first.fields) == len(rest[0].fields) and may_be_upper_names(first):
            return first, start + 1
        raise LoadError(
            "rules",
            f"Line {rest[0].line} seems to name the columns, though line {first.line} stands above it: say "
            f"--header-line {rest[0].line} where it does.",
            helps=True,
        )
    _check_survey(rest)
    later = later_names(first, rest) if verdict == "names" else None
    if later is not None:
        raise LoadError(
            "rules",
            f"Lines {first.line} and {later.line} both look like names of columns: say --header-line {later.line} "
            f"where the lines above it are no part of the table, or --header-line {first.line}.",
            helps=True,
        )
    if verdict == "data" and start:
        verdict = "doubt"
    if verdict == "doubt":
        check_delimiter_of_names(rows[:start], first, width)
        raise LoadError(
            "rules",
            f"Whether line {first.line} names the columns is in doubt: say --header-line {first.line} where it does, "
            "or --header-line 0 where no line does.",
            helps=True,
        )
    return (first, start + 1) if verdict == "names" else (None, start)


def _check_survey(rest: Sequence[Row]) -> None:
    """Answers of a survey as Qualtrics exports them have two more lines under the names."""
    for at, row in enumerate(rest[:3]):
        if all(cell.startswith('{"ImportId"') for cell in row.fields):
            lines = ",".join(str(each.line) for each in rest[: at + 1])
            raise LoadError(
                "rules",
                f"Lines under the column names hold the wording of questions, as surveys are exported: leave them out "
                f"with --skip-lines {lines}.",
                helps=True,
            )


def _start(rows: Sequence[Row], all_rows: Sequence[Row], width: int) -> int:
    """The first row of the table, names and all."""
    widths = [len(row.fields) for row in rows]
    start = 0
    for at, each in enumerate(widths):
        if each == width and (at + 1 == len(widths) or width in widths[at + 1 : at + 3]):
            start = at
            break
    while (
        start + 2 < len(rows)
        and width > 2
        and filled_cells(rows[start]) <= 1
        and filled_cells(rows[start + 1]) <= width
    ):
        start += 1
        while start + 2 < len(rows) and len(rows[start].fields) != width:
            start += 1
    gaps = [row.line for row in all_rows[:40] if row.blank and row.line > rows[start].line]
    for gap in gaps[-1:]:
        after = next((at for at, row in enumerate(rows) if row.line > gap), len(rows))
        if after + 2 < len(rows) and len(rows[after].fields) == width and after - start < len(rows) - after:
            rest = rows[after + 1 :]
            start = after if verdict_on(rows[after], rest) == "names" and typed_in(rest, width) else start
    return start


def _commented(line: Line, dialect: Dialect, width: int, first: Row) -> Row | None:
    """The names, out of the last comment before the table, where it has as many fields as the table."""
    text = line.text.lstrip("#%/!* ").rstrip()
    rows = read_rows([Line(line.number, text)], dialect)
    if width > 1 and rows and len(rows[0].fields) == width and may_be_names(rows[0]) and rows[0].fields != first.fields:
        return rows[0]
    return None


def _note_skipped(
    layout: Layout, rows: Sequence[Row], head: Row | None, first: int, comments: Sequence[Line], ruled: Sequence[Line]
) -> None:
    begin = head.line if head is not None else (rows[first].line if first < len(rows) else 1)
    before = [row.line for row in rows if row.line < begin]
    if before:
        which = f"Line {before[0]}" if len(before) == 1 else f"Lines {before[0]} to {before[-1]}"
        verb = "was" if len(before) == 1 else "were"
        layout.notes.append(f"{which} before the table {verb} left out (--header-line names another first line).")
    shown = [line for line in comments if head is None or line.number != head.line]
    if shown:
        layout.notes.append(
            f"{len(shown):,} comment {'line' if len(shown) == 1 else 'lines'} before the table left out."
        )
    if ruled:
        layout.notes.append(f"Line {ruled[0].number}, which draws a line, was left out.")


def _name(layout: Layout, head: Row | None, data: Sequence[Row], width: int) -> None:
    if head is None:
        layout.names = [f"column_{at}" for at in range(1, width + 1)]
        first = data[0].line
        last = f" to column_{width}" if width > 1 else ""
        layout.notes.append(
            f"The file has no line of column names, so they were numbered: column_1{last}; --header-line {first} takes "
            f"them from line {first}."
        )
        return
    cells = [re.sub(r"\s+", " ", cell).strip() for cell in head.fields]
    if not any(cells):
        raise LoadError("no_columns", "The file has no columns: its first line names none.")
    fields = {len(row.fields) for row in data}
    while fields and len(cells) > 1 and len(cells) > max(fields) and not cells[-1]:
        cells.pop()
    if fields == {len(cells) + 1}:
        if all(not row.fields[-1].strip() for row in data):
            layout.trailing = True
            layout.notes.append(
                "Every row ends with a delimiter that the header line lacks; the empty last column was left out."
            )
        else:
            if not are_row_labels(data):
                raise ragged(data[0].line, len(cells) + 1, len(cells))
            layout.notes.append("Every row has one field more than the header line; the first column had no name.")
            cells = ["", *cells]
            layout.whole = True
    changed = sum(cell != given for cell, given in zip(cells[-len(head.fields) :], head.fields, strict=False))
    if changed and len(cells) == len(head.fields):
        layout.notes.append(f"Blanks or line breaks in the names of {several(changed, 'column')} were taken out.")
    twice = [name for name, count in Counter(cells).items() if count > 1 and name]
    nameless = sum(not cell for cell in cells[:-1])
    if nameless and len(cells) == len(head.fields):
        verb = "is" if nameless == 1 else "are"
        layout.nameless = f"{several(nameless, 'column')} without a name {verb} called 'Unnamed: N' by the place."
        layout.notes.append(layout.nameless)
    layout.names = unique([cell or f"Unnamed: {at}" for at, cell in enumerate(cells)])
    if twice:
        shown = ", ".join(repr(short(name)) for name in twice[:5]) + (", …" if len(twice) > 5 else "")
        layout.twice = f"Column names occur more than once and were numbered: {shown}."
        layout.notes.append(layout.twice)


def _first_line(
    layout: Layout, head: Row | None, data: Sequence[Row], rows: Sequence[Row], other: Sequence[int]
) -> int:
    """The line in which the rows begin: one of empty fields right below the names is a row as it is further down.

    Args:
        layout: The columns.
        head: The line of names.
        data: The rows, from the first that holds something.
        rows: All records that were looked at.
        other: The numbers of lines that were left out.
    """
    if not data:
        return head.line + 1 if head else 1
    first = data[0].line
    if head is None or len(layout.names) < 2:
        return first
    width = len(layout.names) + layout.trailing
    empty = [row.line for row in rows if row.blank and len(row.fields) == width and head.line < row.line < first]
    taken = [row.line for row in rows if row.fields and row.line not in empty]
    above = max(line for line in (head.line, *taken, *other) if line < first)
    return min((line for line in empty if line > above), default=first)
