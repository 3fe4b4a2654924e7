"""Finds out what separates and what encloses the fields of a text, from its first lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sandbox_image.zygote.reading.cells import kind
from sandbox_image.zygote.reading.rules import Rules

DELIMITERS: Final = (",", ";", "\t", "|", "\x1f", "\x01", "^", "~", "¦", ":")
NO_DELIMITER: Final = ""
"""What `Facts.delimiter` holds for a file of one column."""
BLANKS: Final = " "
"""The delimiter of columns that blanks separate, however many."""
UNUSED: Final = "\x1e"
SAMPLE_ROWS: Final = 300
_RARE: Final = ("^", "~", ":", "¦", BLANKS)
"""Believed only where every line agrees."""
_GOOD: Final = 0.6
_ENTITY: Final = re.compile(r"&#?\w{1,10};")
"""`&amp;`, as web pages write a sign."""
_WITH_COLON: Final = re.compile(
    r"(?<![A-SU-Za-z_\d:.])\d{1,2}:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?(?![\d:])|\b[A-Za-z][\w+.-]{0,30}:/{1,3}|\b(?:mailto|urn):|\b[A-Za-z]:(?=[\\/])"
    r"|\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2}|(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}"
)
"""Times, addresses, paths: a colon within them separates nothing."""


class Line(NamedTuple):
    """A line of the file, with its number from 1, without its line end."""

    number: int
    text: str


class Row(NamedTuple):
    """A record: its fields, and the number of the line it begins in."""

    line: int
    fields: list[str]

    @property
    def blank(self) -> bool:
        """Whether there is nothing in it but blanks."""
        return not any(field.strip() for field in self.fields)


@dataclass(frozen=True)
class Dialect:
    """How fields are written; the empty string where there is no such sign."""

    delimiter: str
    quote: str = '"'
    escape: str = ""
    skip_blanks: bool = False
    """Blanks after a delimiter are no part of the field."""

    def options(self) -> dict[str, Any]:
        """As the csv module wants them."""
        return {
            "delimiter": self.delimiter or UNUSED,
            "quotechar": self.quote or None,
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "escapechar": self.escape or None,
            "skipinitialspace": self.skip_blanks,
        }


@dataclass(frozen=True)
class _Trial:
    """How well a dialect fits."""

    score: float
    dialect: Dialect
    width: int


@contextmanager
def large_fields() -> Iterator[None]:
    """Let the csv module read fields of any length; the limit is the process's, so it is set back."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_rows(lines: Sequence[Line], dialect: Dialect, *, strict: bool = False, most: int = SAMPLE_ROWS) -> list[Row]:
    """The records of some lines.

    Raises:
        csv.Error: Quotation marks stand where none may; only when `strict`.
    """
    if dialect.delimiter == BLANKS:
        lines = [Line(number, text.strip(" \t").replace("\t", " ")) for number, text in lines]
        dialect = replace(dialect, skip_blanks=True)
    rows: list[Row] = []
    with large_fields():
        reader = csv.reader([text + "\n" for _, text in lines], strict=strict, **dialect.options())
        done = 0
        for fields in reader:
            rows.append(Row(lines[done].number, fields))
            done = reader.line_num
            if len(rows) >= most:
                break
    return rows


def sniff(lines: Sequence[Line], rules: Rules) -> Dialect:
    """The dialect of a text.

    Args:
        lines: Its first lines, without comments.
        rules: What is known of it.
    """
    lines = [line for line in lines if line.text.strip()][: SAMPLE_ROWS * 2]
    known = rules.delimiter
    found = [trial for each in ([known] if known is not None else DELIMITERS) for trial in _trials(lines, each, rules)]
    if known is None:
        found += _trials_of_blanks(lines, rules)
    good = [trial for trial in found if known is not None or trial.score >= _GOOD]
    if good:
        best = max(good, key=lambda trial: trial.score)
        return _with_blanks(best.dialect, lines)
    return Dialect(_by_header(lines), '"' if rules.quote is None else rules.quote, rules.escape or "")


def _trials(lines: Sequence[Line], delimiter: str, rules: Rules) -> list[_Trial]:
    if delimiter and not any(delimiter in line.text for line in lines):
        return []
    if delimiter == ";" and rules.delimiter is None and not any(";" in _ENTITY.sub("", line.text) for line in lines):
        return []
    quotes = [rules.quote] if rules.quote is not None else _quotes(lines, delimiter)
    found = []
    for quote in quotes:
        spaced = bool(quote and delimiter) and any(f"{delimiter} {quote}" in line.text for line in lines)
        for escape in [rules.escape] if rules.escape is not None else _escapes(lines, delimiter, quote):
            for skip_blanks in (False, True) if spaced else (False,):
                trial = _trial(lines, Dialect(delimiter, quote, escape, skip_blanks))
                if trial is not None:
                    found.append(trial)
    return found


def _quotes(lines: Sequence[Line], delimiter: str) -> list[str]:
    """Signs that may enclose fields: those that open one and close it on the same line, the usual one always."""
    found = ['"']
    edge = re.escape(delimiter or UNUSED)
    enclosed = re.compile(rf"(?:^|{edge})\s?'(?:[^']|'')*'\s?(?:$|{edge})")
    opening = sum(enclosed.search(line.text) is not None for line in lines)
    if opening >= max(1, 0.1 * len(lines)):
        found.append("'")
    if any('"' in line.text for line in lines):
        found.append("")
    return found


def _escapes(lines: Sequence[Line], delimiter: str, quote: str) -> list[str]:
    before = [f"\\{sign}" for sign in (quote, delimiter) if sign]
    return ["", "\\"] if any(mark in line.text for line in lines for mark in before) else [""]


def _trial(lines: Sequence[Line], dialect: Dialect) -> _Trial | None:
    penalty = 0.0
    try:
        rows = read_rows(lines, dialect, strict=True)
    except csv.Error:
        rows, penalty = read_rows(lines, dialect), 0.12
    rows = [row for row in rows if not row.blank]
    widths = [len(row.fields) for row in rows]
    counts = Counter(width for width in widths if width > 1)
    if not counts:
        return _Trial(-1.0, dialect, 1)
    width = max(counts, key=lambda each: (counts[each], each))
    first = _first_of(widths, width)
    if first and (counts[width] < 2 or counts[width] < 0.3 * len(rows)):
        return _Trial(-1.0, dialect, 1)
    body = rows[first:]
    if len(rows) < SAMPLE_ROWS:
        body = _without_last(body, width)
    fit = sum(len(row.fields) == width for row in body) / len(body)
    skipped = rows[:first]
    # R writes labels of rows that the header line does not name, with blanks between all fields.
    labelled = dialect.delimiter == BLANKS and len(skipped) == 1 and len(skipped[0].fields) == width - 1 > 1
    if dialect.delimiter in _RARE and (fit < 1 or (skipped and not labelled) or not _believable(lines, rows, dialect)):
        return None
    # A line of names with one field less is usual where rows are numbered.
    named = len(skipped) == 1 and len(skipped[0].fields) in (width - 1, width + 1) and width > 2
    penalty += 0.08 if named else 0.25 if skipped else 0.0
    penalty += 0.1 * (dialect.quote == "" and fit < 1) + 0.05 * (dialect.quote == "") + 0.01 * (dialect.escape != "")
    penalty += 0.01 * dialect.skip_blanks
    penalty += 0.3 * (dialect.quote == "" and _are_enclosed(lines, body, dialect))
    penalty += 0.3 * (len(body) < 2 and len(rows) > 2)
    score = fit + 0.3 * _typed(body, width) + min(width, 20) * 0.002 - penalty + _enclosed(body, width, dialect)
    return _Trial(score, dialect, width)


def _are_enclosed(lines: Sequence[Line], rows: list[Row], dialect: Dialect) -> bool:
    """Whether quotation marks open fields, and each of them closes where it may."""
    if not any(field.startswith('"') for row in rows for field in row.fields):
        return False
    try:
        read_rows(lines, replace(dialect, quote='"'), strict=True)
    except csv.Error:
        return False
    return True


def _without_last(rows: list[Row], width: int) -> list[Row]:
    """The rows without the last few that are of another width, remarks after a table."""
    end = len(rows)
    while end > 2 and len(rows[end - 1].fields) != width:
        end -= 1
    return rows[:end] if len(rows) - end <= max(2, min(12, 0.5 * len(rows))) else rows


def _first_of(widths: list[int], width: int) -> int:
    for at, each in enumerate(widths):
        if each == width and (at + 1 == len(widths) or width in widths[at + 1 : at + 3]):
            return at
    return widths.index(width)


def _believable(lines: Sequence[Line], rows: list[Row], dialect: Dialect) -> bool:
    if dialect.delimiter == ":":
        bare = [_WITH_COLON.sub("", line.text) for line in lines]
        return all(":" in each for each in bare) and not all(re.search(r":\s", each) for each in bare[:20])
    return len(rows) > 1


def _typed(rows: list[Row], width: int) -> float:
    """Share of the cells that are a number, a date, empty, or a plain word."""
    total = good = 0.0
    for row in rows[:100]:
        for field in row.fields[:width]:
            total += 1
            what = kind(field)
            if what != "word":
                good += 1
            elif re.fullmatch(r"""[\w\s.'"&()/°%+#@!?$*-]+""", field) and len(field) < 60:
                good += 0.8
            elif len(field) >= 60 or not re.search(r"[,;\t|]\S", field):
                good += 0.6
    return good / total if total else 0.0


def _enclosed(rows: list[Row], width: int, dialect: Dialect) -> float:
    """Less where whole columns keep signs around each value that look like quotation marks."""
    for at in range(width):
        values = [row.fields[at].strip() for row in rows[1:] if len(row.fields) > at and row.fields[at].strip()]
        for sign in "'\"":
            if sign != dialect.quote and values and all(
                len(value) > 1 and value[0] == value[-1] == sign for value in values
            ):  # fmt: skip
                return -0.2
    return 0.0


def _trials_of_blanks(lines: Sequence[Line], rules: Rules) -> list[_Trial]:
    """Columns separated by runs of blanks: only where lines agree, and a column holds numbers or is aligned."""
    if len(lines) < 3 or not all(re.search(r"\S[ \t]+\S", line.text) for line in lines):
        return []
    trial = _trial(lines, Dialect(BLANKS, '"' if rules.quote is None else rules.quote, rules.escape or ""))
    if trial is None:
        return []
    rows = read_rows(lines, trial.dialect)
    body = [row.fields for row in rows[1:] if len(row.fields) == trial.width]
    kinds = [{kind(cell) for cell in cells} for cells in zip(*body, strict=True)]
    numeric = any("number" in each and each <= {"number", "date", "missing"} for each in kinds)
    if not numeric:
        return []
    return [replace(trial, score=trial.score - 0.2)]


def _with_blanks(dialect: Dialect, lines: Sequence[Line]) -> Dialect:
    """The same, but with blanks after delimiters left out where every delimiter has one."""
    if dialect.delimiter in ("", BLANKS, "\t"):
        return dialect
    rows = [row for row in read_rows(lines, replace(dialect, quote="")) if len(row.fields) > 1]
    after = [field for row in rows for field in row.fields[1:] if field != ""]
    if after and all(field[:1] == " " for field in after):
        return replace(dialect, skip_blanks=True)
    return dialect


def _by_header(lines: Sequence[Line]) -> str:
    """The delimiter that the first line has and most others too, though they do not agree on how often."""
    if len(lines) < 2:
        return next((each for each in DELIMITERS[:4] if lines and each in lines[0].text), NO_DELIMITER)
    shares = {
        each: sum(each in line.text for line in lines) / len(lines) for each in DELIMITERS[:4] if each in lines[0].text
    }
    best = max(shares, key=lambda each: shares[each], default=NO_DELIMITER)
    return best if best and shares[best] > 0.6 else NO_DELIMITER
