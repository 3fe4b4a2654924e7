"""Sample numbers by purpose: equal words asked for two purposes are two calls, each with a reply of its own.

The number of a sample is part of the journal key. A call that chose a question's wording would else be the one that
verifies it: what agrees with itself proves nothing.
"""

from __future__ import annotations

from typing import Literal, get_args

Purpose = Literal["verifying", "exploring", "rewording", "round trip"]
"""What a model is asked for. Verifying comes first: its numbers are those of the traces."""
SPAN = 1_000_000
"""Samples of one purpose."""


def sample_number(purpose: Purpose, index: int = 0) -> int:
    """The sample number of a call.

    Args:
        purpose: What for.
        index: Which of the calls that differ in nothing else, from 0.

    Raises:
        ValueError: There are not that many.
    """
    if not 0 <= index < SPAN:
        raise ValueError(f"sample {index} of {purpose} is none of {SPAN}")
    return get_args(Purpose).index(purpose) * SPAN + index
