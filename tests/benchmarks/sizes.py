"""How large benchmarks are: as docs/benchmarks.md has them, or, in `make test`, large enough that every line runs."""

from __future__ import annotations

import os

TOY = os.environ.get("TRIGPOINT_TEST_TOY", "") not in {"", "0"}
"""`make test` sets it: a benchmark whose code is broken shows there, and not months later in `make bench`."""


def size(full: int, toy: int) -> int:
    """The number a benchmark takes: the one that is measured, or the smallest that will do."""
    return toy if TOY else full
