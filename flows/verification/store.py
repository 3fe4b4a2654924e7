"""The episode store: one append-only JSON Lines file per dataset, one writer, every record durable before it counts.

A record is one line, written at once and fsynced. A torn last line, left by a kill or a full disk, is ignored by
readers and cut off by the next writer. Where a key has several records, the last one holds. One that a newer Trigpoint
wrote is told, left as it is, and keeps its question from being asked: what was decided there is not known here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from blocks.appended import AppendedFile
from blocks.closing import Closing
from blocks.errors import TrigpointError
from blocks.held import Busy
from blocks.newer import known_version, newer_in, newer_version, newer_words
from flows.verification.records import Episode

KNOWN = known_version(Episode)
"""The newest schema version of an episode that is read here."""


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
    newer: dict[str, str]
    """Keys whose last record a newer Trigpoint wrote, each with the sentence that says so."""
    damaged: tuple[str, ...]
    """One sentence for each damaged line."""
    end: int
    """Bytes up to which the file is made of whole lines."""
    torn: bytes
    """What follows them: empty, or the start of a record that was never finished."""

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each line that cannot be used."""
        return (*self.damaged, *self.newer.values())


def read_index(path: Path) -> Index:
    """Read which episodes a file holds. A missing file holds none; a damaged line is told, never raised.

    Raises:
        StoreError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _scan(path, file)
    except FileNotFoundError:
        return Index({}, {}, (), 0, b"")
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error


def read_episodes(path: Path) -> Iterator[Episode]:
    """The episodes of a file, the last record of each key; those of a newer Trigpoint are left out.

    Raises:
        StoreError: The file cannot be read.
        ValueError: A record is none, though its line looks like one.
    """
    for entry in read_index(path).entries.values():
        yield _load(path, entry)


class EpisodeStore(Closing):
    """The writer of one file; use as a context manager.

    Args:
        path: The file, `episodes/<slug>.jsonl`; made with its folder when missing.

    Raises:
        Busy: Another writer has it open.
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
        """One sentence for each line that cannot be used, as far as is known by now."""
        return self._index.problems

    @property
    def newer(self) -> dict[str, str]:
        """Keys whose episode a newer Trigpoint wrote, as far as is known by now, each with the sentence on it."""
        return dict(self._index.newer)

    def finished(self, key: str) -> bool:
        """Whether the file holds an episode under this key whose verdict stands."""
        entry = self._index.entries.get(key)
        return entry is not None and entry.final

    def get(self, key: str) -> Episode | None:
        """The last record under a key; None where there is none that can be read, which is then a problem.

        Raises:
            StoreError: The file cannot be read.
        """
        entry = self._index.entries.get(key)
        if entry is None:
            return None
        try:
            return _load(self.path, entry)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}.", "Check its permissions.") from error
        except ValueError as error:
            self._refuse(entry, error)
            return None

    def _refuse(self, entry: Entry, error: ValueError) -> None:
        """Take an episode that cannot be read for none: it stays in the file, and is told."""
        del self._index.entries[entry.key]
        where = f"{self.path}: the episode of the question {entry.question_id}"
        version = newer_in(error) if isinstance(error, ValidationError) else None
        if version is not None:
            self._index.newer[entry.key] = _left(where, version)
        else:
            told = f"{where} cannot be read ({_reason(error)}); it is left as it is, and made anew."
            self._index = self._index._replace(damaged=(*self._index.damaged, told))

    def append(self, episode: Episode) -> Entry:
        """Add an episode; when this returns it is on disk.

        Blocks for the fsync: call it through a thread where an event loop runs. Threads may call it side by side.

        Raises:
            StoreError: It could not be written; the file is as it was.
        """
        line = episode.to_line()
        with self._writing:
            entry = Entry(
                episode.episode_id,
                episode.question.id,
                episode.question_key,
                episode.dataset.table,
                episode.verdict.verdict,
                self._append(line),
                len(line),
            )
            self._index.entries[entry.key] = entry
        return entry

    def append_line(self, line: bytes) -> None:
        """Add a record as another file has it; one of a newer Trigpoint is known from the next opening on.

        Raises:
            StoreError: It could not be written; the file is as it was.
        """
        data = _parsed(line)
        with self._writing:
            entry = _entry(data, self._append(line), len(line))
            if entry is not None and newer_version(data, KNOWN) is None:
                self._index.entries[entry.key] = entry

    def _append(self, line: bytes) -> int:
        if self._file.closed:
            raise StoreError(f"{self.path} is closed.")
        try:
            return self._file.append(line)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}.", "Make room on the disk.") from error

    def close(self) -> None:
        """Let the file go, after a record that is being written; may be called again."""
        with self._writing:
            self._file.close()

    def _lock(self) -> None:
        try:
            self._file.lock()
        except BlockingIOError as error:
            raise Busy(
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
    newer: dict[str, str] = {}
    problems: list[str] = []
    offset = 0
    torn = b""
    for number, line in enumerate(file, start=1):
        whole = line.endswith(b"\n")
        data = _parsed(line)
        version = newer_version(data, KNOWN)
        entry = _entry(data, offset, len(line)) if version is None else None
        if entry is not None:
            entries[entry.key] = entry
            newer.pop(entry.key, None)
        elif version is not None:
            key = str(data.get("episode_id", f"line {number}"))
            newer[key] = _left(f"{path}:{number}: this episode", version)
            entries.pop(key, None)
        elif not whole:
            torn = line
            break
        elif line.strip():
            problems.append(f"{path}:{number}: this line is no episode; it is left as it is.")
        # A whole record without its line feed counts as if it had one, which the next writer adds.
        offset += len(line) + (0 if whole else 1)
    return Index(entries, newer, tuple(problems), offset, torn)


def _left(what: str, version: int) -> str:
    return f"{what} {newer_words(version)}; it is left as it is, and its question is not asked."


def _reason(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return "it is no JSON object"
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole record'}: {first['msg'].lower()}"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _entry(data: Any, offset: int, length: int) -> Entry | None:
    try:
        return Entry(
            key=_text(data["episode_id"]),
            question_id=_text(data["question"]["id"]),
            question_key=_text(data["question_key"]),
            dataset_key=_text(data["dataset"].get("content") or data["dataset"]["key"]),
            verdict=_text(data["verdict"]["verdict"]),
            offset=offset,
            length=length,
        )
    except (KeyError, TypeError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _load(path: Path, entry: Entry) -> Episode:
    with path.open("rb") as file:
        file.seek(entry.offset)
        return Episode.from_line(file.read(entry.length))
