"""Reading dates and times written as text, where only one reading is possible."""

from __future__ import annotations

import re
from datetime import date, datetime

from flows.answers.folding import fold
from flows.answers.nodes import Day, Moment

_MAX_TEXT = 80
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sep sept",
            "october oct",
            "november nov",
            "december dec",
        ),
        start=1,
    )
    for name in names.split()
}
_ISO = re.compile(
    r"(?P<year>[0-9]{4})(?P<mark>[-/.])(?P<month>[0-9]{1,2})(?P=mark)(?P<day>[0-9]{1,2})"
    r"(?:[t ](?P<hour>[0-9]{1,2})"
    r"(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9})0*)?)?)?"
    r"\s?(?P<zone>z|utc|[+-][0-9]{2}:?[0-9]{2}(?::?[0-9]{2})?)?)?"
)
_NUMERIC = re.compile(r"(?P<a>[0-9]{1,2})(?P<mark>[-/.])(?P<b>[0-9]{1,2})(?P=mark)(?P<year>[0-9]{4})")
_DAY_FIRST = re.compile(r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?[ -](?P<month>[a-z]{3,9})\.?,?[ -](?P<year>[0-9]{4})")
_MONTH_FIRST = re.compile(r"(?P<month>[a-z]{3,9})\.? (?P<day>[0-9]{1,2})(?:st|nd|rd|th)?,? (?P<year>[0-9]{4})")


def parse_date(text: str) -> Day | Moment | None:
    """The day or moment a text states; None if it states none, or if day and month could be swapped.

    Accepted: ISO 8601 dates and times (also with / or . between the parts), a day with the month's English name, and
    day and month as numbers before the year where one of the two is above 12 or both are equal.
    """
    if len(text) > _MAX_TEXT:
        return None
    plain = fold(text)
    if match := _ISO.fullmatch(plain):
        return _iso(match)
    if match := _NUMERIC.fullmatch(plain):
        return _numeric(int(match["a"]), int(match["b"]), int(match["year"]))
    match = _DAY_FIRST.fullmatch(plain) or _MONTH_FIRST.fullmatch(plain)
    if match is None or match["month"] not in _MONTHS:
        return None
    return _day(int(match["year"]), _MONTHS[match["month"]], int(match["day"]))


def _day(year: int, month: int, day: int) -> Day | None:
    try:
        return Day(date(year, month, day))
    except ValueError:
        return None


def _numeric(a: int, b: int, year: int) -> Day | None:
    if a == b or b > 12:
        return _day(year, a, b)
    return _day(year, b, a) if a > 12 else None


def _iso(match: re.Match[str]) -> Day | Moment | None:
    day = _day(int(match["year"]), int(match["month"]), int(match["day"]))
    if day is None or match["hour"] is None:
        return day
    try:
        # Naive on purpose: the clock's own reading; the offset is kept beside it.
        local = datetime(  # noqa: DTZ001
            day.value.year,
            day.value.month,
            day.value.day,
            int(match["hour"]),
            int(match["minute"] or 0),
            int(match["second"] or 0),
        )
    except ValueError:
        return None
    return Moment(local, int((match["fraction"] or "0").ljust(9, "0")), _offset(match["zone"]))


def _offset(zone: str | None) -> int | None:
    if zone is None:
        return None
    if zone in ("z", "utc"):
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:] or 0)
    return -seconds if zone[0] == "-" else seconds
