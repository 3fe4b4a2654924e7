"""The dataset's profile: computed inside the sandbox by a fixed program, parsed here, told to the model in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, ValidationError

from blocks.errors import DatasetError
from blocks.frozen import Frozen
from blocks.sandboxes.models import CellResult

_NAME_LENGTH = 60
_VALUE_LENGTH = 32
_NOTE_LENGTH = 160


class ColumnProfile(Frozen):
    """What is known of one column. All text in it is data from an untrusted file."""

    name: str
    name_cut: bool = False
    """The name is longer than what is kept here."""
    dtype: str
    kind: Literal["integer", "number", "boolean", "datetime", "text"]
    missing: Annotated[int, Field(ge=0)]
    unique: int | None = None
    """Distinct values, missing ones not counted; None where no details were taken."""
    id_like: bool = False
    date_like: bool = False
    """Text whose values are written as ISO dates."""
    offsets: Literal["none", "all", "mixed"] = "none"
    """Of text dates: whether they name their offset from UTC."""
    real_dates: bool = True
    """Of text dates: whether each is a day of the calendar and a time of the clock; 2021-02-30 and 24:30 are none. Of
    whole numbers with 6 or 8 digits: whether each is a month or a day, written YYYYMM or YYYYMMDD."""
    timed: bool = True
    """Of dates: whether some of them have a time of day, as far as is known."""
    period: Literal["month", "quarter", "month name"] | None = None
    """Text that names months or quarters of certain years: 2001-07, 2001Q3, Jul 2001."""
    date_span: tuple[str, str] | None = None
    """Of text dates and periods: the first and the last day, as YYYY-MM-DD."""
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float | None, ...] = ()
    """Quartiles: 25 %, 50 %, 75 %."""
    whole: bool | None = None
    """Numbers: whether all are whole."""
    digits: int | None = None
    """Whole numbers: how many digits every value has; None where they differ in length."""
    clock_times: bool = False
    """Whole numbers: whether each is a time of day written HHMM or HHMMSS without leading zeros, as 905 for 09:05."""
    evenly_spaced: bool = False
    """Numbers: whether the distinct values lie at equal distances, like 1, 2, 3 or 0.1, 0.2, 0.3."""
    rising: bool | None = None
    """Numbers: whether no value is smaller than the one in the row before."""
    repeats: tuple[int, int] | None = None
    """Numbers: in how many rows the rarest and the most frequent value are found."""
    first: str | None = None
    last: str | None = None
    top: tuple[tuple[str, int], ...] = ()
    """Most frequent values with their counts."""
    examples: tuple[str, ...] = ()


class DatasetProfile(Frozen):
    """What is known of a table; the details of at most a few hundred columns."""

    schema_version: Literal[1] = 1
    rows: Annotated[int, Field(ge=0)]
    columns: Annotated[int, Field(ge=0)]
    facts: tuple[ColumnProfile, ...]


class CellRunner(Protocol):
    """What profiling needs of a session."""

    async def run(self, code: str, *, timeout_s: float | None = None) -> CellResult:
        """Run a cell."""
        ...


@cache
def profile_program() -> str:
    """The cell that computes the profile and submits it as JSON text."""
    source = Path(__file__).with_name("column_facts.py").read_text(encoding="utf-8")
    return source + "\n\nimport json\n\nsubmit(json.dumps(table_facts(df), allow_nan=False))\n"


async def profile_dataset(session: CellRunner, *, timeout_s: float | None = None) -> DatasetProfile:
    """Profile the session's `df`.

    Args:
        session: A fresh session of the dataset's sandbox.
        timeout_s: Wall clock of the profile cell, seconds; None for the sandbox's own limit.

    Raises:
        DatasetError: The program failed on this table.
    """
    return parse_profile(await session.run(profile_program(), timeout_s=timeout_s))


def parse_profile(cell: CellResult) -> DatasetProfile:
    """The profile out of the profile cell's result.

    Raises:
        DatasetError: The cell failed or submitted something else.
    """
    if cell.status != "ok" or cell.submission is None:
        why = f"{cell.error.name}: {cell.error.message[:200]}" if cell.error else cell.reason or cell.status
        raise DatasetError(f"The table could not be profiled ({why}).", "Check that the file is a plain table.")
    value = cell.submission.value
    try:
        if value.get("t") != "str":
            raise ValueError("the profile is no text")
        data: Any = json.loads(value["v"])
        return DatasetProfile.model_validate(data)
    except (ValidationError, ValueError, KeyError, RecursionError) as error:
        raise DatasetError("The table's profile came back malformed.", "Report this together with the file.") from error


def describe(profile: DatasetProfile, budget: int = 4_000, notes: Mapping[str, str] | None = None) -> str:
    """The profile in words for a prompt, at most `budget` characters plus one closing line.

    The most detailed form that fits is taken; when even names alone do not fit, the rest is counted. Means and
    quartiles are left out on purpose: a model that is told them could answer without computing anything.

    Args:
        profile: The profile.
        budget: Characters.
        notes: What the dataset's card says about columns, by name.
    """
    head = f"{profile.rows:,} rows, {profile.columns:,} columns:"
    known = notes or {}
    forms: tuple[Callable[[ColumnProfile, int], str], ...] = (
        lambda column, at: _long(column, at) + _note(known.get(column.name, "")),
        _long,
        _short,
        _bare,
    )
    for form in forms:
        lines = [form(column, at) for at, column in enumerate(profile.facts)]
        if len(head) + sum(len(line) + 1 for line in lines) <= budget:
            return "\n".join([head, *lines])
    kept: list[str] = []
    room = budget - len(head)
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = profile.columns - len(kept)
    return "\n".join([head, *kept, f"… and {left:,} more columns; list(df.columns) names them all"])


def quote(text: str, limit: int) -> str:
    """Untrusted text as a double-quoted literal on one line: nothing unprintable in it, cut at `limit` characters."""
    pieces: list[str] = []
    for sign in text[:limit]:
        if sign in '"\\':
            pieces.append("\\" + sign)
        elif sign.isprintable():
            pieces.append(sign)
        else:
            code = ord(sign)
            form = "x{:02x}" if code < 0x100 else "u{:04x}" if code < 0x10000 else "U{:08x}"
            pieces.append("\\" + form.format(code))
    return '"' + "".join(pieces) + ('"' if len(text) <= limit else '…"')


def _name(column: ColumnProfile, at: int) -> str:
    shown = quote(column.name, _NAME_LENGTH)
    # A cut name cannot be typed, so the model is told another way to reach the column.
    return f"{shown} (long name: df.columns[{at}])" if column.name_cut or len(column.name) > _NAME_LENGTH else shown


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else f"{value:.6g}"


def _span(column: ColumnProfile) -> str:
    if column.min is not None and column.max is not None:
        return f"{_number(column.min)} to {_number(column.max)}"
    if column.first is not None and column.last is not None:
        return f"{quote(column.first, _VALUE_LENGTH)} to {quote(column.last, _VALUE_LENGTH)}"
    return ""


def _values(column: ColumnProfile, most: int) -> str:
    if column.unique is None or column.kind in ("integer", "number", "datetime") or column.date_like:
        return ""
    if 0 < column.unique <= min(most, len(column.top)):
        return "values " + ", ".join(quote(value, _VALUE_LENGTH) for value, _ in column.top)
    if column.examples:
        shown = ", ".join(quote(value, _VALUE_LENGTH) for value in column.examples[:2])
        return f"{column.unique:,} distinct, e.g. {shown}"
    return ""


def _kind(column: ColumnProfile) -> str:
    return "text date" if column.date_like else column.kind


def _note(text: str) -> str:
    return f" ({quote(text, _NOTE_LENGTH)[1:-1]})" if text else ""


def _missing(column: ColumnProfile) -> str:
    return f"{column.missing:,} missing" if column.missing else ""


def _join(column: ColumnProfile, at: int, *parts: str) -> str:
    return f"- {_name(column, at)}: " + ", ".join(part for part in parts if part)


def _long(column: ColumnProfile, at: int) -> str:
    identity = "one value per row, like an id" if column.id_like else ""
    return _join(column, at, _kind(column), _span(column), _values(column, 8), identity, _missing(column))


def _short(column: ColumnProfile, at: int) -> str:
    return _join(column, at, _kind(column), _span(column), _values(column, 4), _missing(column))


def _bare(column: ColumnProfile, at: int) -> str:
    return f"- {_name(column, at)}"
