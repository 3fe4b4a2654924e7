"""Turns columns that came as text into what they are: numbers, dates, or text that a number would spoil."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sandbox_image.zygote.reading.cells import LOOSE, NUMBER, PLAIN, WORDS, is_word_for_missing, kind
from sandbox_image.zygote.reading.moments import Moments, Unproven, form_of_months, may_be_iso, read_moments
from sandbox_image.zygote.reading.naming import short, times
from sandbox_image.zygote.reading.numerals import Doubt, Marks, Reading, number_of, read_numbers, unit_of
from sandbox_image.zygote.reading.remarks import Remarks, missing_argument

if TYPE_CHECKING:
    import pandas as pd

EXACT: Final = 2**53
LARGEST: Final = 2**63 - 1
_SAMPLE: Final = 200
_WHOLE: Final = re.compile(r"^[+-]?\d+$")
_LEADING_ZERO: Final = re.compile(r"^\+?0\d+(\.\d+)?$")
_PHONE: Final = re.compile(r"^\+\d{8,}$")
_EXPONENT: Final = re.compile(r"^\d+[eE]\d+$")
_EXPONENT_OR_WHOLE: Final = re.compile(r"^\d+(?:[eE]\d+)?$")
_VERSION: Final = re.compile(r"^\d{1,4}\.\d{1,3}$")
_VERSION_NAME: Final = re.compile(
    r"version|release|section|chapter|clause|article|paragraph|\bcode\b|_code$|^id$|_id$|firmware|kernel|revision"
    r"|\b(?:os|python|android|ios|build|node|java|php|api|schema|rev|patch|driver|browser)\b",
    re.I,
)
_ISO: Final = re.compile(r"^\d{4}-\d{1,2}(?:-\d{1,2})?(?:[ T]\d{1,2}:\d{2}|$)")
_PART_OF_DATE: Final = re.compile(
    r"^\d{1,2}:\d{2}|^[A-Za-z]{3,9}[-\s]\d{2,4}$|^\d{4}[-/]\d{1,2}$|^\d{1,3}(?:\.\d{1,3}){3}$"
)
_SINGLE_WORDS: Final = frozenset(WORDS)
_MOST_ODD: Final = 20_000
_MOST_WORDS: Final = 0.2
_AS_NUMBER: Final = "--types NAME=number reads numbers"


class Values:
    """A column of texts by its distinct values.

    Args:
        name: Of the column.
        column: The texts; missing ones are missing.
    """

    def __init__(self, name: str, column: pd.Series[Any]) -> None:
        import pandas as pd

        self.name = name
        self.column = column
        codes, found = pd.factorize(column)
        self.codes = codes
        self.texts: list[str] = [str(each) for each in found]

    def count(self, text: str) -> int:
        """How often a text occurs."""
        return int((self.codes == self.texts.index(text)).sum())

    def mapped(self, values: Mapping[str, Any], dtype: str | None = None) -> pd.Series[Any]:
        """The column with a value for each text; missing where there is none."""
        import pandas as pd

        known = [values.get(text) for text in self.texts]
        if dtype == "datetime":
            made: Any = pd.Series(pd.to_datetime(pd.Series(known, dtype="object")))
        elif dtype is None:
            made = pd.Series([float("nan") if each is None else each for each in known], dtype="float64")
        else:
            made = pd.Series(known, dtype=dtype)
        result: pd.Series[Any] = made.reindex(self.codes).reset_index(drop=True)
        return result


class Columns:
    """What becomes of a table's columns of text.

    Args:
        known: Marks in numbers that the user gave.
        remarks: Where it is said what was done.
        commas_in_doubt: Whether a comma may be a decimal mark as well as one between thousands.
    """

    def __init__(self, known: Marks, remarks: Remarks, *, commas_in_doubt: bool = False) -> None:
        self.known = known
        self.hint = Marks(commas_in_doubt=commas_in_doubt)
        self.orders: dict[str, str] = {}
        self.remarks = remarks
        self._read: set[str] = set()
        self.points_are_thousands = known.decimal == "," or known.thousands == "."

    def was_read(self, name: str) -> bool:
        """Whether a column's numbers were read from texts here."""
        return name in self._read

    def convert(self, name: str, column: pd.Series[Any], *, last: bool = False) -> pd.Series[Any] | None:
        """The column as numbers or dates, or as it is; None where other columns may tell how to read it.

        Args:
            name: Of the column.
            column: Its texts.
            last: Whether nothing more will be known of other columns.
        """
        head = [str(each).strip() for each in column.dropna().head(_SAMPLE)]
        told = [each for each in head if each and not is_word_for_missing(each)]
        if _are_words(told) or (head and not told and self._told_later(column)):
            return self._words(name, column)
        values = Values(name, column)
        texts = [each for each in values.texts if each.strip() and not is_word_for_missing(each.strip())]
        if not texts:
            usual = all(not each.strip() or each.strip() in _SINGLE_WORDS for each in values.texts)
            return values.mapped({}) if usual and values.texts else self._words(name, column)
        made: pd.Series[Any] | Doubt | None = self._identifiers(values, texts)
        if made is None:
            made = self._numbers(values, texts, last=last)
        if made is None:
            made = self._dates(values, texts, last=last)
        if made is None:
            made = self._few_words(values, texts)
        return None if isinstance(made, Doubt) else made

    @staticmethod
    def _told_later(column: pd.Series[Any]) -> bool:
        """Whether words follow a beginning of nothing but words for missing values."""
        texts = [str(each).strip() for each in column.dropna().unique()[:_SAMPLE]]
        return _are_words([each for each in texts if each and not is_word_for_missing(each)])

    def _words(self, name: str, column: pd.Series[Any]) -> pd.Series[Any]:
        """A column of words: NA, None and the like are words too."""
        found = column[column.isin(_SINGLE_WORDS)]
        if len(found):
            counts = found.value_counts()
            for word in sorted(map(str, counts.index))[:3]:
                self.remarks.say(
                    name,
                    f"holds {word!r} among words, {times(int(counts[word]))}; it was kept as a value",
                    f"--missing {missing_argument(word)} reads it as missing",
                )
        return column

    def _identifiers(self, values: Values, texts: Sequence[str]) -> pd.Series[Any] | None:
        """Text that looks like numbers and would lose something as such stays; plain numbers are converted."""
        stripped = [each.strip() for each in texts]
        if not all(PLAIN.match(each) for each in stripped):
            return None
        months = form_of_months(values.name, stripped)
        if months:
            self._say_missing(values)
            what = f"holds what looks like months written as {months}, such as {stripped[0]!r}, and so stayed text"
            self.remarks.say(values.name, what, _AS_NUMBER)
            return self._text(values)
        if self.points_are_thousands and any("." in each for each in stripped):
            return None
        self._say_missing(values)
        negative = any(each.startswith("-") for each in stripped)
        name, remarks = values.name, self.remarks
        if not negative and any(_LEADING_ZERO.match(each) for each in stripped):
            remarks.say(name, "kept leading zeros and so stayed text", _AS_NUMBER)
            return self._text(values)
        if any(_PHONE.match(each) for each in stripped):
            remarks.say(name, "kept the plus sign before long numbers and so stayed text", _AS_NUMBER)
            return self._text(values)
        if any(_EXPONENT.match(each) for each in stripped) and all(_EXPONENT_OR_WHOLE.match(each) for each in stripped):
            remarks.say(name, "holds values like 7E1, which may be identifiers, and so stayed text", _AS_NUMBER)
            return self._text(values)
        if _are_versions(name, stripped):
            remarks.say(
                name, "holds values like 1.1 beside 1.10, which may be versions, and so stayed text", _AS_NUMBER
            )
            return self._text(values)
        if all(_WHOLE.match(each) for each in stripped) and any(abs(number_of(each)) > LARGEST for each in stripped):
            remarks.say(name, "holds whole numbers of more digits than a number keeps and so stayed text", _AS_NUMBER)
            return self._text(values)
        return plain_numbers(values, texts)

    def _text(self, values: Values) -> pd.Series[Any]:
        """As text; words for missing values are missing, as they are among numbers."""
        column = values.column
        gone = [each for each in values.texts if not each.strip() or is_word_for_missing(each.strip())]
        return column.mask(column.isin(gone)) if gone else column

    def _numbers(self, values: Values, texts: Sequence[str], *, last: bool) -> pd.Series[Any] | Doubt | None:
        reading = read_numbers(texts, self.known, self.hint)
        if isinstance(reading, Doubt):
            if last:
                self.remarks.say(values.name, f"stayed text, since {reading.why}")
                return values.column
            return reading
        if reading is None:
            return None
        self.learn(reading)
        self._read.add(values.name)
        self._say_missing(values)
        self._say_reading(values.name, reading)
        return numbers_of(values, reading.values)

    def _say_reading(self, name: str, reading: Reading) -> None:
        if reading.how:
            self.remarks.say(
                name, f"was read as numbers written with {reading.how}", "--types NAME=text keeps the text"
            )
        if reading.unit:
            self.remarks.keep(name, f"unit: {reading.unit}")

    def learn(self, reading: Reading) -> None:
        """Remember a column's marks for those that are in doubt."""
        used = reading.marks
        self.hint = replace(
            self.hint, decimal=self.hint.decimal or used.decimal, thousands=self.hint.thousands or used.thousands
        )

    def _dates(self, values: Values, texts: Sequence[str], *, last: bool) -> pd.Series[Any] | Doubt | None:
        found = read_moments(texts)
        if isinstance(found, Unproven) and found.told:
            order = self.orders.get(found.separator)
            proven = read_moments(texts, order=order) if order else None
            if isinstance(proven, Moments):
                found = proven
        if found is None:
            return self._iso_dates(values, texts)
        if isinstance(found, Unproven):
            if not last:
                return Doubt("")
            remedy = "--types NAME=dmy or NAME=mdy tells the order" if found.told else ""
            if found.wrong:
                remedy = f"--missing {missing_argument(found.wrong)} reads it as missing"
            self.remarks.say(values.name, f"holds dates but stayed text, since {found.why}", remedy)
            return values.column
        if found.order in ("dmy", "mdy"):
            separator = next(sign for sign in found.form if not sign.isalpha())
            self.orders.setdefault(separator, found.order)
        self._say_missing(values)
        self.remarks.say(values.name, f"was read as dates written as {found.form}", "--types NAME=text keeps the text")
        self.remarks.keep(values.name, f"dates, in the file written as {found.form}")
        return values.mapped(found.values, "datetime")

    def _iso_dates(self, values: Values, texts: Sequence[str]) -> pd.Series[Any] | None:
        """ISO dates stay text; words for missing values among them are missing."""
        if not all(_ISO.match(each.strip()) for each in texts[:_SAMPLE]):
            return None
        wrong = next((each.strip() for each in texts if not may_be_iso(each.strip())), None)
        if wrong is not None:
            what = f"holds {short(wrong)!r}, which is no date, among dates"
            self.remarks.say(values.name, what, f"--missing {missing_argument(wrong)} reads it as missing")
        if len(texts) == len(values.texts):
            return values.column
        if not all(_ISO.match(each.strip()) for each in texts):
            return None
        self._say_missing(values)
        return self._text(values)

    def _say_missing(self, values: Values) -> None:
        """Words other than the usual ones, read as missing among numbers or dates."""
        for text in values.texts:
            word = text.strip()
            if word and word not in _SINGLE_WORDS and is_word_for_missing(word):
                count = values.count(text)
                self._say_gone(values.name, word, count)

    def _say_gone(self, name: str, word: str, count: int) -> None:
        what = f"holds {short(word)!r} among numbers or dates, {times(count)}; it was read as missing"
        self.remarks.say(name, what, "--types NAME=text keeps it")
        self.remarks.keep(name, f"{short(word)!r} read as missing")

    def _few_words(self, values: Values, texts: Sequence[str]) -> pd.Series[Any]:
        """Numbers or dates with a word or two among them: read as missing when the words repeat and are few."""
        odd = [each for each in texts if not PLAIN.match(each)]
        if len(odd) > _MOST_ODD:
            return self._words(values.name, values.column)
        words = [each for each in odd if kind(each) not in ("number", "date")]
        strange = set(words)
        good = [each for each in texts if each not in strange]
        counts = {each: values.count(each) for each in words[:20]}
        filled = int((values.codes >= 0).sum())
        share = (sum(counts.values()) if len(words) <= 20 else filled) / max(filled, 1)
        if not words and len(good) > 1:
            what = "dates" if kind(good[0]) == "date" else "numbers"
            if not all(_PART_OF_DATE.match(each.strip()) for each in good[:_SAMPLE]):
                said = f"holds what looks like {what}, though not all written alike, and so stayed text"
                if what == "numbers" and self.known != Marks():
                    said = "holds numbers that do not fit the marks given (--decimal, --thousands) and so stayed text"
                self.remarks.say(values.name, said)
            return self._text(values)
        if words and self._several_units(values, texts):
            return self._text(values)
        if not words or share > 0.5 or len(good) < 3:
            return self._words(values.name, values.column)
        missing = (
            len(words) <= 2 and len(good) >= 5 and share <= _MOST_WORDS
            and all(counts[each] > 1 and not re.search(r"\d", each) and each.strip() != values.name for each in words)
        )  # fmt: skip
        if missing:
            made = self._without(values, good)
            if made is not None:
                self._say_missing(values)
                for each in words:
                    self._say_gone(values.name, each, counts[each])
                return made
        shown = words[0]
        self.remarks.say(
            values.name,
            f"holds {short(shown)!r} among numbers or dates and so stayed text",
            f"--missing {missing_argument(shown)} reads it as missing",
        )
        return values.column

    def _several_units(self, values: Values, texts: Sequence[str]) -> bool:
        """Whether all texts are numbers with units, signs or letters that multiply; then it is said."""
        parts = [NUMBER.match(each.strip()) for each in texts]
        found = [each for each in parts if each is not None]
        units = {unit_of(each) for each in found} - {""}
        if len(found) < len(texts) or not units or 2 * len(units) > len(texts):
            return False
        shown = ", ".join(repr(each) for each in sorted(units)[:4]) + (", …" if len(units) > 4 else "")
        self.remarks.say(values.name, f"holds numbers with {shown} and so stayed text")
        return True

    def _without(self, values: Values, texts: Sequence[str]) -> pd.Series[Any] | None:
        if all(PLAIN.match(each.strip()) for each in texts):
            return plain_numbers(values, texts)
        reading = read_numbers(texts, self.known, self.hint)
        if isinstance(reading, Reading):
            self._say_reading(values.name, reading)
            return numbers_of(values, reading.values)
        found = read_moments(texts)
        if isinstance(found, Moments):
            self.remarks.keep(values.name, f"dates, in the file written as {found.form}")
            return values.mapped(found.values, "datetime")
        return None


def plain_numbers(values: Values, texts: Sequence[str]) -> pd.Series[Any]:
    """Texts that programs wrote, as numbers."""
    return numbers_of(values, {each: number_of(each) for each in texts})


def numbers_of(values: Values, numbers: Mapping[str, int | float]) -> pd.Series[Any]:
    """A column with these numbers: whole ones stay exact beyond what a float holds."""
    whole = all(isinstance(each, int) for each in numbers.values())
    gaps = bool((values.codes < 0).any()) or len(numbers) < len(values.texts)
    if whole and max(map(abs, numbers.values()), default=0) <= LARGEST:
        if not gaps:
            return values.mapped(numbers, "int64")
        if max(map(abs, numbers.values()), default=0) > EXACT:
            return values.mapped(numbers, "Int64")
    return values.mapped({text: float(each) for text, each in numbers.items()})


def _are_words(texts: Sequence[str]) -> bool:
    return bool(texts) and sum(_may_convert(each) for each in texts) < 0.5 * len(texts)


def _may_convert(text: str) -> bool:
    return (
        kind(text) in ("number", "date")
        or (len(text) < 40 and re.match(r"^[^A-Za-z]{0,4}\d", text) is not None)
        or LOOSE.match(text) is not None
    )


def _are_versions(name: str, texts: Sequence[str]) -> bool:
    """Whether 1.10 is another value than 1.1: the parts behind the point count up, or the column's name says so."""
    if not all(_VERSION.match(each) for each in texts):
        return False
    parts: dict[str, set[str]] = {}
    for each in texts:
        before, _, after = each.partition(".")
        parts.setdefault(before, set()).add(after)
    numbers = [{int(each) for each in minors if not each.startswith("0")} for minors in parts.values()]
    # From 9 on to 10, as what is counted goes on; fractions are written with one more digit everywhere, or nowhere.
    if any({8, 9, 10} <= counted or {9, 10, 11} <= counted for counted in numbers):
        return True
    minors = set().union(*parts.values())
    if not any(len(each) > 1 and each.endswith("0") for each in minors) or len({len(each) for each in minors}) == 1:
        return False
    return _VERSION_NAME.search(name) is not None
