"""Columns whose type the user gave: every value is of it, or the file is refused."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from sandbox_image.zygote.reading.cells import PLAIN, is_word_for_missing
from sandbox_image.zygote.reading.columns import LARGEST, Values, numbers_of
from sandbox_image.zygote.reading.moments import Moments, Unproven, read_moments
from sandbox_image.zygote.reading.naming import short
from sandbox_image.zygote.reading.numerals import Marks, Reading, number_of, read_numbers
from sandbox_image.zygote.reading.refusals import LoadError
from sandbox_image.zygote.reading.remarks import Remarks

if TYPE_CHECKING:
    import pandas as pd

_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "1.0", "on"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "0.0", "off"})


def convert_as_given(
    name: str, column: pd.Series[Any], type_: str, known: Marks, remarks: Remarks, line_of: Callable[[int], int]
) -> pd.Series[Any]:
    """A column of texts as the type that the user gave.

    Args:
        name: Of the column.
        column: Its texts.
        type_: One of `rules.COLUMN_TYPES`.
        known: Marks in numbers that the user gave.
        remarks: What is said of columns.
        line_of: The file's line of a row.

    Raises:
        LoadError: A value is not of this type.
    """
    if type_ == "text":
        return column
    values = Values(name, column)
    texts = [each for each in values.texts if each.strip() and not is_word_for_missing(each.strip())]
    if not texts:
        return values.mapped(
            {}, {"date": "datetime", "dmy": "datetime", "mdy": "datetime", "boolean": "boolean"}.get(type_)
        )
    made = _convert(values, texts, type_, known, remarks)
    if made is not None:
        return made
    # The first values that are of the type, as many as there are, then one that is not.
    good = bisect_left(
        range(1, len(texts)), True, key=lambda count: _convert(values, texts[:count], type_, known, Remarks()) is None
    )
    wrong = texts[good]
    row = int((values.codes == values.texts.index(wrong)).argmax())
    line = line_of(row)
    where = f" (line {line})" if line else ""
    raise LoadError(
        "rules",
        f"Column {short(name)!r} cannot be read as {type_} (--types): {short(wrong)!r}{where} is no such value.",
    )


def _convert(values: Values, texts: list[str], type_: str, known: Marks, remarks: Remarks) -> pd.Series[Any] | None:
    if type_ in ("date", "dmy", "mdy"):
        return _dates(values, texts, type_, remarks)
    if type_ == "boolean":
        return _booleans(values, texts)
    numbers = _numbers(values.name, texts, known, remarks)
    if numbers is None:
        return None
    if type_ == "number":
        return numbers_of(values, numbers)
    if any(each != int(each) for each in numbers.values() if abs(each) < float("inf")) or not _fits(numbers):
        return None
    whole_numbers = {text: int(each) for text, each in numbers.items()}
    gaps = len(numbers) < len(values.texts) or bool((values.codes < 0).any())
    return values.mapped(whole_numbers, "Int64" if gaps else "int64")


def _fits(numbers: Mapping[str, int | float]) -> bool:
    return all(abs(each) <= LARGEST for each in numbers.values())


def _numbers(name: str, texts: list[str], known: Marks, remarks: Remarks) -> dict[str, int | float] | None:
    plain = known.decimal in (None, ".") and known.thousands in (None, "", ",")
    if plain and all(PLAIN.match(each.strip()) for each in texts):
        return {each: number_of(each) for each in texts}
    reading = read_numbers(texts, known, Marks())
    if not isinstance(reading, Reading):
        return None
    if reading.unit:
        remarks.keep(name, f"unit: {reading.unit}")
    return reading.values


def _booleans(values: Values, texts: list[str]) -> pd.Series[Any] | None:
    folded = {each: each.strip().casefold() for each in texts}
    if not all(each in _TRUE or each in _FALSE for each in folded.values()):
        return None
    gaps = len(texts) < len(values.texts) or bool((values.codes < 0).any())
    return values.mapped({text: each in _TRUE for text, each in folded.items()}, "boolean" if gaps else "bool")


def _dates(values: Values, texts: list[str], type_: str, remarks: Remarks) -> pd.Series[Any] | None:
    import pandas as pd

    found = read_moments(texts, order=None if type_ == "date" else type_)
    if isinstance(found, Unproven):
        if type_ != "date":
            return None
        remedy = "; say dmy or mdy instead of date" if found.told else ""
        message = f"Column {short(values.name)!r} cannot be read as date (--types): {found.why}{remedy}."
        raise LoadError("rules", message, helps=bool(remedy))
    if isinstance(found, Moments):
        remarks.keep(values.name, f"dates, in the file written as {found.form}")
        return values.mapped(found.values, "datetime")
    for form in ("ISO8601", "%Y%m%d", "%Y-%m", "%Y/%m"):
        stripped = pd.Series([each.strip() for each in texts], dtype="object")
        # Without this, 7 is the year 7, and 2020 the first of January.
        if form == "ISO8601" and not all(re.match(r"^\d{4}-\d{1,2}-\d{1,2}", each) for each in stripped):
            continue
        try:
            moments = pd.to_datetime(stripped, format=form)
        except (ValueError, OverflowError):
            continue
        if moments.dt.tz is None:
            return values.mapped(dict(zip(texts, moments, strict=True)), "datetime")
    return None
