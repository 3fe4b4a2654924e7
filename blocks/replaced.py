"""Files that take their place whole: a reader finds the old one or the new one, whatever happens in between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

UNFINISHED = ".part"
"""How the name of a file ends that is not whole yet; upkeep clears away what a killed process left of them."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A fresh name beside `path`, for the body to write a file to, which then replaces `path`, on disk.

    Its folder is made where it is missing. Where the body fails, `path` is as it was and the fresh file is gone.

    Raises:
        OSError: The file cannot be written to disk or moved.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{uuid4().hex}{UNFINISHED}")
    try:
        yield fresh
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
