"""Copying a file from an opened stream, in a thread that stops when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from blocks.digests import file_digest
from blocks.sources.models import Fetched, FetchLimits, Progress, Reference, SourceError, too_large

_CHUNK = 1 << 20
T = TypeVar("T")


class Readable(Protocol):
    """An opened file."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at its end."""
        ...


class Copy:
    """One copy under a cap; `stop` ends it from another thread.

    Args:
        what: The file, for refusals.
        limits: The cap.
        progress: Told while bytes come in; called in the copying thread.
    """

    def __init__(self, what: str, limits: FetchLimits, progress: Progress) -> None:
        self._what, self._limits, self._progress = what, limits, progress
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the copy after the piece it is at."""
        self._stopped.set()

    def run(self, stream: Readable, target: Path, total: int | None) -> int:
        """Copy; return the bytes written.

        Raises:
            SourceRefused: The file is over the cap.
            SourceError: The copy was stopped.
        """
        if total is not None and total > self._limits.max_bytes:
            raise too_large(self._what, total, self._limits)
        size = 0
        with target.open("wb") as out:
            while not self._stopped.is_set() and (chunk := stream.read(_CHUNK)):
                size += len(chunk)
                if size > self._limits.max_bytes:
                    raise too_large(self._what, None, self._limits)
                out.write(chunk)
                self._progress(size, total)
        if self._stopped.is_set():
            raise SourceError(f"{self._what} was not copied to its end.", "Run the same command again.")
        return size


async def in_thread(work: Callable[[], T], stop: Callable[[], None]) -> T:
    """Run blocking work in a thread; when this is cancelled, `stop` is called and the thread is waited for."""
    thread = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stop()
        await asyncio.wait([thread])
        raise


def landed(table: Path, transferred: int, reference: Reference, **facts: object) -> Fetched:
    """The record of a table that lies whole in its folder; `facts` replace what the reference says."""
    digest = file_digest(table)
    known = reference.facts.model_copy(update=facts)
    known = known.model_copy(update={"version": reference.version or known.version or digest[:16]})
    return Fetched(path=table, bytes=table.stat().st_size, transferred=transferred, sha256=digest, facts=known)
