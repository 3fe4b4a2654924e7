"""The experiments: a CSV with `provider`, `model` and variables, read once, then walked through any number of times.

A table of any length takes nine bytes of memory a row: what was read lies in a nameless temporary file, and each walk
is a cursor over it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import numpy as np

from blocks.closing import Closing
from blocks.errors import UserError
from blocks.plurals import several
from flows.tables.dataset import MAX_BYTES
from flows.tables.unpacking import named_file, table_in

REQUIRED = ("provider", "model")
MOST_CHARS = 64 * 2**20
"""Of one cell."""


class Row(NamedTuple):
    """One row of the experiments."""

    number: int
    """From 1."""
    provider: str
    model: str
    variables: dict[str, str]
    """Every other column; an empty cell is an empty text."""
    repeat: int
    """How many rows before this one ask the same; they are independent samples."""

    @property
    def values(self) -> dict[str, str]:
        """What `{{name}}` stands for."""
        return {**self.variables, "provider": self.provider, "model": self.model}


class Sheet(Closing):
    """The rows of a CSV; close it, or use it as a context manager.

    Args:
        source: The file, or `-` for standard input.
        call: What of a row reaches the model, as a text: rows in which it is the same repeat each other. By default
            all of it.

    Raises:
        UserError: It is no table of experiments.
    """

    def __init__(self, source: str, call: Callable[[Row], str] | None = None) -> None:
        self._call = call or (lambda row: "\x00".join(row.values.values()))
        self.name = "standard input" if source == "-" else source
        self._file, self.digest = _snapshot(source, self.name)
        try:
            self.variables = self._header()
            self.providers: Counter[str] = Counter()
            self._repeated: frozenset[bytes] = frozenset()
            self.count = self._survey()
        except BaseException:
            self._file.close()
            raise

    def rows(self, of: Callable[[str], bool] | None = None) -> Iterator[Row]:
        """All rows in their order, or those of some providers."""
        seen: Counter[bytes] = Counter()
        for number, cells in enumerate(self._records(), start=1):
            if of is not None and not of(cells[self._at[0]].strip()):
                continue
            row = self._row(number, cells)
            if self._repeated and (digest := self._digest(row)) in self._repeated:
                row = row._replace(repeat=seen[digest])
                seen[digest] += 1
            yield row

    def close(self) -> None:
        """Give the copy back; may be called again."""
        self._file.close()

    def _header(self) -> tuple[str, ...]:
        header = [name.strip() for name in self._first()]
        missing = [name for name in REQUIRED if name not in header]
        if missing:
            raise UserError(
                f"{self.name} has no column {' and no column '.join(missing)}.",
                "Experiments are a CSV with the columns provider and model; every other column is a variable.",
            )
        twice = [name for name, count in Counter(header).items() if name and count > 1]
        if twice:
            raise UserError(f"{self.name} has more than one column {' and '.join(twice)}.", "Rename all but one.")
        self._width = len(header)
        self._at = (header.index("provider"), header.index("model"))
        self._columns = [(name, at) for at, name in enumerate(header) if name and name not in REQUIRED]
        return tuple(name for name, _ in self._columns)

    def _first(self) -> list[str]:
        try:
            return next(self._reader(), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._unreadable(error, 1) from error

    def _survey(self) -> int:
        """Count, and find which rows are repeated: eight bytes each while it lasts."""
        digests = array("Q")
        for number, cells in enumerate(self._records(), start=1):
            row = self._row(number, cells)
            digests.frombytes(self._digest(row))
            self.providers[row.provider] += 1
        if not digests:
            raise UserError(f"{self.name} holds no experiments.", "Add a row below the header.")
        found, counts = np.unique(np.frombuffer(digests, dtype=np.uint64), return_counts=True)
        self._repeated = frozenset(each.tobytes() for each in found[counts > 1])
        return len(digests)

    def _row(self, number: int, cells: list[str]) -> Row:
        provider, model = (cells[at].strip() for at in self._at)
        return Row(number, provider, model, {name: cells[at] for name, at in self._columns}, 0)

    def _digest(self, row: Row) -> bytes:
        text = f"{row.provider}\x00{row.model}\x00{self._call(row)}"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()

    def _records(self) -> Iterator[list[str]]:
        reader = self._reader()
        try:
            next(reader)
            for cells in reader:
                if not cells:
                    continue
                if len(cells) > self._width and any(cells[self._width :]):
                    raise UserError(
                        f"Line {reader.line_num} of {self.name} has {several(len(cells), 'cell')} and the header"
                        f" {self._width}.",
                        "Put cells that hold commas into double quotes.",
                    )
                yield cells[: self._width] + [""] * (self._width - len(cells))
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._unreadable(error, reader.line_num) from error

    def _reader(self) -> _Lines:
        csv.field_size_limit(MOST_CHARS)
        raw = io.BufferedReader(_Cursor(self._file.fileno()), 2**16)
        return csv.reader(io.TextIOWrapper(raw, encoding="utf-8-sig", newline=""), strict=True)

    def _unreadable(self, error: Exception, line: int) -> UserError:
        if isinstance(error, UnicodeDecodeError):
            return UserError(f"{self.name} is no UTF-8 text (after line {line}).", "Save it as UTF-8.")
        return UserError(f"{self.name} is no CSV: {error} (line {line}).", "Look for a quote that is never closed.")


class _Lines(Protocol):
    """A CSV reader, as far as it is used here."""

    line_num: int

    def __next__(self) -> list[str]: ...

    def __iter__(self) -> Iterator[list[str]]: ...


class _Cursor(io.RawIOBase):
    """Reads a file from its beginning without moving anybody else's place in it."""

    def __init__(self, fd: int) -> None:
        self._fd, self._place = fd, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = os.pread(self._fd, len(buffer), self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def _table(source: str) -> Path:
    """The CSV file, or that in a packed one."""
    path, member = named_file(Path(source))
    return table_in(path, member, MAX_BYTES)


def _snapshot(source: str, name: str) -> tuple[IO[bytes], str]:
    """A copy of the source without a name, and its sha256 (hex): the file may be edited while the run goes on."""
    digest = hashlib.sha256()
    copy: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (the sheet closes it)
    try:
        with nullcontext(sys.stdin.buffer) if source == "-" else _table(source).open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
                copy.write(chunk)
    except OSError as error:
        copy.close()
        raise UserError(f"{name} cannot be read: {error.strerror}.", "Check the path.") from error
    copy.flush()
    return copy, digest.hexdigest()
