"""Counts in sentences: one of a thing is no several."""

from __future__ import annotations

import pytest

from blocks.plurals import are, several, times, were


@pytest.mark.parametrize(("count", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (2000, "2,000 rows")])
def test_a_count_agrees_with_its_noun(count: int, words: str) -> None:
    assert several(count, "row") == words
    assert (were(count), are(count)) == (("was", "is") if count == 1 else ("were", "are"))


def test_how_often() -> None:
    assert [times(count) for count in (1, 2, 1000)] == ["once", "2 times", "1,000 times"]
