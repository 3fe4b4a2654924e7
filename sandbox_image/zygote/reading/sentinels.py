"""Numbers that stand for a missing value, -999 among lengths: they are told, never left out unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sandbox_image.zygote.reading.naming import times
from sandbox_image.zygote.reading.remarks import Remarks

if TYPE_CHECKING:
    import pandas as pd

_NEGATIVE: Final = frozenset({-9.0, -99.0, -999.0, -9999.0, -99999.0, -999999.0, -99.9, -999.9, -999.99, -9999.9,
                              -9999.99, -888.0, -8888.0, -777.0, -32768.0, -2147483648.0})  # fmt: skip
_POSITIVE: Final = frozenset(
    {999.0, 9999.0, 99999.0, 999999.0, 9999999.0, 999.9, 9999.9, 99.99, 999.99, 9999.99, 8888.0}
)


def note_sentinels(name: str, column: pd.Series[Any], remarks: Remarks) -> None:
    """Say where a column's least or greatest number looks like a sign for a missing value.

    Args:
        name: Of the column.
        column: Numbers.
        remarks: Where it is said.
    """
    if not len(column):
        return
    low, high = column.min(), column.max()
    for value, known in ((low, _NEGATIVE), (high, _POSITIVE)):
        if value != value or float(value) not in known:
            continue
        rest = column[column != value]
        count = int((column == value).sum())
        if not int(rest.count()) or not _apart(float(value), float(rest.min()), float(rest.max()), count):
            continue
        shown = f"{float(value):g}" if float(value) != int(value) else str(int(value))
        remarks.say(
            name,
            f"holds {shown} {times(count)}, far from all other values; it was kept as a number",
            f"--missing {shown} reads it as missing",
        )


def _apart(value: float, least: float, greatest: float, count: int) -> bool:
    if value < 0:
        return least >= 0 or (value < -50 and least > value / 3)
    return greatest > 0 and value > 3 * greatest and (count > 1 or value > 10 * greatest)
