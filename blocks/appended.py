"""A file that only grows, by one writer at a time: what was appended is on disk, what could not be is not there."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from blocks.closing import Closing


class AppendedFile(Closing):
    """The writer's hold on a file; made with its folder where it is missing.

    Nothing here translates errors: what a locked or a full file means is the caller's to say.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._torn = False

    def lock(self) -> None:
        """Keep other writers out.

        Raises:
            BlockingIOError: There is one.
            OSError: The file system knows no locks.
        """
        # The kernel lets the lock go with the process, so a killed writer never leaves one behind.
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @property
    def closed(self) -> bool:
        """Whether it takes nothing any more."""
        return self._fd < 0 or self._torn

    @property
    def size(self) -> int:
        """In bytes."""
        return os.fstat(self._fd).st_size

    def append(self, data: bytes) -> int:
        """Add bytes and return where they begin, once they are on disk.

        Raises:
            OSError: They could not all be written; the file is as it was. Where even that cannot be had it takes
                nothing any more, since what came behind a torn record would be lost with it.
        """
        if self.closed:
            raise OSError(errno.EIO, "its end is torn" if self._torn else "it is closed")
        start = self.size
        try:
            _write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError:
            self._cut_back(start)
            raise
        return start

    def cut(self, end: int) -> None:
        """Drop what is behind the first `end` bytes, and make the file's name durable too."""
        if end < self.size:
            os.ftruncate(self._fd, end)
        os.fsync(self._fd)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def reader(self) -> BinaryIO:
        """The file from its beginning; close it before anything is read elsewhere."""
        file = os.fdopen(os.dup(self._fd), "rb")
        file.seek(0)
        return file

    def line_at(self, start: int) -> bytes:
        """The line that begins there, without its line feed."""
        parts: list[bytes] = []
        while chunk := os.pread(self._fd, 2**16, start):
            cut = chunk.find(b"\n")
            if cut >= 0:
                return b"".join([*parts, chunk[:cut]])
            parts.append(chunk)
            start += len(chunk)
        return b"".join(parts)

    def close(self) -> None:
        """Let the file go; may be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _cut_back(self, end: int) -> None:
        try:
            os.ftruncate(self._fd, end)
        except OSError:
            self._torn = True
            # The next writer mends it.
            fcntl.flock(self._fd, fcntl.LOCK_UN)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
