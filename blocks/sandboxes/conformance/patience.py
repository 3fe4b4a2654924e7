"""Patience for checks of what an interrupt leaves: tight limits kill a session that just lacks a processor."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from blocks.sandboxes.conformance.harness import Arena

GRACE_S = 60.0


@contextlib.asynccontextmanager
async def patient(arena: Arena) -> AsyncIterator[None]:
    """Cells that are run in here get a long time to end after an interrupt."""
    limits = arena.sandbox.limits
    # The grace travels with each cell, so the sandbox need not be another one.
    arena.sandbox.limits = limits.model_copy(update={"grace_s": GRACE_S})
    try:
        yield
    finally:
        arena.sandbox.limits = limits
