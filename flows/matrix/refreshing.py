"""Tables that keep up with a run: made anew every few seconds, as rarely as is cheap."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from blocks.errors import UserError

PAUSE_S = 2.0
"""Seconds between two writings, at least."""
SHARE = 0.05
"""Of the run's time that writing may take."""


@asynccontextmanager
async def kept_fresh(
    write: Callable[[], object], count: Callable[[], int], warn: Callable[[str], None]
) -> AsyncIterator[None]:
    """While the body runs, write what there is whenever there is more; the end is the caller's.

    Args:
        write: Writes it, in a thread; in a moment when it cannot it is tried again later.
        count: How much there is.
        warn: Given what went wrong, once.
    """
    over = asyncio.Event()
    refreshing = asyncio.create_task(_refresh(over, write, count, warn))
    try:
        yield
    finally:
        over.set()
        await refreshing


async def _refresh(
    over: asyncio.Event, write: Callable[[], object], count: Callable[[], int], warn: Callable[[str], None]
) -> None:
    written, pause, told = 0, PAUSE_S, False
    while not await _set_within(over, pause):
        there = count()
        if there == written:
            continue
        begun = time.monotonic()
        try:
            await asyncio.to_thread(write)
        except UserError as error:
            if not told:
                warn(f"{error} The rows are safe; the table is tried again.")
            told = True
        written = there
        pause = max(PAUSE_S, (time.monotonic() - begun) / SHARE)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
