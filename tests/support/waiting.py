"""Waiting for what happens elsewhere: in other threads, processes and files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(happened: Callable[[], bool], seconds: float = 300.0) -> None:
    """Returns when it has happened.

    Raises:
        TimeoutError: It has not.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        await asyncio.sleep(0.01)
