"""Keeps a local Prefect server for as long as runs use it, and a while longer. A script of the standard library.

    python -I -S server_keeper.py FOLDER ID COMMAND...

The keeper is the server's parent, in a session of its own, which no terminal signals. A run that uses the server holds
a shared lock on FOLDER/ID.use, which the kernel drops with the run; the file says how many seconds the server stays
without one. What the server prints goes to FOLDER/server.log. When the keeper dies, the kernel kills the server.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

LOG, RECORD, USE = "server.log", "server.json", ".use"
LOG_BYTES = 1024 * 1024
"""Of the log, and of the one before it."""
LOOK = signal.SIGUSR1
"""Sent by a run that has put the server down, so that it need not wait for the next look."""
_LOOK_S = 1.0
_GRACE_S = 4.0
_SIGNALS = {LOOK, signal.SIGTERM, signal.SIGCHLD}
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run the command until it ends, nobody uses it any more, or this process is told to end it."""
    folder, name, command = Path(arguments[0]), arguments[1], arguments[2:]
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    use = os.open(folder / f"{name}{USE}", os.O_RDWR | os.O_CLOEXEC)
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=_become_server
    )
    assert server.stdout is not None
    pump = threading.Thread(target=_pump, args=(server.stdout, folder / LOG), daemon=True)
    pump.start()
    _await_idleness(server, use)
    # The lock is held by now, unless the server ended by itself: a run that comes too late finds no record.
    _forget(folder, name)
    _end(server)
    # Until its last word is written; a child of the server that lives on may hold the other end.
    pump.join(_GRACE_S)
    return 0


def _become_server() -> None:
    with contextlib.suppress(AttributeError):  # Linux alone has it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _await_idleness(server: subprocess.Popen[bytes], use: int) -> None:
    since: float | None = None
    while server.poll() is None:
        if _wait() == signal.SIGTERM:
            return
        try:
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            since = None
            continue
        now = time.monotonic()
        since = now if since is None else since
        if now - since >= _seconds(use):
            return
        fcntl.flock(use, fcntl.LOCK_UN)


def _wait() -> int:
    """The signal that came, or 0 after a while."""
    if sys.platform != "linux":
        time.sleep(_LOOK_S)
        return next(iter(signal.sigpending() & {signal.SIGTERM}), 0)
    heard = signal.sigtimedwait(_SIGNALS, _LOOK_S)
    return heard.si_signo if heard is not None else 0


def _seconds(use: int) -> float:
    try:
        return float(os.pread(use, 64, 0))
    except ValueError:  # It is being written.
        return _LOOK_S


def _forget(folder: Path, name: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        if json.loads((folder / RECORD).read_text())["name"] == name:
            (folder / RECORD).unlink()
    (folder / f"{name}{USE}").unlink(missing_ok=True)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _pump(source: IO[bytes], log: Path) -> None:
    """What the server prints, into a file that never grows beyond its bound; a full disk must not stop the server."""
    for line in source:
        with contextlib.suppress(OSError):
            if log.exists() and log.stat().st_size + len(line) > LOG_BYTES:
                log.replace(log.with_suffix(".log.1"))
            with open(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
                file.write(line[:LOG_BYTES])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
