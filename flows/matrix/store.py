"""The file of rows: a line for each row as it ends, on disk before it counts; what a later run takes as done.

It is the truth, the output is made of it. Where a row has several lines the last one holds; a torn last line, left by
a kill, is cut off, and a line that a newer Trigpoint wrote is told and left as it is. In memory are a few bytes for
each row: where its line begins.
"""

from __future__ import annotations

import asyncio
import json
from array import array
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from blocks.appended import AppendedFile
from blocks.closing import Closing
from blocks.errors import UserError
from blocks.held import Busy
from blocks.newer import known_version, newer_version
from flows.matrix.records import Result

NOWHERE = -1
KNOWN = known_version(Result)
"""The newest schema version of a row that is read here."""


class _Waiting(NamedTuple):
    row: int
    line: bytes
    written: asyncio.Future[None]


class RowStore(Closing):
    """The file of rows of one experiment; one writer at a time.

    Args:
        path: The file; made with its folder where it is missing.

    Raises:
        Busy: Another run has it open.
        UserError: It cannot be written, or it is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.order = array("Q")
        """Numbers of the rows that ended in this run or were found done, in that order."""
        self.left_out = 0
        """Lines that a newer Trigpoint wrote: what they say of a call is not known here."""
        self.newest = 0
        """The newest schema version among them."""
        self._waiting: list[_Waiting] = []
        self._flusher: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[int] | None = None
        try:
            self._file = AppendedFile(path)
        except OSError as error:
            raise UserError(f"{path} cannot be opened: {error.strerror}.", "Check the folder.") from error
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def prepare(self, rows: int) -> None:
        """Make room for the places of so many rows."""
        self._places = array("q", [NOWHERE]) * (rows + 1)

    def find(self, key: str) -> Result | None:
        """The result of a call that an earlier run has finished; none where its line cannot be read."""
        place = self._known.get(key)
        try:
            return None if place is None else Result.model_validate_json(self._file.line_at(place))
        except ValidationError:
            return None

    def take(self, row: int, key: str) -> None:
        """Make such a result a row's."""
        place = self._known.get(key)
        assert place is not None
        self._places[row] = place
        self.order.append(row)

    async def add(self, result: Result) -> None:
        """Keep a result; when this returns it is on disk. Results that come together share one flush.

        Raises:
            UserError: It could not be written.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(result.row, result.line(), written))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        await asyncio.shield(written)

    async def settle(self) -> None:
        """Wait until what was given is on disk and known; after a cancellation, what had reached the disk by then."""
        for pending in (self._flusher, self._writing):
            if pending is not None:
                await asyncio.wait([pending])

    def ended(self, *, finished_order: bool = False) -> array[int]:
        """Numbers of this run's rows that have a result at this moment, be it of an earlier run.

        Args:
            finished_order: As they finished, not by row.
        """
        return self.order[:] if finished_order else array("Q", sorted(self.order))

    def result(self, row: int) -> Result:
        """A row's result, once it has one."""
        result = self._parsed(self._places[row])
        return result if result.row == row else result.model_copy(update={"row": row})

    def close(self) -> None:
        """Let the file go; may be called again."""
        self._file.close()

    def _parsed(self, place: int) -> Result:
        try:
            return Result.model_validate_json(self._file.line_at(place))
        except ValidationError as error:
            raise _foreign(self.path) from error

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            lines = b"".join(each.line for each in batch)
            # The thread goes on where this task is cancelled, and what it writes has to be known all the same.
            self._writing = asyncio.get_running_loop().run_in_executor(None, self._file.append, lines)
            self._writing.add_done_callback(partial(self._written, batch))
            await asyncio.wait([self._writing])

    def _written(self, batch: list[_Waiting], writing: asyncio.Future[int]) -> None:
        error = writing.exception()
        if isinstance(error, OSError):
            error = UserError(f"{self.path} cannot be written: {error.strerror}.", "Make room on the disk.")
        if error is not None:
            for each in batch:
                each.written.set_exception(error)
            return
        start = writing.result()
        for each in batch:
            self._places[each.row] = start
            self.order.append(each.row)
            start += len(each.line)
            each.written.set_result(None)

    def _lock(self) -> None:
        try:
            self._file.lock()
        except BlockingIOError as error:
            raise Busy(f"Another run is writing {self.path}.", "Wait for it to end, or name another output.") from error
        except OSError as error:
            raise UserError(f"{self.path} cannot be locked: {error.strerror}.", "Put it on a local disk.") from error

    def _read(self) -> None:
        """Index what is finished by key, and cut a torn last line off."""
        self._known = Known()
        self.failed_before = 0
        end = 0
        with self._file.reader() as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                key, finished, newer = _glance(line, self.path)
                if newer is not None:
                    self.left_out, self.newest = self.left_out + 1, max(self.newest, newer)
                else:
                    self.failed_before += not finished
                    if finished:
                        self._known.add(key, end)
                end += len(line)
        self._file.cut(end)
        self._known.close()
        self.found = len(self._known)


class Known:
    """Where the finished calls of a file begin, by key: sixteen bytes each."""

    def __init__(self) -> None:
        self._keys, self._starts = array("Q"), array("q")

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str, place: int) -> None:
        """One more; of several with a key the last one holds."""
        self._keys.append(int(key[:16], 16))
        self._starts.append(place)

    def close(self) -> None:
        """Nothing comes any more: make it ready to be asked."""
        keys, places = np.frombuffer(self._keys, dtype=np.uint64), np.frombuffer(self._starts, dtype=np.int64)
        order = np.argsort(keys, kind="stable")
        self._sorted, self._places = keys[order], places[order]

    def get(self, key: str) -> int | None:
        """Where the last line with this key begins."""
        wanted = np.uint64(int(key[:16], 16))
        at = int(np.searchsorted(self._sorted, wanted, side="right")) - 1
        return int(self._places[at]) if at >= 0 and self._sorted[at] == wanted else None


def set_aside(paths: list[Path]) -> list[tuple[Path, Path]]:
    """Give files that are there another name; which went where.

    Args:
        paths: What is to make room.
    """
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    moved = []
    for path in paths:
        if path.exists():
            target = path.with_name(f"{path.name}.replaced-{stamp}")
            path.rename(target)
            moved.append((path, target))
    return moved


def _glance(line: bytes, path: Path) -> tuple[str, bool, int | None]:
    """Key of a line, whether its row is finished, and its schema version where it is a newer one."""
    try:
        fields = json.loads(line)
        if (newer := newer_version(fields, KNOWN)) is not None:
            return "", False, newer
        key, status = fields.get("call_key", ""), fields["status"]
        return key, bool(key) and status != "error" and int(key[:16], 16) >= 0, None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _foreign(path) from error


def _foreign(path: Path) -> UserError:
    return UserError(
        f"{path} is no file of rows: a line of it cannot be read.", "Name another output, or begin with --fresh."
    )
