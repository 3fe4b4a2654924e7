"""A command in a terminal of its own: a pseudo-terminal whose line discipline signals the whole foreground group."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import wait_until

INTERRUPT = b"\x03"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """The command as the leader of the terminal's session; a context manager, which leaves nothing of it.

    Args:
        command: What is run.
        cwd: Where.
        environment: All of its variables.
    """

    def __init__(self, command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        self._command, self._cwd, self._environment = list(command), cwd, dict(environment)
        self._heard = bytearray()
        self._lock = threading.Lock()
        self._master = -1
        self.told_at = 0.0

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        # A new session, and the terminal as its own: what it starts is in the foreground group unless it leaves it.
        self.process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            env=self._environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.close()
        self._reader.join(60)

    @property
    def text(self) -> str:
        """What it has printed, without colours and the movements of the cursor."""
        return _CONTROL.sub("", self._heard.decode(errors="replace")).replace("\r\n", "\n")

    def wait_for(self, words: str) -> None:
        """Wait until it has printed these words."""
        wait_until(lambda: words in self.text or self.process.poll() is not None)
        assert words in self.text, self.text

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.told_at = self.told_at or time.monotonic()
        os.write(self._master, INTERRUPT)

    def terminate(self) -> None:
        """Send SIGTERM to the command alone, as `kill` does."""
        self.told_at = self.told_at or time.monotonic()
        self.process.terminate()

    def close(self) -> None:
        """Close the terminal: the kernel sends SIGHUP to the foreground group, and nothing can be printed any more."""
        self.told_at = self.told_at or time.monotonic()
        with self._lock:
            if self._master >= 0:
                os.close(self._master)
                self._master = -1

    def ended(self) -> tuple[int, float]:
        """Its exit code and the seconds since it was told to end, once it has ended; minutes at most."""
        code = self.process.wait(300)
        seconds = time.monotonic() - self.told_at
        if self._master >= 0:
            self._reader.join(60)
        return code, seconds

    def _read(self) -> None:
        while True:
            # A read that waits would keep a closed terminal open.
            with self._lock:
                if self._master < 0:
                    return
                if select.select([self._master], [], [], 0)[0]:
                    try:
                        data = os.read(self._master, 65_536)
                    except OSError:  # The last process that had it is gone.
                        return
                    self._heard += data
                    continue
            time.sleep(0.02)


def _take_terminal() -> None:
    """Make standard input the controlling terminal of the session that has just been made."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
