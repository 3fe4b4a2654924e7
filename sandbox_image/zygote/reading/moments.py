"""Dates as people write them: which order of day, month and year all texts of a column prove."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sandbox_image.zygote.reading.cells import kind

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        ["jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
         "sep sept september", "oct october", "nov november", "dec december"], start=1,
    )
    for name in names.split()
}  # fmt: skip
_TIME: Final = (
    r"(?:[T,]?\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<part>\d{1,9}))?)?"
    r"(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?)?$"
)
_WEEKDAY: Final = r"(?:(?:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun)(?:day|nesday|sday|rsday|urday)?\.?,?\s+)?"
_NUMERIC: Final = re.compile(r"^(?P<a>\d{1,4})(?P<sep>[-/.])(?P<b>\d{1,2})(?P=sep)(?P<c>\d{1,4})" + _TIME)
_DAY_MONTH: Final = re.compile(
    rf"^{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[-\s/.]*(?P<month>[A-Za-z]{{3,9}})[-\s/.,]*(?P<year>\d{{4}}|\d{{2}})"
    + _TIME,
    re.I,
)
_MONTH_DAY: Final = re.compile(
    rf"^{_WEEKDAY}(?P<month>[A-Za-z]{{3,9}})\.?[-\s]+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?[-\s]+(?P<year>\d{{4}})"
    + _TIME,
    re.I,
)
_YEAR_MONTH_NAME: Final = re.compile(
    r"^(?P<year>\d{4})[-\s/](?P<month>[A-Za-z]{3,9})[-\s/](?P<day>\d{1,2})" + _TIME, re.I
)
_NAMED: Final = (
    (_DAY_MONTH, "day, month name, year"),
    (_MONTH_DAY, "month name, day, year"),
    (_YEAR_MONTH_NAME, "year, month name, day"),
)
_ISO: Final = re.compile(r"^\d{4}-\d{1,2}-\d{1,2}(?:[ T]|$)")
_ISO_DAY: Final = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_SAMPLE: Final = 200
_CENTURY: Final = "the century of years of two digits is in doubt"
_MONTH_YEAR: Final = re.compile(r"^(?P<month>0?[1-9]|1[0-2])\.(?P<year>(?:19|20)\d{2})$")
_YEAR_MONTH: Final = re.compile(r"^(?P<year>(?:19|20)\d{2})\.(?P<month>0?[1-9]|1[0-2])$")
_MONTH_NAME: Final = re.compile(r"month|monat|mois|\bmes\b|period|date|datum|fecha|zeitraum", re.I)
_FEW_MONTHS: Final = 3
_MANY_MONTHS: Final = 6
ORDERS: Final = {"dmy": "dd/mm/yyyy", "mdy": "mm/dd/yyyy", "ymd": "yyyy/mm/dd"}


@dataclass(frozen=True)
class Moments:
    """Dates that were read from texts, with how they are written."""

    values: dict[str, datetime]
    form: str
    order: str = ""
    """Of numbers: dmy, mdy or ymd."""


@dataclass(frozen=True)
class Unproven:
    """The texts are dates, but more than one reading is possible, or none for all of them.

    Attributes:
        separator: Between the numbers.
        why: What is said of it.
        told: Whether the order of day and month, once told, settles it.
    """

    separator: str
    why: str = "nothing proves which part is the day"
    told: bool = True
    wrong: str = ""
    """A text that is no date."""


def read_moments(texts: Sequence[str], *, order: str | None = None) -> Moments | Unproven | None:
    """Read a column's distinct texts as dates; None where they are none, or are ISO dates, which stay as they are.

    Args:
        texts: Distinct values, none of them missing.
        order: The order of numbers where known: dmy, mdy.
    """
    texts = list(texts)
    sample = [each.strip() for each in texts[:_SAMPLE]]
    if not sample or all(_ISO.match(each) for each in sample):
        return None
    if all(_NUMERIC.match(each) for each in sample):
        return _numeric(texts, order)
    for pattern, form in _NAMED:
        if all(pattern.match(each) for each in sample):
            return _named(texts, pattern, form)
    return None


def form_of_months(name: str, texts: Sequence[str]) -> str:
    """How months with a point are written, 4.2000 for April 2000; empty where the texts may as well be fractions.

    Rates lie close together, so that months of one number prove nothing: there, the column's name must speak of time.

    Args:
        name: Of the column.
        texts: Distinct values, none of them missing.
    """
    for pattern, form in ((_MONTH_YEAR, "month.year"), (_YEAR_MONTH, "year.month")):
        found = [pattern.match(each.strip()) for each in texts]
        parts = [each["month"] for each in found if each is not None]
        if not parts or len(parts) < len(texts):
            continue
        months = {int(each) for each in parts}
        if form == "month.year":
            proven = len(months) > 1 and len(parts) >= _FEW_MONTHS
        else:
            # 2010.1 may be a tenth of a year; only beside 2010.10 it is none.
            if any(len(each) == 1 for each in parts) and "10" not in parts:
                continue
            proven = len(months) >= _FEW_MONTHS and len(parts) >= _MANY_MONTHS
        return form if proven or _MONTH_NAME.search(name) else ""
    return ""


def may_be_iso(text: str) -> bool:
    """Whether a text that begins like an ISO date is one; others are not judged."""
    found = _ISO_DAY.match(text)
    if found is None:
        return True
    try:
        date(*map(int, found.groups()))
    except ValueError:
        return False
    return True


def _numeric(texts: Sequence[str], order: str | None) -> Moments | Unproven | None:
    found = [_NUMERIC.match(each.strip()) for each in texts]
    parts = [each for each in found if each is not None]
    if len(parts) < len(texts):
        return None
    separators = {each["sep"] for each in parts}
    if len(separators) > 1:
        return None
    separator = separators.pop()
    triples = [(each["a"], each["b"], each["c"]) for each in parts]
    proven = _order(triples, separator, order)
    if not isinstance(proven, str):
        return proven
    values: dict[str, datetime] = {}
    for text, part, (a, b, c) in zip(texts, parts, triples, strict=True):
        day, month, year = {"dmy": (a, b, c), "mdy": (b, a, c), "ymd": (c, b, a)}[proven]
        moment = _moment(part, _year(year), int(month), int(day))
        if moment is None:
            return _no_date(separator, text.strip())
        values[text] = moment
    if proven != "ymd" and _century_in_doubt([each[2] for each in triples]):
        return Unproven(separator, _CENTURY, told=False)
    form = ORDERS[proven].replace("/", separator)
    if all(len(each[0 if proven == "ymd" else 2]) == 2 for each in triples):
        form = form.replace("yyyy", "yy")
    return Moments(values, form + _time_form(parts), proven)


def _order(triples: Sequence[tuple[str, str, str]], separator: str, given: str | None) -> str | Unproven | None:
    lengths = {tuple(map(len, each)) for each in triples}
    if all(a == 4 and c <= 2 for a, _, c in lengths):
        return "ymd" if all(int(b) <= 12 and int(c) <= 31 for _, b, c in triples) else None
    if any(a > 2 for a, _, _ in lengths) or any(c in (1, 3) for _, _, c in lengths):
        return None
    short = any(c == 2 for _, _, c in lengths)
    if short and any(c == 4 for _, _, c in lengths):
        return None
    if short and given is None and not any(int(c) > 31 for _, _, c in triples):
        # Two digits for the year: the year may stand first as well.
        return Unproven(separator)
    first, second = max(int(a) for a, _, _ in triples), max(int(b) for _, b, _ in triples)
    if first > 31 or second > 31:
        return None
    if first > 12 and second > 12:
        return Unproven(separator, "different rows prove different orders", told=False)
    if given == "dmy" and second <= 12:
        return "dmy"
    if given == "mdy" and first <= 12:
        return "mdy"
    if given:
        return None
    if first > 12:
        return "dmy"
    if second > 12:
        return "mdy"
    # Points are written in countries that put the day first.
    return "dmy" if separator == "." else Unproven(separator)


def _named(texts: Sequence[str], pattern: re.Pattern[str], form: str) -> Moments | Unproven | None:
    values: dict[str, datetime] = {}
    parts = []
    for text in texts:
        part = pattern.match(text.strip())
        month = _MONTHS.get(part["month"].casefold()) if part else None
        if part is not None and month is None and kind(text) == "date":
            return Unproven("", f"{part['month']!r} is no English name of a month", told=False)
        if part is None or month is None:
            return None
        moment = _moment(part, _year(part["year"]), month, int(part["day"]))
        if moment is None:
            return _no_date("", text.strip())
        parts.append(part)
        values[text] = moment
    if _century_in_doubt([each["year"] for each in parts]):
        return Unproven("", _CENTURY, told=False)
    return Moments(values, form + _time_form(parts))


def _no_date(separator: str, text: str) -> Unproven:
    return Unproven(separator, f"{text!r} is no date", told=False, wrong=text)


def _century_in_doubt(years: Sequence[str]) -> bool:
    """Years of two digits from 30 to 68 are of this century to one program, of the last to another."""
    return any(len(each) == 2 and 30 <= int(each) <= 68 for each in years)


def _year(text: str) -> int:
    year = int(text)
    return year if len(text) > 2 else year + (2000 if year < 69 else 1900)


def _moment(part: re.Match[str], year: int, month: int, day: int) -> datetime | None:
    hour = int(part["hour"] or 0)
    if part["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if part["half"] in "pP" else 0)
    micro = int((part["part"] or "0").ljust(6, "0")[:6])
    try:
        return datetime(year, month, day, hour, int(part["minute"] or 0), int(part["second"] or 0), micro)  # noqa: DTZ001
    except ValueError:
        return None


def _time_form(parts: Sequence[re.Match[str]]) -> str:
    if not any(each["hour"] for each in parts):
        return ""
    return " with the time" + (" (AM or PM)" if any(each["half"] for each in parts) else "")
