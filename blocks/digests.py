"""Digests of files: what they hold, whatever they are called."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_state(path: Path, state: os.stat_result) -> str:
    """The same; a run asks several times, and a file is read anew only when its state has changed.

    Args:
        path: The file.
        state: As the system tells it now.

    Raises:
        OSError: It cannot be read.
    """
    return _known(path.absolute(), state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _known(path: Path, *state: int) -> str:
    return file_digest(path)
