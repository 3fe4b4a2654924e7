"""Waiting for what happens elsewhere: in other threads, processes and files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SECONDS = 300.0
"""Patience of a test that expects a success; it costs nothing."""


async def until(happened: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Returns when it has happened.

    Raises:
        TimeoutError: It has not.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        await asyncio.sleep(0.01)


def wait_until(happened: Callable[[], bool], seconds: float = SECONDS) -> None:
    """`until` for those who have no event loop, or none that must go on meanwhile."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.01)


def settle(look: Callable[[], list[str]], patience_s: float) -> list[str]:
    """What `look` still finds once it has found nothing, or once `patience_s` seconds have gone by."""
    deadline = time.monotonic() + patience_s
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.25)
    return found
