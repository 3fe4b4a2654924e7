"""Rows at the end that say something of the rows above: left out where that is sure, told where it may be a name."""

from __future__ import annotations

import io

import pytest

from sandbox_image.zygote.reading.loader import load
from sandbox_image.zygote.reading.rules import Rules


def read(*last: str) -> tuple[int, list[str]]:
    rows = "".join(f"Place {place},{place * 7 % 89}\n" for place in range(40))
    frame, facts = load(
        io.BytesIO(f"place,sold\n{rows}{''.join(line + chr(10) for line in last)}".encode()), rules=Rules()
    )
    return len(frame), facts.warnings


@pytest.mark.parametrize(
    "last",
    [
        ("Average,43.5", "Max,88"), ("Mean,43.5", "SD,25.1"), ("Min,0", "Max,88"), ("Ø,43.5",), ("Std,25.1",),
        ("Std. dev.,25.1",), ("95th percentile,85",), ("N,40", "Mean,43.5", "Min.,0", "Max.,88"),
    ],
)  # fmt: skip
def test_rows_that_measure_the_others_are_left_out_and_told(last: tuple[str, ...]) -> None:
    rows, notes = read(*last)
    assert rows == 40
    assert any("of totals at the end left out" in note for note in notes)


@pytest.mark.parametrize("last", ["Max,31", "MIN,31", "N,40", "SD,5", "Mode,31", "Range,88", "p95,85"])
def test_one_row_whose_label_may_be_a_name_is_kept_and_told_with_the_option(last: str) -> None:
    rows, notes = read(last)
    assert rows == 41
    assert any(repr(last) in note and "--footer-lines 1 leaves it out" in note for note in notes)


def test_a_name_that_other_rows_have_too_is_a_row_like_them() -> None:
    frame, facts = load(
        io.BytesIO(("who,won\n" + "".join(f"{name},{at}\n" for at in range(9) for name in ("Ann", "Max"))).encode()),
        rules=Rules(),
    )
    assert len(frame) == 18
    assert facts.warnings == []
