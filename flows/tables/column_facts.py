"""The profile program: runs inside the sandbox, where `df` is the untrusted table, and returns plain JSON facts.

This file's text is sent to a session as a cell, so it stands alone: standard library, numpy and pandas only.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd

DETAILED_COLUMNS = 400
TOP_VALUES = 8
EXAMPLES = 3
TEXT_LENGTH = 60
SAMPLE_ROWS = 200
CLOCK_VALUES = 11
"""Fewest different numbers that can be told for times of day."""
EVEN = 1e-3
"""How far distances between values may differ, relative, to count as equal."""
_ID_NAME = re.compile(
    r"^(unnamed: ?\d+|index|id|uuid|guid|row_?(id|number|num|no)|serial_?(no|number)?)$|_(id|uuid)$", re.I
)
_OFFSET = r"(?:Z|[+-]\d{2}:?\d{2})$"
_PERIODS = {
    "month": r"\d{4}(?:[-/.: ]|[-/.: ]?[Mm])(?:0?[1-9]|1[0-2])",
    "quarter": r"\d{4}[-/.: ]?[Qq][1-4]|[Qq][1-4][-/.: ]?\d{4}",
    "month name": r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*[-/. ]+\d{4}",
}
"""How text names a month or a quarter of a certain year."""
_DATE = re.compile(r"^\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$")


def table_facts(df: pd.DataFrame) -> dict[str, Any]:
    """Facts about the table: {rows, columns, facts: one mapping per column}, details for the first columns only."""
    facts = [
        column_facts(str(df.columns[at]), df.iloc[:, at], detailed=at < DETAILED_COLUMNS) for at in range(df.shape[1])
    ]
    return {"rows": int(df.shape[0]), "columns": int(df.shape[1]), "facts": facts}


def column_facts(name: str, column: pd.Series[Any], *, detailed: bool = True) -> dict[str, Any]:
    """Facts about one column; `name` is cut at 200 characters and says so by `name_cut`."""
    facts: dict[str, Any] = {
        "name": name[:200],
        "name_cut": len(name) > 200,
        "dtype": str(column.dtype),
        "kind": _kind(column),
        "missing": int(column.isna().sum()),
    }
    if not detailed:
        return facts
    present = column.dropna()
    facts["unique"] = int(present.nunique())
    facts["id_like"] = _id_like(name, present, facts)
    facts["examples"] = [_text(value) for value in present.drop_duplicates().head(EXAMPLES)]
    if facts["kind"] in ("integer", "number"):
        facts |= _number_facts(present)
    if facts["kind"] == "text":
        facts |= _date_facts(present)
    if facts["kind"] == "datetime":
        facts["timed"] = bool((present.dt.normalize() != present).any())
    if facts["kind"] == "datetime" or facts.get("date_like"):
        facts |= _range(present)
    if facts["kind"] in ("text", "boolean") or facts["unique"] <= TOP_VALUES:
        facts["top"] = _top(present)
    return facts


def _kind(column: pd.Series[Any]) -> str:
    if pd.api.types.is_bool_dtype(column.dtype):
        return "boolean"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "integer"
    if pd.api.types.is_numeric_dtype(column.dtype):
        return "number"
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "datetime"
    return "text"


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _number_facts(present: pd.Series[Any]) -> dict[str, Any]:
    if present.empty:
        return {}
    numbers = present.astype("float64")
    # Infinite values make some of these NaN, which is told by their absence, not by a warning.
    with np.errstate(invalid="ignore"):
        return _spread(numbers) | _numbering(numbers)


def _spread(numbers: pd.Series[Any]) -> dict[str, Any]:
    quantiles = numbers.quantile([0.25, 0.5, 0.75])
    return {
        "min": _finite(numbers.min()),
        "max": _finite(numbers.max()),
        "mean": _finite(numbers.mean()),
        "std": _finite(numbers.std()) if len(numbers) > 1 else None,
        "quantiles": [_finite(value) for value in quantiles],
    }


def _numbering(numbers: pd.Series[Any]) -> dict[str, Any]:
    """What tells numbers that measure from numbers that number: length, distances, repetitions, order."""
    values = numbers.to_numpy()
    if not np.isfinite(values).all():
        return {"whole": False}
    distinct, counts = np.unique(values, return_counts=True)
    whole = bool((distinct == np.floor(distinct)).all())
    steps = np.diff(distinct)
    even = len(steps) > 0 and bool(np.allclose(steps, steps.mean(), rtol=EVEN, atol=0))
    lengths = {len(str(int(abs(end)))) for end in (distinct[0], distinct[-1])}
    digits = lengths.pop() if whole and len(lengths) == 1 and distinct[0] * distinct[-1] > 0 else None
    return {
        "whole": whole,
        "digits": digits,
        "real_dates": digits not in (6, 8) or (_real_days(distinct[[0, -1]]) and _real_days(distinct)),
        "clock_times": whole and _clock_times(distinct),
        "evenly_spaced": even,
        "rising": bool((np.diff(values) >= 0).all()),
        "repeats": [int(counts.min()), int(counts.max())],
    }


def _clock_times(numbers: np.ndarray[Any, Any]) -> bool:
    """Whether different whole numbers are times of day, written HHMM or HHMMSS; full hours only tell nothing."""
    clock = numbers if numbers[-1] <= 2400 else numbers // 100
    minutes = clock % 100
    return bool(
        len(numbers) >= CLOCK_VALUES
        and numbers[0] >= 0
        and 1000 <= clock[-1] <= 2400
        and (minutes < 60).all()
        and (numbers % 100 < 60).all()
        and len(np.unique(minutes % 10)) > 1
    )


def _real_days(numbers: np.ndarray[Any, Any]) -> bool:
    """Whether numbers written YYYYMMDD or YYYYMM are days or months of the calendar."""
    texts = pd.Series(numbers).astype("int64").astype("str")
    days = texts.where(texts.str.len() == 8, texts + "01")
    return bool(pd.to_datetime(days, format="%Y%m%d", errors="coerce").notna().all())


def _date_facts(present: pd.Series[Any]) -> dict[str, Any]:
    """Whether text holds dates, all of it: how they are written, and from when to when."""
    sample = [str(value) for value in present.head(SAMPLE_ROWS)]
    if not sample:
        return {"date_like": False}
    period = next((name for name, form in _PERIODS.items() if all(re.fullmatch(form, text) for text in sample)), None)
    looks = all(_DATE.match(text) for text in sample)
    if not looks and period is None:
        return {"date_like": False}
    texts = pd.Series(present.unique()).astype("str")
    if period is not None:
        months = _months(texts, period) if texts.str.fullmatch(_PERIODS[period]).all() else None
        # Marathon 2001 begins like a month's name: a text of which some is no month stays text.
        if months is None or months.isna().any():
            return {"date_like": False}
        return {"date_like": False, "period": period} | _date_span(months)
    if not all(_DATE.match(text) for text in texts):
        return {"date_like": False}
    offsets = texts.str.contains(_OFFSET) & texts.str.contains(":")
    written = texts.mask(offsets, texts.str.replace(_OFFSET, "", regex=True))
    moments = pd.to_datetime(written, format="ISO8601", errors="coerce")
    return {
        "date_like": True,
        "offsets": "all" if offsets.all() else "mixed" if offsets.any() else "none",
        "real_dates": bool(moments.notna().all()),
        "timed": bool(texts.str.contains(":").any()),
    } | _date_span(moments)


def _months(texts: pd.Series[Any], period: str) -> pd.Series[Any]:
    if period == "month name":
        return pd.to_datetime(texts.str.replace(r"[\W_]+", " ", regex=True), format="mixed", errors="coerce")
    years = texts.str.extract(r"(\d{4})")[0]
    if period == "month":
        return pd.to_datetime(years + "-" + texts.str.extract(r"(\d{1,2})$")[0], format="%Y-%m", errors="coerce")
    months = texts.str.extract(r"[Qq]([1-4])")[0].map({"1": "01", "2": "04", "3": "07", "4": "10"})
    return pd.to_datetime(years + "-" + months, format="%Y-%m", errors="coerce")


def _date_span(days: pd.Series[Any]) -> dict[str, Any]:
    known = days.dropna()
    if known.empty:
        return {}
    return {"date_span": [f"{end.year:04d}-{end.month:02d}-{end.day:02d}" for end in (known.min(), known.max())]}


def _range(present: pd.Series[Any]) -> dict[str, Any]:
    if present.empty:
        return {}
    return {"first": _text(present.min()), "last": _text(present.max())}


def _top(present: pd.Series[Any]) -> list[list[Any]]:
    counts = present.value_counts()
    if len(counts) > TOP_VALUES:
        # Ties at the edge are cut by value, so that the outcome never depends on row order.
        counts = counts[counts >= counts.iloc[TOP_VALUES - 1]]
    pairs = sorted(((int(count), str(value)) for value, count in counts.items()), key=lambda pair: (-pair[0], pair[1]))
    return [[_text(value), count] for count, value in pairs[:TOP_VALUES]]


def _id_like(name: str, present: pd.Series[Any], facts: dict[str, Any]) -> bool:
    if len(present) < 2 or facts["unique"] < len(present):
        return False
    if _ID_NAME.search(name.strip()):
        return True
    if facts["kind"] == "integer":
        return bool((present.diff().dropna() == 1).all())
    return False
