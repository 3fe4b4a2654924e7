"""Reading numbers written as text: the grammar, units, percent and currency signs."""

from __future__ import annotations

import re
from decimal import Decimal

from flows.answers.folding import fold
from flows.answers.nodes import WIDE

MAX_DIGITS = 4000
"""Digits a number may have; a longer one stays text."""
_MAX_TEXT = 200
_MAX_EXPONENT = 400

PERCENT_UNITS = frozenset({"%", "percent", "per cent", "pct", "percentage"})
RATIO_UNITS = frozenset({"ratio", "fraction", "share", "proportion"})
_CURRENCIES: dict[str, frozenset[str]] = {
    "$": frozenset({"$", "usd", "dollar", "dollars", "us$", "us dollars"}),
    "€": frozenset({"€", "eur", "euro", "euros"}),
    "£": frozenset({"£", "gbp", "pound", "pounds"}),
    "¥": frozenset({"¥", "jpy", "yen", "cny", "yuan"}),
    "₹": frozenset({"₹", "inr", "rupee", "rupees"}),
}
_SECONDS: dict[str, Decimal] = {
    **dict.fromkeys(("ms", "millisecond"), Decimal("0.001")),
    **dict.fromkeys(("s", "sec", "second"), Decimal(1)),
    **dict.fromkeys(("min", "minute"), Decimal(60)),
    **dict.fromkeys(("h", "hr", "hrs", "hour"), Decimal(3600)),
    **dict.fromkeys(("d", "day"), Decimal(86_400)),
    **dict.fromkeys(("week",), Decimal(604_800)),
}

# One group mark all through a number: "1,234,567", "1 234 567", "1'234'567", "1_234_567", or with points and a comma.
_GROUPED = re.compile(r"[1-9][0-9]{0,2}(?P<mark>[,'_ ])[0-9]{3}(?:(?P=mark)[0-9]{3})*(?P<rest>\.[0-9]*)?")
_GROUPED_POINT = re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+,[0-9]+|[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}")
_SPACED_COMMA = re.compile(r"[1-9][0-9]{0,2}(?P<mark>[' ])[0-9]{3}(?:(?P=mark)[0-9]{3})*,[0-9]+")
_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
# A comma is a decimal comma only where it cannot part thousands.
_COMMA = re.compile(r"0,[0-9]+|[0-9]+,(?:[0-9]{1,2}|[0-9]{4,})|[0-9]{4,},[0-9]{3}")
_SHAPE = re.compile(r"(?P<sign>[+-]?)\s?(?P<digits>[0-9.,'_ ]*[0-9.])(?P<exponent>[eE][+-]?[0-9]{1,4})?")
_SPECIAL = {
    "nan": Decimal("NaN"),
    **dict.fromkeys(("inf", "+inf", "infinity", "+infinity"), Decimal("Infinity")),
    **dict.fromkeys(("-inf", "-infinity"), Decimal("-Infinity")),
}


def is_percent(unit: str | None) -> bool:
    """Whether a declared unit is per cent."""
    return unit is not None and fold(unit) in PERCENT_UNITS


def is_ratio(unit: str | None) -> bool:
    """Whether a declared unit is a plain ratio, 1 for the whole."""
    return unit is not None and fold(unit) in RATIO_UNITS


def seconds_of(unit: str | None) -> Decimal | None:
    """How many seconds a declared unit of time has; None for a unit that is not of time."""
    return None if unit is None else _SECONDS.get(_singular(fold(unit)))


def parse_number(text: str, unit: str | None = None) -> Decimal | None:
    """The number a text states in the declared unit; None if it is not one, or its unit is another one.

    Accepted: sign, digits with thousands marks in groups of three, decimal point (a decimal comma where it cannot be a
    thousands mark), exponent, the declared unit after it, a currency sign if the unit is that currency, and a per cent
    sign if the unit is per cent (same number) or a ratio (a hundredth of it). `nan` and `inf` are numbers.
    """
    if len(text) > _MAX_TEXT:
        return None
    plain = fold(text, case_sensitive=True)
    if plain.casefold() in _SPECIAL:
        return _SPECIAL[plain.casefold()]
    bare, factor = _without_unit(plain, unit)
    value = _parse_bare(bare)
    return None if value is None else WIDE.multiply(value, factor)


def _without_unit(text: str, unit: str | None) -> tuple[str, Decimal]:
    one = Decimal(1)
    if unit is None:
        return text, one
    if is_percent(unit) or is_ratio(unit):
        for suffix in PERCENT_UNITS:
            if text.casefold().endswith(suffix):
                return text[: -len(suffix)].strip(), one if is_percent(unit) else Decimal("0.01")
    declared = fold(unit, case_sensitive=True)
    for sign, names in _CURRENCIES.items():
        if declared.casefold() in names:
            return _without_currency(text, sign, names), one
    if text.endswith(declared):
        bare = text[: -len(declared)].rstrip()
        return (bare, one) if bare[-1:].isdigit() or bare[-1:] == "." else (text, one)
    match = re.fullmatch(r"(.*[0-9.])\s?([^\W0-9_]+)", text)
    return (match[1], one) if match and _same_word(match[2], declared) else (text, one)


def _without_currency(text: str, sign: str, names: frozenset[str]) -> str:
    match = re.fullmatch(rf"([+-]?)\s?{re.escape(sign)}\s?(.*)", text)
    if match:
        return match[1] + match[2]
    match = re.fullmatch(r"(.*[0-9.])\s?([^0-9.]+)", text)
    return match[1] if match and match[2].casefold() in names else text


def _same_word(written: str, declared: str) -> bool:
    # mW is not MW: case is let go only in words, which no unit symbol is.
    return len(declared) > 3 and declared.isalpha() and _singular(written.casefold()) == _singular(declared.casefold())


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def _parse_bare(text: str) -> Decimal | None:
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    digits = _plain_digits(match["digits"])
    exponent = int(match["exponent"][1:]) if match["exponent"] else 0
    if digits is None or abs(exponent) > _MAX_EXPONENT:
        return None
    value = Decimal(f"{digits}e{exponent}")
    return value.copy_negate() if match["sign"] == "-" else value


def _plain_digits(digits: str) -> str | None:
    if _PLAIN.fullmatch(digits):
        return digits
    if grouped := _GROUPED.fullmatch(digits):
        return digits.replace(grouped["mark"], "")
    if _GROUPED_POINT.fullmatch(digits) or _SPACED_COMMA.fullmatch(digits):
        return digits.replace(".", "").replace(" ", "").replace("'", "").replace(",", ".")
    if _COMMA.fullmatch(digits):
        return digits.replace(",", ".")
    return None
