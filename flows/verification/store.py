"""The episode store: one append-only JSON Lines file per dataset, one writer, every record durable before it counts.

A record is one line, written at once and fsynced. A torn last line, left by a kill or a full disk, is ignored by
readers and cut off by the next writer. Where a key has several records, the last one holds.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from blocks.appended import AppendedFile
from blocks.closing import Closing
from blocks.errors import TrigpointError, UserError
from flows.verification.records import Episode


class StoreBusy(UserError):
    """Another run is writing this dataset's episodes."""


class StoreError(TrigpointError):
    """The file cannot be read or written."""


class Entry(NamedTuple):
    """What the index knows of an episode without reading it whole."""

    key: str
    question_id: str
    question_key: str
    dataset_key: str
    verdict: str
    offset: int
    length: int

    @property
    def final(self) -> bool:
        """Whether the verdict stands, see `Episode.final`."""
        return self.verdict != "budget"


class Index(NamedTuple):
    """The records of a file."""

    entries: dict[str, Entry]
    """The last record of each key, in the order in which keys first came."""
    problems: tuple[str, ...]
    """One sentence for each damaged line."""
    end: int
    """Bytes up to which the file is made of whole lines."""
    torn: bytes
    """What follows them: empty, or the start of a record that was never finished."""


def read_index(path: Path) -> Index:
    """Read which episodes a file holds. A missing file holds none; a damaged line is told, never raised.

    Raises:
        StoreError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _scan(path, file)
    except FileNotFoundError:
        return Index({}, (), 0, b"")
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error


def read_episodes(path: Path) -> Iterator[Episode]:
    """The episodes of a file, the last record of each key.

    Raises:
        StoreError: The file cannot be read.
        ValueError: A record is of another schema version.
    """
    for entry in read_index(path).entries.values():
        yield _load(path, entry)


class EpisodeStore(Closing):
    """The writer of one file; use as a context manager.

    Args:
        path: The file, `episodes/<slug>.jsonl`; made with its folder when missing.

    Raises:
        StoreBusy: Another writer has it open.
        StoreError: It cannot be opened or mended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = threading.Lock()
        try:
            self._file = AppendedFile(path)
        except OSError as error:
            raise StoreError(f"{path} cannot be opened: {error.strerror}.", "Check the folder.") from error
        try:
            self._lock()
            self._index = self._mend()
        except BaseException:
            self._file.close()
            raise

    @property
    def entries(self) -> dict[str, Entry]:
        """The last record of each key."""
        return dict(self._index.entries)

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each damaged line found when the file was opened."""
        return self._index.problems

    def finished(self, key: str) -> bool:
        """Whether the file holds an episode under this key whose verdict stands."""
        entry = self._index.entries.get(key)
        return entry is not None and entry.final

    def get(self, key: str) -> Episode | None:
        """The last record under a key.

        Raises:
            ValueError: It is of another schema version.
        """
        entry = self._index.entries.get(key)
        return None if entry is None else _load(self.path, entry)

    def append(self, episode: Episode) -> Entry:
        """Add an episode; when this returns it is on disk.

        Blocks for the fsync: call it through a thread where an event loop runs. Threads may call it side by side.

        Raises:
            StoreError: It could not be written; the file is as it was.
        """
        line = episode.to_line()
        with self._writing:
            return self._append(episode, line)

    def _append(self, episode: Episode, line: bytes) -> Entry:
        if self._file.closed:
            raise StoreError(f"{self.path} is closed.")
        try:
            offset = self._file.append(line)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}.", "Make room on the disk.") from error
        entry = Entry(
            episode.episode_id,
            episode.question.id,
            episode.question_key,
            episode.dataset.key,
            episode.verdict.verdict,
            offset,
            len(line),
        )
        self._index.entries[entry.key] = entry
        return entry

    def close(self) -> None:
        """Let the file go, after a record that is being written; may be called again."""
        with self._writing:
            self._file.close()

    def _lock(self) -> None:
        try:
            self._file.lock()
        except BlockingIOError as error:
            raise StoreBusy(
                f"Another run is writing {self.path}.", "Wait for it to end, or give this run another TRIGPOINT_HOME."
            ) from error
        except OSError as error:
            raise StoreError(f"{self.path} cannot be locked: {error.strerror}.", "Put it on a local disk.") from error

    def _mend(self) -> Index:
        try:
            with self._file.reader() as file:
                index = _scan(self.path, file)
            if index.end > self._file.size:
                # The last record is whole, only its line feed is missing.
                self._file.append(b"\n")
            self._file.cut(index.end)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be mended: {error.strerror}.", "Check the disk.") from error
        return index


def _scan(path: Path, file: Any) -> Index:
    entries: dict[str, Entry] = {}
    problems: list[str] = []
    offset = 0
    torn = b""
    for number, line in enumerate(file, start=1):
        whole = line.endswith(b"\n")
        entry = _entry(line, offset)
        if entry is not None:
            entries[entry.key] = entry
        elif not whole:
            torn = line
            break
        elif line.strip():
            problems.append(f"{path}:{number}: this line is no episode; it is left as it is.")
        # A whole record without its line feed counts as if it had one, which the next writer adds.
        offset += len(line) + (0 if whole else 1)
    return Index(entries, tuple(problems), offset, torn)


def _entry(line: bytes, offset: int) -> Entry | None:
    try:
        data = json.loads(line)
        return Entry(
            key=_text(data["episode_id"]),
            question_id=_text(data["question"]["id"]),
            question_key=_text(data["question_key"]),
            dataset_key=_text(data["dataset"]["key"]),
            verdict=_text(data["verdict"]["verdict"]),
            offset=offset,
            length=len(line),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _load(path: Path, entry: Entry) -> Episode:
    with path.open("rb") as file:
        file.seek(entry.offset)
        return Episode.from_line(file.read(entry.length))
