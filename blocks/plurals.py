"""Counts as they stand in a sentence."""

from __future__ import annotations

from sandbox_image.zygote.reading.naming import several, times

__all__ = ["are", "several", "times", "were"]


def were(count: int) -> str:
    """What a count is followed by: `was`, `were`."""
    return "was" if count == 1 else "were"


def are(count: int) -> str:
    """What a count is followed by: `is`, `are`."""
    return "is" if count == 1 else "are"
