"""Takes off what spreadsheet programs put around a value to keep it as text: `="0012"` and `'780`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from sandbox_image.zygote.reading.cells import PLAIN, is_word_for_missing
from sandbox_image.zygote.reading.naming import short
from sandbox_image.zygote.reading.remarks import Remarks

if TYPE_CHECKING:
    import pandas as pd

_FORMULA: Final = re.compile(r'^\s*="((?:[^"]|"")*)"\s*$')
_APOSTROPHE: Final = re.compile(r"^\s*'([-+]?\d[\d.,]*)\s*$")
_YEAR: Final = re.compile(r"^\s*'\d\d\s*$")
"""'98 for 1998."""
_SAMPLE: Final = 200


def unwrapped(name: str, column: pd.Series[Any], remarks: Remarks) -> pd.Series[Any]:
    """A column of texts without what is around all its values; where it is around some only, it is told.

    Args:
        name: Of the column.
        column: Its texts.
        remarks: Where it is said.
    """
    for pattern, start, shown in ((_FORMULA, '="', '="…"'), (_APOSTROPHE, "'", "an apostrophe before numbers")):
        if not any(str(each).lstrip().startswith(start) for each in column.dropna().head(_SAMPLE)):
            continue
        begins = column.str.lstrip().str.startswith(start, na=False)
        found = {text: pattern.match(text) for text in map(str, column[begins].unique())}
        values = {text: each[1].replace('""', '"') for text, each in found.items() if each is not None}
        if not values or all(map(_YEAR.match, values)):
            continue
        others = [str(each).strip() for each in column[~column.isin(list(values))].dropna().unique()]
        whole = all(not each or is_word_for_missing(each) or PLAIN.match(each) for each in others)
        if not whole and (pattern is _FORMULA or len(others) < len(values)):
            example = next(iter(values)).strip()
            remarks.say(name, f"holds {short(example)!r} and the like, written with {shown}; it was kept as written")
        if not whole:
            continue
        remarks.say(name, f"was written with {shown}, as spreadsheet programs mark text; that was taken off")
        # An empty text is no value.
        return column.map(lambda text, of=values: of.get(text, text) or None, na_action="ignore").astype(column.dtype)
    return column
