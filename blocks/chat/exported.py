"""Exported journals: JSON lines, plain or gzip, that a person can read and a repository can diff."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from blocks.chat.errors import JournalError
from blocks.chat.models import ChatReply
from blocks.chat.records import JournalRecord
from blocks.closing import Closing
from blocks.replaced import replacing

CHUNK = 200
"""Records read or written at a time."""


async def write(path: Path, records: AsyncIterator[JournalRecord]) -> int:
    """Writes records to a file that takes the place of `path` once it is whole; gives their number."""
    count = 0
    with replacing(path) as fresh:
        file = await asyncio.to_thread(_Writer, fresh, path.suffix == ".gz")
        with file:
            lines: list[str] = []
            async for record in records:
                lines.append(record.line() + "\n")
                count += 1
                if len(lines) == CHUNK:
                    await asyncio.to_thread(file.write, "".join(lines))
                    lines.clear()
            await asyncio.to_thread(file.write, "".join(lines))
    return count


class _Writer(Closing):
    """A file of text, gzip or not."""

    def __init__(self, path: Path, zipped: bool) -> None:
        self._file = path.open("wb")
        # Neither name nor time goes into the gzip header: the same records give the same bytes.
        self._zip = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, mtime=0) if zipped else None

    def write(self, text: str) -> None:
        (self._zip or self._file).write(text.encode())

    def close(self) -> None:
        with self._file:
            if self._zip is not None:
                self._zip.close()


def read(path: Path) -> Iterator[JournalRecord]:
    """The records of an exported journal, each checked.

    Raises:
        JournalError: The file cannot be read, or a line is no record, or not the record it was written as.
    """
    for number, _, line in raw_lines(path):
        yield checked(path, number, line)


def raw_lines(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """Line number, key and text of each line that is not blank.

    Raises:
        JournalError: The file cannot be read, or a line is no JSON object with a key.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, gzip.BadGzipFile) as error:
        raise JournalError(f"The recorded journal {path} cannot be read: {error}.", "Check the path.") from error
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            yield number, _key(path, number, line), line


def _key(path: Path, number: int, line: bytes) -> str:
    try:
        key = json.loads(line)["key"]
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path, number) from error
    return str(key)


def checked(path: Path, number: int, line: bytes) -> JournalRecord:
    """The record on a line.

    Raises:
        JournalError: It is none, or its key is not that of its request.
    """
    try:
        record = JournalRecord.from_line(line)
    except ValueError as error:
        raise _damaged(path, number) from error
    if not record.is_whole():
        raise _damaged(path, number)
    return record


def _damaged(path: Path, number: int) -> JournalError:
    return JournalError(
        f"{path}:{number} is no record of a journal, or was changed after it was recorded.",
        "Restore the file, or record it again.",
    )


class ReplayJournal:
    """Recorded journals, read-only, in memory: what answers in offline mode.

    A record answers a call only if its key is the call's, address included: build the client with the base URL the
    recording was made with; nothing is sent there.

    Args:
        paths: Exported journals; where two hold the same call the first answers.

    Raises:
        JournalError: A file cannot be read.
    """

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        self._lines: dict[str, tuple[Path, int, bytes]] = {}
        for path in paths:
            for number, key, line in raw_lines(path):
                self._lines.setdefault(key, (path, number, line))

    def __len__(self) -> int:
        return len(self._lines)

    async def find(self, key: str) -> ChatReply | None:
        """The recorded reply to a call, or None.

        Raises:
            JournalError: Its record is damaged.
        """
        where = self._lines.get(key)
        return None if where is None else checked(*where).reply(replayed=True)

    def records(self) -> Iterator[JournalRecord]:
        """All records, each checked.

        Raises:
            JournalError: One is damaged.
        """
        for path, number, line in self._lines.values():
            yield checked(path, number, line)
