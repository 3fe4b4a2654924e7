"""Text folding: the form in which two spellings of the same text are equal."""

from __future__ import annotations

import re
import unicodedata

_WHOLE = re.compile(r"(-?\d+)\.0")
_DROPPED = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4\uff07", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\uff02", '"'),
    }
)
_MARKS = {"<super>": "^", "<sub>": "_", "<fraction>": " "}
_MINUS = "\u2212"


def fold(text: str, *, case_sensitive: bool = False) -> str:
    """The canonical spelling of a text.

    Compatibility forms, white space, dashes and quotes are unified, and case unless `case_sensitive`. Nothing is taken
    away that carries meaning: punctuation stays, and a raised or lowered digit stays apart from a plain one.
    """
    marked = text if text.isascii() else "".join(map(_mark, text.translate(_DROPPED)))
    folded = unicodedata.normalize("NFKC", marked.translate(_QUOTES))
    folded = "".join(map(_dash, folded)).translate(_QUOTES)
    if not case_sensitive:
        # Case folding can undo the normal form, and the normal form can bring capitals back.
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", folded.casefold()).casefold())
    return " ".join(folded.split())


def fold_label(text: str, *, case_sensitive: bool = False) -> str:
    """A text as the label of something: as `fold`, and 1.0 is 1, as pandas prints a whole number of a column with gaps.

    No other numbers are unified: 1.00, 007 and 12.50 may be versions, house numbers and codes.
    """
    folded = fold(text, case_sensitive=case_sensitive)
    whole = _WHOLE.fullmatch(folded)
    return whole[1] if whole else folded


def _mark(char: str) -> str:
    # The compatibility form alone would make "10²" and "102" the same text, and "1½" and "11/2".
    tag = unicodedata.decomposition(char).partition(" ")[0]
    mark = _MARKS.get(tag, "") if unicodedata.category(char) == "No" else ""
    return mark + char


def _dash(char: str) -> str:
    if char.isascii():
        return char
    return "-" if char == _MINUS or unicodedata.category(char) == "Pd" else char
