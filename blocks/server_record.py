"""The local Prefect server of a home, as its runs find it: a record only the user can read, and a lock of its users.

TRIGPOINT_HOME/server holds server.json, which says where the server is and what one says to be let in, a file that its
users hold locked, and its log. A record is trusted only while the very process lives that keeps the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from blocks import server_keeper
from blocks.frozen import Frozen
from blocks.held import locked
from blocks.interrupts import check_signals
from blocks.sandboxes import owner

_WAIT_S: Final = 0.02
_LOCK_TRIES: Final = 25
_END_S: Final = 8.0


class Record(Frozen):
    """A server that runs, or is starting.

    Attributes:
        name: Of its file of users.
        url: Its API.
        auth: What a client must say; a secret.
        made_of: Digest of versions, home, database and settings: another run's server is used only where it is equal.
        keeper: The process that keeps it, as `owner_tag` names it.
    """

    name: str
    url: str
    auth: str = Field(repr=False)
    made_of: str
    keeper: str


class ServerFolder:
    """The folder of a home's server.

    Args:
        folder: Where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / server_keeper.LOG

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One run at a time looks for a server and starts one. Held for as long as it takes to start a process."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.folder / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not locked(handle):
                check_signals()
                time.sleep(_WAIT_S)
            yield
        finally:
            os.close(handle)

    def record(self) -> Record | None:
        """The record of the server that was started last, where its keeper lives.

        One that somebody else has written or could read is none: it might lead to a server of theirs.
        """
        try:
            with (self.folder / server_keeper.RECORD).open(encoding="utf-8") as file:
                facts, text = os.fstat(file.fileno()), file.read()
            if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
                return None
            found = Record.model_validate_json(text)
        except (OSError, ValidationError, UnicodeDecodeError):
            return None
        return found if owner.standing(found.keeper) == "alive" else None

    def use(self, record: Record) -> int | None:
        """Become one of a server's users; the locked file, to be closed. None: it is ending."""
        try:
            handle = os.open(self._use_file(record.name), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        for _ in range(_LOCK_TRIES):
            if locked(handle, fcntl.LOCK_SH):
                # Its keeper may have ended it between the two.
                if self._use_file(record.name).exists():
                    return handle
                break
            time.sleep(_WAIT_S)  # Its keeper looks whether anybody uses it, which takes no time, or is ending it.
        os.close(handle)
        return None

    def start(
        self, url: str, made_of: str, command: Sequence[str], environ: Mapping[str, str], auth: str
    ) -> tuple[Record, int]:
        """Start a server under a keeper and become its first user; its record and the locked file.

        Args:
            url: Where it will be.
            made_of: See `Record`.
            command: What starts it.
            environ: Its environment.
            auth: What clients must say.
        """
        name = secrets.token_hex(6)
        handle = os.open(self._use_file(name), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_SH)
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", server_keeper.__file__, str(self.folder), name, *command],
            env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        record = Record(name=name, url=url, auth=auth, made_of=made_of, keeper=owner.owner_tag(keeper.pid))
        self._write(record)
        return record, handle

    def end(self, record: Record) -> None:
        """End a server whoever uses it, and wait until it has ended."""
        owner.end_process(record.keeper, _END_S)
        self._remove(record)

    def retire(self, record: Record, handle: int) -> None:
        """Have no further run use a server that hangs: it is ended, unless others wait for it. The file is closed."""
        alone = locked(handle)
        os.close(handle)
        if alone:
            self.end(record)
        else:
            self._remove(record)

    def end_if_idle(self, record: Record, handle: int) -> None:
        """Put a server down so that it ends now, unless somebody else uses it; the file is closed."""
        alone = locked(handle)
        if alone:
            stay(handle, 0)
        os.close(handle)
        if not alone or owner.standing(record.keeper) != "alive":
            return
        pid, deadline = int(record.keeper.split("/")[1]), time.monotonic() + _END_S
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, server_keeper.LOOK)
        while not owner.owner_is_gone(record.keeper) and time.monotonic() < deadline:
            time.sleep(_WAIT_S)

    def _remove(self, record: Record) -> None:
        if (now := self.record()) is None or now.name == record.name:
            (self.folder / server_keeper.RECORD).unlink(missing_ok=True)

    def _use_file(self, name: str) -> Path:
        return self.folder / f"{name}{server_keeper.USE}"

    def _write(self, record: Record) -> None:
        path = self.folder / server_keeper.RECORD
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(record.model_dump_json())
        fresh.replace(path)


def stay(handle: int, seconds: float) -> None:
    """Say how long a server stays when nobody uses it any more; the last word counts.

    Args:
        handle: Its file of users.
        seconds: How long.
    """
    os.pwrite(handle, f"{seconds:<32g}".encode(), 0)
