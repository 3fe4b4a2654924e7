"""Counts as they stand in a sentence."""

from __future__ import annotations


def several(count: int, noun: str) -> str:
    """A count with its noun: `1 row`, `2,000 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def times(count: int) -> str:
    """How often something happened: `once`, `2 times`."""
    return "once" if count == 1 else f"{count:,} times"


def were(count: int) -> str:
    """What a count is followed by: `was`, `were`."""
    return "was" if count == 1 else "were"


def are(count: int) -> str:
    """What a count is followed by: `is`, `are`."""
    return "is" if count == 1 else "are"
