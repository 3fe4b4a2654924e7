"""Sample numbers: no two purposes ever share one, and those of traces are what they were."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.verification.samples import SPAN, Purpose, sample_number
from flows.verification.triangulation import MAX_PLANNED
from tests.support.properties import PATIENT

purposes = st.sampled_from(get_args(Purpose))


@PATIENT
@given(purposes, st.integers(0, SPAN - 1), purposes, st.integers(0, SPAN - 1))
def test_equal_numbers_are_of_one_purpose_and_index(a: Purpose, i: int, b: Purpose, j: int) -> None:
    assert (sample_number(a, i) == sample_number(b, j)) == ((a, i) == (b, j))


def test_a_trace_s_number_is_its_own() -> None:
    """Recorded replies are found by it."""
    assert [sample_number("verifying", index) for index in range(MAX_PLANNED + 2)] == list(range(MAX_PLANNED + 2))


@pytest.mark.parametrize("index", [-1, SPAN])
def test_a_number_beyond_its_range_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="exploring"):
        sample_number("exploring", index)
