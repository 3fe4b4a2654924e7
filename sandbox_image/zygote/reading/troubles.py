"""Tells what in a column's values hints at trouble: lost letters, blanks that part equal words, totals, infinity.

Nothing is changed; it is said, so that nobody counts a total twice or takes a broken word for a right one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from sandbox_image.zygote.reading.cells import TOTALS
from sandbox_image.zygote.reading.likeness import INVISIBLE, note_likeness
from sandbox_image.zygote.reading.naming import several, short, times
from sandbox_image.zygote.reading.remarks import Remarks, missing_argument

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MOST_VALUES: Final = 100_000
_LOST: Final = "\ufffd"
_TWICE: Final = re.compile("[ÂÃÄÅÐÑâãï][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
_TOTAL: Final = re.compile(
    r"^(?:(?:grand|sub|overall|sum)[\s-]*)?totals?\s*:?$|^.{1,30}\s(?:sub[\s-]?)?total\s*:?$|^subtotal\b.{0,30}$"
    rf"|^(?:{TOTALS}|zwischensumme|sous-total|小計)$",
    re.I,
)


def note_text(name: str, column: pd.Series[Any], remarks: Remarks, *, beside_numbers: bool) -> None:
    """Say what is odd about a column of texts.

    Args:
        name: Of the column.
        column: The texts.
        remarks: Where it is said.
        beside_numbers: Whether the table has a column of numbers, which rows of totals would add up.
    """
    texts = [each for each in column.dropna().unique()[:_MOST_VALUES] if isinstance(each, str)]
    if any(_LOST in each for each in texts):
        remarks.say(name, f"holds the sign {_LOST}, which stands for letters that were lost before the file was made")
    broken = next(_encoded_twice(texts), None)
    if broken is not None:
        remarks.say(name, f"holds words that were encoded twice, such as {short(broken[0])!r} for {short(broken[1])!r}")
    _note_blanks(name, texts, remarks)
    note_likeness(name, texts, remarks)
    _note_invisible(name, texts, remarks)
    if beside_numbers and len(texts) > 2:
        for each in [each for each in texts if len(each) < 60 and _TOTAL.match(each.strip())][:3]:
            count = int((column == each).sum())
            if count <= 0.34 * len(column):
                remarks.say(
                    name,
                    f"holds {each!r}, {times(count)}: rows of totals count the values of other rows again",
                    "--skip-lines leaves lines out by their numbers",
                )


def note_name(name: str, remarks: Remarks) -> None:
    """Say where letters of a column's name were lost or encoded twice, or are such that nobody sees."""
    hidden = INVISIBLE.search(name)
    if hidden is not None:
        remarks.say(name, f"has a sign that nobody sees (U+{ord(hidden[0]):04X}) in its name")
    if _LOST in name:
        remarks.say(name, f"has {_LOST} in its name, which stands for letters that were lost before the file was made")
    for _, right in _encoded_twice([name]):
        remarks.say(name, f"has a name that was encoded twice, for {short(right)!r}")


def note_infinity(name: str, column: pd.Series[Any], remarks: Remarks) -> None:
    """Say where a column of numbers holds infinity."""
    if str(column.dtype) != "float64":
        return
    values = column.to_numpy()
    for value, shown in ((float("inf"), "inf"), (float("-inf"), "-inf")):
        count = int((values == value).sum())
        if count:
            remarks.say(
                name,
                f"holds infinity ({shown}), {times(count)}; it was kept as a number",
                f"--missing={shown} reads it as missing",
            )


def notes_on_rows(frame: pd.DataFrame, first_line: Callable[[], int]) -> list[str]:
    """What is odd about rows: that they hold nothing, or that the first or last one adds up all others.

    Args:
        frame: The table.
        first_line: The file's line of its first row; 0 where not known.
    """
    found = []
    if frame.shape[1] > 1:
        first = frame[frame.columns[0]].isna().to_numpy()
        empty = int(frame.loc[first].isna().all(axis=1).sum()) if first.any() else 0
        if empty:
            found.append(f"{several(empty, 'row')} without any value {'was' if empty == 1 else 'were'} kept.")
    adding_up = _adding_up(frame, (0, -1))
    if -1 in adding_up:
        found.append("The last row holds the sums of the rows above it; --footer-lines 1 leaves it out.")
    if 0 in adding_up:
        line = first_line()
        remedy = f"; --skip-lines {line} leaves it out" if line else ""
        found.append(f"The first row holds the sums of the rows below it{remedy}.")
    return found


def _adding_up(frame: pd.DataFrame, rows: Sequence[int]) -> list[int]:
    """Those of the rows whose numbers are the sums of all other rows, in more than one way of chance."""
    if len(frame) < 5:
        return []
    # Not by rows: beside a column of whole numbers with gaps, a missing float would be no float.
    numeric = [frame[name] for name in frame.columns if str(frame[name].dtype) in ("int64", "float64")]
    columns = [column.to_numpy() for column in numeric]
    infinite = [values.dtype.kind == "f" and bool((abs(values) == math.inf).any()) for values in columns]
    return [row for row in rows if _adds_up(columns, infinite, row)]


def _adds_up(columns: Sequence[np.ndarray[Any, Any]], infinite: Sequence[bool], row: int) -> bool:
    proofs = 0
    for values, endless in zip(columns, infinite, strict=True):
        value = float(values[row])
        if not abs(value) < math.inf:
            continue
        if endless:
            return False
        others = (values[1:] if row == 0 else values[:-1]).astype("float64", copy=False)
        total = float(others[others == others].sum())
        if not abs(total - value) <= 1e-9 * max(1.0, abs(total)):
            return False
        proofs += total != 0 and int((others != 0).sum()) > 2
    return proofs > 1 or (proofs == 1 and len(columns[0]) > 10)


def _encoded_twice(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Texts whose letters are the bytes of other letters in UTF-8, with what they should be."""
    for text in texts:
        if not _TWICE.search(text):
            continue
        for encoding in ("cp1252", "latin-1"):
            try:
                right = text.encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
            yield text, right
            break


def _note_invisible(name: str, texts: Sequence[str], remarks: Remarks) -> None:
    """Say where values hold signs that nobody sees, which part words and numbers that look the same."""
    found = next((each for each in map(INVISIBLE.search, texts) if each is not None), None)
    if found is not None:
        remarks.say(name, f"holds a sign that nobody sees (U+{ord(found[0]):04X}) in some values, which stay text")


def _note_blanks(name: str, texts: Sequence[str], remarks: Remarks) -> None:
    """Say where values are nothing but blanks."""
    empty = [each for each in texts if not each.strip()]
    if empty:
        remarks.say(
            name,
            "holds values of nothing but blanks; they were kept as text",
            f"--missing {missing_argument(empty[0])} reads such a value as missing" if len(empty) == 1 else "",
        )
