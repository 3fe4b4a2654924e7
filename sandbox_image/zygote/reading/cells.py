"""What a cell looks like by itself: a number, a date, a word for a missing value, or a word."""

from __future__ import annotations

import re
from typing import Final, Literal

Kind = Literal["empty", "missing", "number", "date", "boolean", "word"]

MARKS: Final = ("", "#N/A", "#N/A N/A", "#NA", "<NA>", "#NULL!", "#VALUE!", "#DIV/0!", "#REF!", "#NAME?", "#NUM!",
                "\\N", "-1.#IND", "1.#IND", "-1.#QNAN", "1.#QNAN", "-nan", "-NaN", "?")  # fmt: skip
"""Missing in every column: no data is written so."""
ERRORS: Final = ("#NULL!", "#VALUE!", "#DIV/0!", "#REF!", "#NAME?", "#NUM!")
"""Those with which a spreadsheet says that a calculation failed; they are told."""
WORDS: Final = ("NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "None", "none", "NONE", "null", "NULL", "Null", "Na",
                "NaT", "N.A.", "n.a.", "N.A", "n.a")  # fmt: skip
"""Missing in a column of numbers, dates or truth values; in a column of words they are words."""
PHRASES: Final = frozenset({
    "not available", "not applicable", "not reported", "not recorded", "not measured", "not known", "no data", "nodata",
    "no value", "unknown", "unk", "missing", "undefined", "unavailable", "suppressed", "withheld", "redacted", "tba",
    "tbd", "nd", "n.d.", "n/d", "nil", "-", "--", "---", "–", "—", ".", "..", "...", "…", "*", "**", "***", "#", "x",
    "(d)", "(na)", "(x)", "(s)", "(z)", "(n)", "(u)", "d", "s", ":", "k.a.", "k. a.", "n.v.", "n. v.", "nv", "s/d",
    "n.r.", "nr", "no disponible", "sin dato", "sin datos", "non disponible", "keine angabe", "нет данных", "н/д",
    "不明", "無し", "無", "no aplica", "n/m", "nm", "n.m.", "/", "trace", "#n/a", "<na>",
})  # fmt: skip
"""As `WORDS`, but noted: tables of offices write these for a value that is not told."""
TOTALS: Final = (
    r"(?:summe|gesamt(?:summe)?|insgesamt|total\sgeneral|totale|totaal|toplam|итого|всего|celkem|razem|ogółem|suma"
    r"|合計|总计|總計|合计|합계)"
)
"""What a row of totals is called in other languages than English, as a pattern."""

_SIGNED: Final = r"[-+−–]?\s?"
_CODES: Final = [
    "USD",
    "EUR",
    "GBP",
    "JPY",
    "CHF",
    "INR",
    "RUB",
    "CNY",
    "AUD",
    "CAD",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "BRL",
    "MXN",
    "TRY",
    "ZAR",
    "KRW",
    "HUF",
    "kr",
    "zł",
    "Kč",
    "Ft",
]
_CURRENCY: Final = rf"(?:US\$|A\$|C\$|R\$|HK\$|[$€£¥₹₽₩₺₴₫฿₪₦]|(?:{'|'.join(_CODES)}|Rs\.?|руб\.?|лв\.?))"
CURRENCY: Final = re.compile(rf"^{_CURRENCY}$")
_DIGITS: Final = r"(?:\d[\d.,'’٬\u0020\u00a0\u202f\u2009]*|[.,]\d+)(?:[eE][+-]?\d+)?"
_SUFFIX: Final = r"(?:%|‰|°[CF]?|[A-Za-zµμΩ][A-Za-zµμ²³/Ωåäöéñ.*-]{0,9})"
NUMBER: Final = re.compile(
    rf"^(?P<open>\()?(?P<sign>{_SIGNED})(?P<before>{_CURRENCY})?\s?(?P<inner>(?<!\()\()?(?P<sign2>{_SIGNED})(?P<digits>{_DIGITS})"
    rf"(?P<after>\s?(?:{_CURRENCY}|{_SUFFIX}))?(?:(?P<close>\))(?P<behind>\s?(?:{_CURRENCY}|%))?)?(?P<minus>-)?$"
)
"""A number as people write it; the groups tell its parts."""
PLAIN: Final = re.compile(r"^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?$|^[-+]?(?:inf|infinity)$", re.I)
LOOSE: Final = re.compile(
    rf"^\(?{_SIGNED}{_CURRENCY}?\s?\(?{_SIGNED}{_DIGITS}\s?(?:{_CURRENCY}|%|‰|°[CF]?)?(?:\)(?:\s?(?:{_CURRENCY}|%))?)?-?$"
)
"""A number, without any unit in letters."""
_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\.?"
DATE: Final = re.compile(
    r"^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{4}[-/]\d{1,2}|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
    rf"|(?:\w{{3,9}},?\s)?\d{{1,2}}[-\s/.]{_MONTH}[-\s/.,]{{1,2}}\d{{2,4}}|(?:\w{{3,9}},?\s)?{_MONTH}[-\s]\d{{1,2}},?[-\s]\d{{4}}"
    rf"|{_MONTH}[-\s]\d{{2,4}})(?:[T,]?\s?\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:[.,]\d+)?)?(?:\s?[AaPp]\.?[Mm]\.?)?(?:\s?(?:Z|UTC|[+-]\d{{2}}:?\d{{2}}))?)?$",
    re.I,
)
_BOOLEAN: Final = frozenset({"true", "false"})
_MARKS: Final = frozenset(MARKS)
_WORDS: Final = frozenset(word.casefold() for word in WORDS)


def kind(cell: str) -> Kind:
    """What a cell is by itself."""
    text = cell.strip()
    if not text:
        return "empty"
    if text in _MARKS or is_word_for_missing(text):
        return "missing"
    if len(text) > 60:
        return "word"
    if LOOSE.match(text) or PLAIN.match(text):
        return "number"
    if DATE.match(text):
        return "date"
    return "boolean" if text.casefold() in _BOOLEAN else "word"


def is_word_for_missing(text: str) -> bool:
    """Whether a text, stripped, is a word or sign that stands for a missing value among numbers."""
    folded = text.casefold()
    return folded in _WORDS or folded in PHRASES
