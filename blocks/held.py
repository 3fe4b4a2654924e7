"""What one process at a time may have open: whoever comes second waits for it, and says for whom.

The kernel's lock on the file is what decides; it goes with the process that has it. Beside it a note says who that is,
for people who wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from blocks.closing import Closing
from blocks.errors import UserError
from blocks.frozen import Frozen
from blocks.replaced import replacing
from blocks.settings import settings

POLL_S = 0.2
Held = TypeVar("Held", bound=Closing)


class Busy(UserError):
    """Another process has it open."""


class Holder(Frozen):
    """Who has something open."""

    pid: int
    host: str
    since: datetime

    @classmethod
    def own(cls) -> Holder:
        """This process, from now on."""
        return cls(pid=os.getpid(), host=socket.gethostname(), since=datetime.now(UTC))

    def sentence(self) -> str:
        """Who it is, for people."""
        since = self.since.astimezone()
        return f"process {self.pid} on {self.host} has it since {since:%Y-%m-%d %H:%M:%S}"


class FileLock(Closing):
    """A lock by itself, for what is made of several files.

    Args:
        path: Its file, made with its folder where it is missing; it stays.

    Raises:
        Busy: Another process has it.
        OSError: The file cannot be opened, or its file system knows no locks.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not locked(self._fd):
                raise Busy(f"Another run has {path}.", "Wait for its end.")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let it go; may be called again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def locked(handle: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file, unless another process has it locked; whether it is this process's now.

    Args:
        handle: The file.
        kind: `fcntl.LOCK_EX`, or `fcntl.LOCK_SH` for a lock that several may have.

    Raises:
        OSError: Its file system knows no locks.
    """
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def briefly(path: Path) -> Iterator[None]:
    """Keep other processes out for a moment, in which files are read and written anew; those wait without a word."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@asynccontextmanager
async def when_free(
    open_it: Callable[[], Held], path: Path, tell: Callable[[str], None], *, poll_s: float = POLL_S
) -> AsyncIterator[Held]:
    """Open what one process at a time may have open, for the length of the body; wait while another has it.

    Args:
        open_it: Opens it, or raises `Busy`. What it reads, it reads anew once the other one is done.
        path: What is waited for, as people know it.
        tell: Told of the waiting, and by whom it is held; again when that has changed.
        poll_s: Between two tries, seconds. A wait can be cancelled at any moment.
    """
    told, begun, note = "", datetime.now(UTC), _note(path)
    while True:
        try:
            held = open_it()
            break
        except Busy:
            holder = _holder(note)
            who = holder.sentence() if holder is not None else "another run has it"
            if who != told:
                tell(f"Waiting for {path}: {who}. Ctrl-C ends the waiting.")
                told = who
        await asyncio.sleep(poll_s)
    with held:
        if told:
            tell(f"{path} is free after {(datetime.now(UTC) - begun).total_seconds():.0f} s of waiting.")
        with _signed(note):
            yield held


@contextmanager
def _signed(note: Path) -> Iterator[None]:
    """Leave word of who has it; where that cannot be written the lock holds all the same."""
    with contextlib.suppress(OSError), replacing(note) as fresh:
        fresh.write_text(Holder.own().model_dump_json(), encoding="utf-8")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)


def _note(path: Path) -> Path:
    """Where the word on a file's holder is: in the home, which every run has, and not beside a user's file."""
    home, place = settings().home.absolute(), path.absolute()
    name = place.relative_to(home) if place.is_relative_to(home) else place
    return home / "locks" / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.json"


def _holder(note: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(note.read_bytes())
    except (OSError, ValidationError):
        return None
