"""Standard output and error of a cell: lines go out at once, a flood goes out in pieces."""

from __future__ import annotations

import time
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Final

PROMPT_LINES: Final = 1_000
"""So many lines of a cell are written one by one; what a kill would lose of them is nothing."""
PAUSE_S: Final = 0.02
"""Past them, a line is written at once only when none was for this long."""

_monotonic = time.monotonic


class LineWriter(BufferedWriter):
    """Buffers more the more is printed. `settle` writes everything."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(FileIO(descriptor, "wb", closefd=False))
        self._lines = 0
        self._written_at = 0.0

    def flush(self) -> None:
        """Called for every line."""
        self._lines += 1
        if self._lines > PROMPT_LINES:
            now = _monotonic()
            if now - self._written_at < PAUSE_S:
                return
            self._written_at = now
        super().flush()

    def settle(self) -> None:
        """Write what is held back."""
        super().flush()


class CellStream(TextIOWrapper):
    """What `sys.stdout` and `sys.stderr` are in a cell. Closing it leaves the descriptor open."""

    def __init__(self, descriptor: int) -> None:
        self._lines_out = LineWriter(descriptor)
        super().__init__(
            self._lines_out, encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True
        )

    def settle(self) -> None:
        """Write everything, also what a flood holds back."""
        self.flush()
        self._lines_out.settle()
