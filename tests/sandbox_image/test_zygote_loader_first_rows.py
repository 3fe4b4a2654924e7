"""A first row that only looks like further names is a row: no value of the file is lost without a word."""

from __future__ import annotations

import io
import random

import pandas as pd
import pytest

from sandbox_image.zygote.reading.loader import Facts, load
from sandbox_image.zygote.reading.rules import Rules

FIRST = [
    ("DNF", "DNF"), ("DNF", "DNS"), ("<0.5", "<0.1"), ("1.2M", "45K"), ("~180", "ca. 75"), ("0-4", "1-3"),
    ("postponed", "postponed"), ("1900*", "7.0 (p)"), ("98.2*", "1 (tie)"), (">100", "≤ 3"), ("late", "late"),
]  # fmt: skip


def table(first: tuple[str, str]) -> str:
    chance = random.Random(5)
    rows = [first, *((str(chance.randrange(900)), f"{chance.uniform(1, 90):.2f}") for _ in range(40))]
    return "pos,time_s\n" + "".join(",".join(row) + "\n" for row in rows)


def read(text: str) -> tuple[pd.DataFrame, Facts]:
    return load(io.BytesIO(text.encode()), rules=Rules.parse({}))


@pytest.mark.parametrize("first", FIRST)
def test_it_is_kept(first: tuple[str, str]) -> None:
    frame, facts = read(table(first))
    assert len(frame) == 41
    assert tuple(map(str, frame.iloc[0])) == first
    assert not any("names" in note for note in facts.warnings)


@pytest.mark.parametrize("second", [("Place in the race", "Time in seconds"), ("rank", "duration")])
def test_what_says_something_of_each_column_is_still_taken_for_that(second: tuple[str, str]) -> None:
    frame, facts = read(table(second))
    assert len(frame) == 40
    assert any("a second line of names" in note for note in facts.warnings)
