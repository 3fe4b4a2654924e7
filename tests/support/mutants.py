"""What `make mutants` needs of the tests: it runs pytest in thousands of forks of one process."""

from __future__ import annotations

import functools
import gc
import json
import os
import sys
from pathlib import Path

import pytest

UNDER_WAY = "MUTANT_UNDER_TEST" in os.environ
"""Whether mutmut runs the tests."""
_STATS = Path("mutmut-stats.json")
"""What mutmut has found out about the tests, in the folder it runs them in."""


def begin_afresh() -> None:
    """Forgets what an earlier run in this process has cached, and looks for no garbage among what forks share."""
    for name in [name for name in sys.modules if name.startswith(("blocks.", "flows."))]:
        for value in vars(sys.modules[name]).values():
            if isinstance(value, functools._lru_cache_wrapper):
                value.cache_clear()
    gc.freeze()


def quickest_first(items: list[pytest.Item]) -> None:
    """Most mutants are noticed by most of their tests, so that the first is the one that counts."""
    if _STATS.exists():
        seconds = _durations()
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))


@functools.cache
def _durations() -> dict[str, float]:
    found: dict[str, float] = json.loads(_STATS.read_text(encoding="utf-8")).get("duration_by_test", {})
    return found
