"""Which columns of a profile a question may be about, by the role they can play in it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flows.questions.identifiers import is_calendar_part, is_coded, is_identifier, is_year, name_words, named_like_key
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
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"
_CUT = "…"

Grain = Literal["day", "month", "quarter", "year"]
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
        dates: Dates, dates written as ISO text, months and quarters of certain years, and whole numbers written
            YYYYMMDD or YYYYMM.
        labels: Text or years without missing values that name each row once, such as the names of countries.
        texts: Text with more distinct values than a category has.
    """

    measures: tuple[ColumnProfile, ...]
    categories: tuple[ColumnProfile, ...]
    binaries: tuple[ColumnProfile, ...]
    years: tuple[ColumnProfile, ...]
    dates: tuple[ColumnProfile, ...]
    labels: tuple[ColumnProfile, ...]
    texts: tuple[ColumnProfile, ...]


def eligible(profile: DatasetProfile, *, most_missing: float, any_name: bool = False) -> Eligible:
    """The usable columns of a table.

    Left out are columns without details, with one value, like an id, with more missing values than `most_missing`, and
    those whose name is cut, repeated or cannot be written in a sentence.

    Args:
        profile: The table's profile.
        most_missing: Share of missing values, 0 to 1, a column may have: `TEMPLATE_MISSING`, `PROGRAM_MISSING`.
        any_name: Whether columns are taken whatever their names, to find out what these alone keep from a question.
    """
    names = Counter(column.name for column in profile.facts)
    usable = tuple(
        column
        for column in profile.facts
        if (any_name or (names[column.name] == 1 and _nameable(column))) and _filled(column, profile.rows, most_missing)
    )
    categories = tuple(column for column in usable if _is_category(column, profile.rows))
    return Eligible(
        measures=tuple(column for column in usable if _is_measure(column, profile.rows)),
        categories=categories,
        binaries=tuple(column for column in categories if column.unique == MIN_LEVELS),
        years=tuple(column for column in usable if is_year(column)),
        dates=tuple(column for column in usable if is_date(column)),
        labels=tuple(column for column in usable if _is_label(column, profile.rows)),
        texts=tuple(column for column in usable if _is_text(column)),
    )


def is_long_named(column: ColumnProfile) -> bool:
    """Whether the column's name is too long to be part of a question."""
    return column.name_cut or len(column.name) > LONGEST_NAME


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
    """Whether `date_code` can read the column as dates, all of it, and in one way only.

    Text of which some names its offset from UTC and some does not has no one order.
    """
    if column.date_like or _is_compact(column):
        return column.offsets != "mixed" and column.real_dates
    return column.kind == "datetime" or column.period is not None


def grain(column: ColumnProfile) -> Grain:
    """What the values of a date or a year tell: a day, or no more than a month, a quarter or a year."""
    if column.period is not None:
        return "quarter" if column.period == "quarter" else "month"
    if is_year(column):
        return "year"
    return "month" if _is_compact_month(column) else "day"


def has_times(column: ColumnProfile) -> bool:
    """Whether some of a column's dates may have a time of day that a question must speak of."""
    return grain(column) == "day" and column.timed and not _is_compact(column)


def ends(column: ColumnProfile) -> tuple[str, ...]:
    """The first and the last date, or whole number, as text that begins with its year; none where neither is known."""
    if column.date_span is not None:
        return column.date_span
    if column.first is not None and column.last is not None:
        return column.first, column.last
    return tuple(str(int(end)) for end in (column.min, column.max) if end is not None)


def date_note(column: ColumnProfile) -> str:
    """What a question must say of a column's dates, one sentence; empty for most."""
    if column.offsets != "all":
        return ""
    return f"Take the dates and times of {quoted(column.name)} as they are written, whatever their offset from UTC."


def date_code(column: ColumnProfile, frame: str = "df") -> str:
    """The expression that gives the column as dates, unreadable values as missing.

    Args:
        column: A column of the role `dates`.
        frame: The expression of the table it is taken from.
    """
    access = f"{frame}[{column.name!r}]"
    if column.kind == "datetime":
        # As written: the clock that the file shows, not that of UTC.
        return f"{access}.dt.tz_localize(None)" if "," in column.dtype else access
    if column.kind in ("integer", "number"):
        whole = access if column.kind == "integer" else f'{access}.astype("Int64")'
        form = "%Y" if is_year(column) else "%Y%m" if _is_compact_month(column) else "%Y%m%d"
        return f'pd.to_datetime({whole}.astype("string"), format="{form}", errors="coerce")'
    if column.period is not None:
        return _period_code(column.period, access)
    seen = [text for text in (column.first, column.last, *column.examples) if text]
    form = "ISO8601" if all(_PADDED.match(text) for text in seen) else "mixed"
    if column.offsets == "all":
        access = f'{access}.str.replace(r"{_OFFSET}", "", regex=True)'
    return f'pd.to_datetime({access}, format="{form}", errors="coerce")'


def _period_code(period: str, access: str) -> str:
    if period == "month name":
        spaced = f'{access}.str.replace(r"[\\W_]+", " ", regex=True)'
        return f'pd.to_datetime({spaced}, format="mixed", errors="coerce")'
    year = f'{access}.str.extract(r"(\\d{{4}})")[0]'
    month = f'{access}.str.extract(r"(\\d{{1,2}})$")[0]'
    if period == "quarter":
        first = '{"1": "01", "2": "04", "3": "07", "4": "10"}'
        month = f'{access}.str.extract(r"[Qq]([1-4])")[0].map({first})'
    return f'pd.to_datetime({year} + "-" + {month}, format="%Y-%m", errors="coerce")'


def _nameable(column: ColumnProfile) -> bool:
    name = column.name
    return bool(name.strip()) and not is_long_named(column) and name.isprintable()


def _filled(column: ColumnProfile, rows: int, most_missing: float) -> bool:
    return (
        column.unique is not None
        and column.unique > 1
        and (not column.id_like or is_year(column) or is_date(column))
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
        and not (is_identifier(column, rows) or _is_compact(column))
    )


def _is_category(column: ColumnProfile, rows: int) -> bool:
    levels = column.unique or 0
    dated = column.kind == "datetime" or column.date_like or column.period is not None or _is_compact(column)
    if dated or not MIN_LEVELS <= levels <= MAX_LEVELS:
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


def _is_label(column: ColumnProfile, rows: int) -> bool:
    if (is_year(column) and column.kind == "integer") or (is_date(column) and column.kind == "text"):
        # Each value once: what happened in it needs no mean.
        return column.unique == rows and column.offsets == "none"
    return (
        column.kind == "text"
        and column.dtype != "object"
        and column.missing == 0
        and not (column.date_like or column.period)
        and not named_like_key(column.name)
        and all(count == 1 for _, count in column.top)
        and all(len(text) <= LONGEST_LABEL for text, _ in column.top)
        and (column.unique or 0) > MAX_LEVELS
    )


def _is_text(column: ColumnProfile) -> bool:
    return (
        column.kind == "text"
        and not (column.date_like or column.period)
        and (column.unique or 0) > MAX_LEVELS
        and not named_like_key(column.name)
    )


def _is_compact(column: ColumnProfile) -> bool:
    return _is_compact_date(column) or _is_compact_month(column)


def _is_compact_month(column: ColumnProfile) -> bool:
    """Whether whole numbers are written YYYYMM: their name must say so as well, as other numbers have six digits."""
    if column.kind != "integer" or column.min is None or column.max is None:
        return False
    named = {"month", "date", "period", "yyyymm", "ym", "yearmonth", "time", "monat", "mois", "mes", "fecha"}
    if not named.intersection(name_words(column.name)):
        return False
    return all(_is_compact_day(f"{text}01") and len(text) == 6 for text in (*ends(column), *column.examples))


def _is_compact_date(column: ColumnProfile) -> bool:
    if column.kind != "integer" or column.min is None or column.max is None:
        return False
    return all(_is_compact_day(text) for text in (*ends(column), *column.examples))


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
