"""Scratch folders: made for one session, measured while it runs, removed whatever a session has put into them."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_ENTRIES: Final = 10_000
"""Files and folders a session may have in its scratch folder."""
MAX_DEPTH: Final = 64

_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK: Final = 512
_MAX_PATH: Final = 3_800
"""Bytes of a path. A little longer, and the kernel would refuse to open what lies there."""


class Usage(NamedTuple):
    """What lies in a folder."""

    bytes: int
    entries: int
    too_deep: bool


def measure(path: str, *, stop_at_bytes: int) -> Usage:
    """Add up a folder without following links; stops early once a bound is passed.

    Args:
        path: The folder. May change while it is read; what vanishes counts as nothing.
        stop_at_bytes: More than this need not be counted exactly.
    """
    total = entries = 0
    pending = [(path, 1)]
    while pending:
        folder, depth = pending.pop()
        if depth > MAX_DEPTH or len(os.fsencode(folder)) > _MAX_PATH:
            return Usage(total, entries, too_deep=True)
        for name, info in _entries(folder):
            entries += 1
            total += info.st_blocks * _BLOCK
            if stat.S_ISDIR(info.st_mode):
                pending.append((os.path.join(folder, name), depth + 1))
            if entries > MAX_ENTRIES or total > stop_at_bytes:
                return Usage(total, entries, too_deep=False)
    return Usage(total, entries, too_deep=False)


def _entries(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        descriptor = _open_folder(folder)
    except OSError:
        return
    try:
        with os.scandir(descriptor) as found:
            for entry in found:
                with contextlib.suppress(OSError):
                    yield entry.name, entry.stat(follow_symlinks=False)
    finally:
        os.close(descriptor)


def _open_folder(path: str) -> int:
    # A folder swapped for a link while it is measured must not lead the walk elsewhere.
    try:
        return os.open(path, _OPEN_FOLDER)
    except PermissionError:
        # A session may make folders that nobody may list, and write into them.
        handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        finally:
            os.close(handle)
        return os.open(path, _OPEN_FOLDER)


class Remover:
    """Removes folders a piece at a time, so that a large one never holds up the sessions that go on.

    It descends by descriptor and climbs by `..`, so depth and path length do not matter. The processes that could
    change the folder must have ended.
    """

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._fd = -1
        self._names: list[bytes] = []

    @property
    def busy(self) -> bool:
        """Whether anything is left to remove."""
        return self._fd >= 0 or bool(self._waiting)

    def add(self, path: str) -> None:
        """Put a folder on the list."""
        self._waiting.append(path)

    def work(self, seconds: float) -> None:
        """Remove for about this long."""
        end = time.monotonic() + seconds
        while self.busy and time.monotonic() < end:
            if self._fd < 0:
                self._begin(self._waiting.pop())
            else:
                self._step()

    def finish(self) -> None:
        """Remove everything on the list."""
        while self.busy:
            self.work(1.0)

    def remove_root(self, root: str) -> None:
        """Remove everything on the list, whatever else lies in this folder, and the folder where that is allowed."""
        for name in os.listdir(root):
            path = os.path.join(root, name)
            if os.path.isdir(path) and not os.path.islink(path):
                self.add(path)
            else:
                os.unlink(path)
        self.finish()
        with contextlib.suppress(OSError):
            os.rmdir(root)

    def _begin(self, path: str) -> None:
        parent, name = os.path.split(path)
        try:
            self._fd = os.open(parent, _OPEN_FOLDER)
        except OSError:
            return
        self._names = []
        if not self._descend(os.fsencode(name)):
            self._leave()

    def _descend(self, name: bytes) -> bool:
        try:
            descriptor = os.open(name, _OPEN_FOLDER, dir_fd=self._fd)
        except PermissionError:
            os.chmod(name, 0o700, dir_fd=self._fd)
            descriptor = os.open(name, _OPEN_FOLDER, dir_fd=self._fd)
        except OSError:
            return False
        if os.fstat(descriptor).st_mode & 0o700 != 0o700:
            os.fchmod(descriptor, 0o700)
        os.close(self._fd)
        self._fd = descriptor
        self._names.append(name)
        return True

    def _step(self) -> None:
        """Empty the current folder of files, then go down into one of its folders or up."""
        folder: bytes | None = None
        with os.scandir(self._fd) as found:
            for entry, _ in zip(found, range(256), strict=False):
                if entry.is_dir(follow_symlinks=False):
                    folder = os.fsencode(entry.name)
                    break
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.name, dir_fd=self._fd)
            else:
                if next(found, None) is not None:
                    return
        if folder is None:
            self._climb()
        elif not self._descend(folder):
            os.rmdir(folder, dir_fd=self._fd)

    def _climb(self) -> None:
        parent = os.open("..", _OPEN_FOLDER, dir_fd=self._fd)
        os.close(self._fd)
        self._fd = parent
        os.rmdir(self._names.pop(), dir_fd=parent)
        if not self._names:
            self._leave()

    def _leave(self) -> None:
        os.close(self._fd)
        self._fd = -1
