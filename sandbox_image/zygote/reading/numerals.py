"""Numbers as people write them: thousands marks, decimal commas, per cent, currencies, units, brackets for minus."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sandbox_image.zygote.reading.cells import CURRENCY, NUMBER
from sandbox_image.zygote.reading.under_names import UNITS

_BLANKS: Final = " \u00a0\u202f\u2009"
_APOSTROPHES: Final = "'’٬"
_MARKS: Final = frozenset(_BLANKS + _APOSTROPHES + ".,")
_MULTIPLES: Final = frozenset({"k", "K", "M", "m", "B", "b", "T", "t", "bn", "mn", "tn", "x", "X"})
"""Letters behind a number that multiply it, or may: 5k is no 5."""
_TRANSLATION: Final = str.maketrans("−–", "--")
_SAMPLE: Final = 200
_WHOLE: Final = re.compile(r"([+-]?)0*(\d*)")
_MOST_DIGITS: Final = 19
"""No column holds whole numbers of more."""


@dataclass(frozen=True)
class Marks:
    """The decimal mark and the thousands mark of a file or column; None where not known."""

    decimal: str | None = None
    thousands: str | None = None
    commas_in_doubt: bool = False
    """Whether the file separates fields by a sign that countries with decimal commas use."""


@dataclass(frozen=True)
class Reading:
    """Numbers that were read from texts.

    Attributes:
        values: By text: int or float.
        unit: What stands with every number: a unit, a currency, the per cent sign.
        marks: The marks that were found.
        how: What is said of it; empty where the numbers are plain.
    """

    values: dict[str, int | float]
    unit: str
    marks: Marks
    how: str


@dataclass(frozen=True)
class Doubt:
    """The texts are numbers, but two readings are possible.

    Attributes:
        why: What is said of it.
    """

    why: str


def number_of(text: str) -> int | float:
    """A number as programs write it; a whole one stays exact as far as a column can hold it."""
    found = _WHOLE.fullmatch(text.strip())
    if found is None or len(found[2]) > _MOST_DIGITS:
        return float(text)
    return int(found[1] + (found[2] or "0"))


def read_numbers(texts: Sequence[str], known: Marks, hint: Marks) -> Reading | Doubt | None:
    """Read a column's distinct texts as numbers; None where they are none, or not all.

    Args:
        texts: Distinct values, none of them missing.
        known: Marks that the user gave.
        hint: Marks of other columns of the file.
    """
    if not texts or not all(_NUMERIC.search(each) for each in texts[:_SAMPLE]):
        return None
    parsed = []
    for text in texts:
        found = NUMBER.match(text.strip().replace("\u2007", ""))
        if found is None:
            return None
        parsed.append(found)
    unit = _unit(parsed)
    if unit is None:
        return None
    digits = [each["digits"].rstrip(_BLANKS) for each in parsed]
    marks = _marks(digits, known, hint)
    if marks is None or isinstance(marks, Doubt):
        return marks
    if any(_PADDED.match(each) for each in digits) or _may_be_telephones(digits, marks):
        return None
    pattern = _pattern(marks)
    values: dict[str, int | float] = {}
    for text, part, number in zip(texts, parsed, digits, strict=True):
        if not pattern.match(number) or not _closes(part):
            return None
        values[text] = _value(number, marks, negative=_negative(part))
    return Reading(values, unit, marks, _how(marks, digits, unit, parsed))


def _may_be_telephones(digits: Sequence[str], marks: Marks) -> bool:
    """Whether blanks part numbers that all have the same many digits, as telephone numbers do."""
    lengths = {sum(sign.isdigit() for sign in each) for each in digits}
    blanks = marks.thousands is not None and marks.thousands[:1] in _BLANKS and not marks.decimal
    return blanks and len(lengths) == 1 and lengths.pop() >= 9


_PADDED: Final = re.compile(r"^0\d")
_NUMERIC: Final = re.compile(r"\d")


def _negative(part: re.Match[str]) -> bool:
    signs = (part["sign"] + part["sign2"]).translate(_TRANSLATION)
    return "-" in signs or part["minus"] is not None or part["close"] is not None


def _closes(part: re.Match[str]) -> bool:
    """Whether one bracket opens and one closes, or none does: ($5), $(5) and (5) $ are the same."""
    return [part["open"], part["inner"]].count("(") == [part["close"]].count(")")


def _unit(parsed: Iterable[re.Match[str]]) -> str | None:
    """What stands with every number, the same or nothing; None where it differs, or is no unit."""
    found = {((each["before"] or "").strip(), _behind(each)) for each in parsed}
    if len(found) != 1:
        return None
    before, after = found.pop()
    if before and after:
        return None
    if after and not CURRENCY.match(after) and (after in _MULTIPLES or not UNITS.match(after)):
        return None
    return before or after


def unit_of(part: re.Match[str]) -> str:
    """All that stands with a number."""
    return (part["before"] or "").strip() + _behind(part)


def _behind(part: re.Match[str]) -> str:
    """The unit that follows a number, before or after the bracket that closes; both, where there are two."""
    return (part["after"] or "").strip() + (part["behind"] or "").strip()


def _marks(digits: Sequence[str], known: Marks, hint: Marks) -> Marks | Doubt | None:
    counts = Counter(sign for each in digits for sign in set(each) & _MARKS)
    if known.decimal is not None or known.thousands is not None:
        return _given_marks(counts, known)
    groups = [sign for sign in counts if sign not in ".,"]
    if len({"blank" if sign in _BLANKS else "mark" for sign in groups}) > 1:
        return None
    points = [sign for sign in ".," if sign in counts]
    if groups:
        if len(points) > 1:
            return None
        return Marks(points[0] if points else None, "".join(groups))
    if len(points) == 2:
        return _two_marks(digits)
    return _one_mark(digits, points[0], hint) if points else Marks()


def _given_marks(counts: Counter[str], known: Marks) -> Marks:
    decimal, thousands = known.decimal, known.thousands
    if decimal is None:
        decimal = "," if thousands == "." else "."
    if thousands is None:
        thousands = "".join(sign for sign in counts if sign != decimal)
    return Marks(decimal, thousands or None)


def _two_marks(digits: Sequence[str]) -> Marks | None:
    """Point and comma in one column: the one that ever stands last in a number with both is the decimal mark."""
    last = {"," if each.rfind(",") > each.rfind(".") else "." for each in digits if "," in each and "." in each}
    if not last:
        twice = {sign for each in digits for sign in ".," if each.count(sign) > 1}
        if len(twice) != 1:
            return None
        last = {"," if "." in twice else "."}
    if len(last) > 1:
        return None
    decimal = last.pop()
    return Marks(decimal, "." if decimal == "," else ",")


def _one_mark(digits: Sequence[str], sign: str, hint: Marks) -> Marks | Doubt | None:
    other = "." if sign == "," else ","
    with_sign = [each for each in digits if sign in each]
    if any(each.count(sign) > 1 for each in with_sign):
        return Marks(other, sign)
    parts = [each.split(sign) for each in with_sign]
    if any(len(after) != 3 or len(before) > 3 or before in ("", "0") for before, after in parts):
        return Marks(sign, None)
    # Each number has exactly three digits after the mark.
    if hint.decimal == sign or hint.thousands == other:
        return Marks(sign, None)
    if hint.thousands == sign or hint.decimal == other:
        return Marks(other, sign)
    without = [each for each in digits if sign not in each]
    if any(len(each) > 3 for each in without):
        # 1,234 beside 2468: thousands that some rows mark, or decimals that some rows lack.
        return Marks(sign, None) if sign == "." else in_doubt(with_sign[0], sign)
    varied = len({len(before) for before, _ in parts}) > 1
    if sign == "," and hint.decimal is None and not hint.commas_in_doubt and (without or varied):
        return Marks(other, sign)
    if sign == "," and hint.commas_in_doubt and without and len(parts) > 2:
        # With decimals, the others would have a mark as well, or some fewer digits behind it.
        return Marks(other, sign)
    if sign == ".":
        return Marks(sign, None)
    shown = with_sign[0]
    return in_doubt(shown, sign)


def in_doubt(shown: str, sign: str) -> Doubt:
    """What is said of numbers with exactly three digits behind their only mark."""
    return Doubt(
        f"whether {shown!r} is {shown.replace(sign, '')} or {shown.replace(sign, '.')} is in doubt: --thousands "
        f"'{sign}' or --decimal '{sign}' says so"
    )


def _pattern(marks: Marks) -> re.Pattern[str]:
    decimal = re.escape(marks.decimal or ".")
    tail = rf"(?:{decimal}\d*)?(?:[eE][+-]?\d+)?$"
    if not marks.thousands:
        return re.compile(rf"^(?:\d+|(?={decimal}\d)){tail}")
    group = f"[{re.escape(marks.thousands)}]"
    # In India, groups of two precede the last one.
    return re.compile(
        rf"^(?:\d{{1,3}}(?:{group}\d{{3}})*|\d{{1,2}}(?:{group}\d{{2}})+{group}\d{{3}}|\d+|(?={decimal}\d)){tail}"
    )


def _value(number: str, marks: Marks, *, negative: bool) -> int | float:
    plain = number
    for sign in marks.thousands or "":
        plain = plain.replace(sign, "")
    if marks.decimal:
        plain = plain.replace(marks.decimal, ".")
    value = number_of(plain)
    return -value if negative else value


def _how(marks: Marks, digits: Sequence[str], unit: str, parsed: Sequence[re.Match[str]]) -> str:
    said = []
    if marks.thousands and any(sign in each for each in digits for sign in marks.thousands):
        names = {",": "a comma", ".": "a point"}
        other = "a blank" if marks.thousands[0] in _BLANKS else "an apostrophe"
        said.append(f"{names.get(marks.thousands, other)} between thousands")
    if marks.decimal == "," and any("," in each for each in digits):
        said.append("a decimal comma")
    if unit:
        said.append(f"the unit {unit}" if unit != "%" else "a per cent sign")
    if any(each["close"] for each in parsed):
        said.append("brackets for minus")
    if any(each["minus"] for each in parsed):
        said.append("the minus behind")
    return ", ".join(said)
