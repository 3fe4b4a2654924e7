"""Which columns of a profile a question may be about, by the role they can play in it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from flows.questions.identifiers import is_calendar_part, is_coded, is_identifier, is_year, named_like_key
from flows.tables.profiling import ColumnProfile, DatasetProfile

TEMPLATE_MISSING = 0.95
"""Share of missing values above which a template leaves a column alone."""
PROGRAM_MISSING = 0.50
"""Share of missing values above which a program leaves a column alone."""
MIN_LEVELS, MAX_LEVELS = 2, 30
"""Distinct values of a category."""
MIN_LEVEL_ROWS = 5
"""Rows of every value of a category: on average, and of each value whose count the profile tells."""
MIN_DISTINCT = 11
"""Distinct values of a measure; whole numbers with fewer are codes."""
LONGEST_NAME = 60
"""Characters of a column name that a question can carry."""
LONGEST_LABEL = 40
"""Characters of a value that names its row."""

_PADDED = re.compile(r"^\d{4}-\d{2}-\d{2}(?:$|[ T])")
_OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_CUT = "…"

Value = str | int | float | bool
"""A category's value as the program compares it."""


@dataclass(frozen=True)
class Eligible:
    """Usable columns by role, each role in the order of the file. A column may play several roles.

    Attributes:
        measures: Finite numbers with enough distinct values to be averaged; nothing that `is_identifier`.
        categories: 2 to 30 distinct values with at least 5 rows each, as far as the profile tells.
        binaries: The categories with exactly two values.
        years: Whole numbers that are calendar years; those with few values are categories as well.
        dates: Dates, dates written as ISO text, and whole numbers written YYYYMMDD.
        labels: Text without missing values that names each row once, such as the names of countries.
        texts: Text with more distinct values than a category has.
    """

    measures: tuple[ColumnProfile, ...]
    categories: tuple[ColumnProfile, ...]
    binaries: tuple[ColumnProfile, ...]
    years: tuple[ColumnProfile, ...]
    dates: tuple[ColumnProfile, ...]
    labels: tuple[ColumnProfile, ...]
    texts: tuple[ColumnProfile, ...]


def eligible(profile: DatasetProfile, *, most_missing: float) -> Eligible:
    """The usable columns of a table.

    Left out are columns without details, with one value, like an id, with more missing values than `most_missing`, and
    those whose name is cut, repeated or cannot be written in a sentence.

    Args:
        profile: The table's profile.
        most_missing: Share of missing values, 0 to 1, a column may have: `TEMPLATE_MISSING`, `PROGRAM_MISSING`.
    """
    names = Counter(column.name for column in profile.facts)
    usable = tuple(
        column
        for column in profile.facts
        if names[column.name] == 1 and _nameable(column) and _filled(column, profile.rows, most_missing)
    )
    categories = tuple(column for column in usable if _is_category(column, profile.rows))
    return Eligible(
        measures=tuple(column for column in usable if _is_measure(column, profile.rows)),
        categories=categories,
        binaries=tuple(column for column in categories if column.unique == MIN_LEVELS),
        years=tuple(column for column in usable if is_year(column)),
        dates=tuple(column for column in usable if is_date(column)),
        labels=tuple(column for column in usable if _is_label(column)),
        texts=tuple(column for column in usable if _is_text(column)),
    )


def quoted(name: str) -> str:
    """A column's name as a sentence carries it: in quotation marks that it does not itself contain."""
    for left, right in (('"', '"'), ("“", "”"), ("«", "»")):
        if left not in name and right not in name:
            return f"{left}{name}{right}"
    return f"[{name}]"


def known_values(column: ColumnProfile) -> tuple[tuple[Value, int], ...]:
    """The frequent values of a category as Python values, with their counts; without those the profile cut."""
    if column.kind not in ("text", "boolean", "integer", "number"):
        return ()
    return tuple(
        (_value(column, text), count) for text, count in column.top if not text.endswith(_CUT) and text.isprintable()
    )


def is_date(column: ColumnProfile) -> bool:
    """Whether `date_code` can read the column as dates."""
    return column.kind == "datetime" or column.date_like or _is_compact_date(column)


def date_code(column: ColumnProfile, frame: str = "df") -> str:
    """The expression that gives the column as dates, unreadable values as missing.

    Args:
        column: A column of the role `dates`.
        frame: The expression of the table it is taken from.
    """
    access = f"{frame}[{column.name!r}]"
    if column.kind == "datetime":
        return access
    if column.kind == "integer":
        return f'pd.to_datetime({access}.astype("string"), format="%Y%m%d", errors="coerce")'
    seen = [text for text in (column.first, column.last, *column.examples) if text]
    form = "ISO8601" if all(_PADDED.match(text) for text in seen) else "mixed"
    zone = ", utc=True" if any(_OFFSET.search(text[10:]) for text in seen) else ""
    return f'pd.to_datetime({access}, format="{form}", errors="coerce"{zone})'


def _nameable(column: ColumnProfile) -> bool:
    name = column.name
    return bool(name.strip()) and not column.name_cut and len(name) <= LONGEST_NAME and name.isprintable()


def _filled(column: ColumnProfile, rows: int, most_missing: float) -> bool:
    return (
        column.unique is not None
        and column.unique > 1
        and not column.id_like
        and column.missing < rows
        and column.missing <= most_missing * rows
    )


def _is_measure(column: ColumnProfile, rows: int) -> bool:
    return (
        column.kind in ("integer", "number")
        and (column.unique or 0) >= MIN_DISTINCT
        and column.min is not None
        and column.max is not None
        and column.std is not None
        and column.std > 0
        and not (is_identifier(column, rows) or _is_compact_date(column))
    )


def _is_category(column: ColumnProfile, rows: int) -> bool:
    levels = column.unique or 0
    if not MIN_LEVELS <= levels <= MAX_LEVELS or column.kind == "datetime" or column.date_like:
        return False
    if column.kind in ("integer", "number") and not _is_code(column, levels):
        return False
    if column.kind == "text" and column.dtype == "object" and not _is_flag(column):
        return False
    told = [count for _, count in column.top] if levels <= len(column.top) else []
    return (rows - column.missing) >= MIN_LEVEL_ROWS * levels and all(count >= MIN_LEVEL_ROWS for count in told)


def _is_code(column: ColumnProfile, levels: int) -> bool:
    whole = column.min is not None and all(text.removesuffix(".0").lstrip("-").isdigit() for text in column.examples)
    return whole and (levels < MIN_DISTINCT or is_calendar_part(column) or is_coded(column))


def _is_flag(column: ColumnProfile) -> bool:
    # A column of True and False with gaps is read as objects; any other mixture has no values to compare with.
    return {text for text, _ in column.top} <= {"True", "False"}


def _is_label(column: ColumnProfile) -> bool:
    return (
        column.kind == "text"
        and column.dtype != "object"
        and column.missing == 0
        and not column.date_like
        and not named_like_key(column.name)
        and all(count == 1 for _, count in column.top)
        and all(len(text) <= LONGEST_LABEL for text, _ in column.top)
        and (column.unique or 0) > MAX_LEVELS
    )


def _is_text(column: ColumnProfile) -> bool:
    return (
        column.kind == "text"
        and not column.date_like
        and (column.unique or 0) > MAX_LEVELS
        and not named_like_key(column.name)
    )


def _is_compact_date(column: ColumnProfile) -> bool:
    if column.kind != "integer" or column.min is None or column.max is None:
        return False
    ends = (str(int(column.min)), str(int(column.max)))
    return all(_is_compact_day(text) for text in (*ends, *column.examples))


def _is_compact_day(text: str) -> bool:
    if len(text) != 8 or not text.isdigit() or not "1800" <= text[:4] <= "2200":
        return False
    try:
        datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007 - a day has no time zone
    except ValueError:
        return False
    return True


def _value(column: ColumnProfile, text: str) -> Value:
    if text in ("True", "False") and (column.kind == "boolean" or column.dtype == "object"):
        return text == "True"
    if column.kind == "integer":
        return int(text)
    if column.kind == "number":
        return float(text)
    return text
