"""The switchboard's side of one session's process: its pipes, its signals, its death."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections import deque
from typing import Final

from sandbox_image.zygote import procfs
from sandbox_image.zygote.inner import BROKEN, Inner
from sandbox_image.zygote.protocol import Decoder, Frame, encode

PIPE_BYTES: Final = 1 << 20
_F_SETPIPE_SZ: Final = 1031
_SLACK: Final = 4_096
_DEATHS: Final[dict[int, str]] = {
    signal.SIGSEGV: "segmentation fault (a crash in compiled code, or a recursion too deep for the stack)",
    signal.SIGABRT: "abort (compiled code gave up)",
    signal.SIGBUS: "bus error (a file shrank under a mapping, or no room was left)",
    signal.SIGFPE: "arithmetic fault in compiled code",
    signal.SIGILL: "illegal instruction in compiled code",
    signal.SIGKILL: "the process was killed",
}


class Exit:
    """How a process ended."""

    def __init__(self, status: int, cpu_s: float) -> None:
        self.status = status
        self.cpu_s = cpu_s

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    def sentence(self) -> str:
        """The reason, for a reader who knows no signals."""
        if os.WIFEXITED(self.status) and os.WEXITSTATUS(self.status) == BROKEN:
            return "the code broke the session it ran in"
        if os.WIFEXITED(self.status):
            return f"the process ended itself with exit code {os.WEXITSTATUS(self.status)}"
        number = os.WTERMSIG(self.status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return _DEATHS.get(number, f"the process was ended by {name}")


class Worker:
    """One process and the switchboard's ends of its pipes. All of them are non-blocking on this side."""

    def __init__(self, ticket: int, scratch: str, max_event_bytes: int) -> None:
        self.ticket = ticket
        self.scratch = scratch
        self.pid = 0
        self.ready = False
        self.doomed = False
        """It has been, or will at once be, killed on purpose."""
        self.exit: Exit | None = None
        self.failure = ""
        self.cells = 0
        self.base = procfs.Status()
        self.base_private = 0
        self._pidfd = -1
        self._decoder = Decoder(max_event_bytes + _SLACK)
        self._unsent: deque[memoryview] = deque()
        commands, self.commands = os.pipe2(os.O_CLOEXEC)
        self.events, events = os.pipe2(os.O_CLOEXEC)
        self.stdout, out = os.pipe2(os.O_CLOEXEC)
        self.stderr, err = os.pipe2(os.O_CLOEXEC)
        self.theirs = [commands, events, out, err]
        """The session's ends, until it has them."""
        for descriptor in (self.commands, self.events, self.stdout, self.stderr):
            os.set_blocking(descriptor, False)
        for descriptor in (self.stdout, self.stderr, self.events):
            # The user's pipe budget may be spent; the default size works as well.
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, _F_SETPIPE_SZ, PIPE_BYTES)

    def handed_over(self) -> None:
        """The session's ends have been sent; only the session may hold them, or its end would go unnoticed."""
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = []

    def born(self, pid: int) -> None:
        """The template has forked it."""
        self.pid = pid
        with contextlib.suppress(OSError):
            # Kept so that a signal can never reach another process that got the same number later.
            self._pidfd = os.pidfd_open(pid)
        procfs.prefer_as_victim(pid)

    def started(self) -> None:
        """It is READY: what it holds now is shared with the template."""
        self.ready = True
        self.base = procfs.read_status(self.pid) or procfs.Status()
        self.base_private = procfs.private_bytes(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a process that has ended gets none."""
        if not self.pid or self.exit is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            else:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it for good."""
        self.doomed = True
        self.signal(signal.SIGKILL)

    def send(self, payload: bytes) -> bool:
        """Queue a RUN command; False while some of it is still unsent."""
        self._unsent.append(memoryview(encode(Inner.RUN, 0, payload)))
        return self.flush()

    def flush(self) -> bool:
        """Write what is queued as far as the pipe takes it; True when nothing is left."""
        try:
            while self._unsent:
                written = os.write(self.commands, self._unsent[0])
                if written == len(self._unsent[0]):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = self._unsent[0][written:]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self._unsent.clear()
        return True

    def decode(self, data: bytes) -> list[Frame]:
        """Frames from bytes of the event pipe.

        Raises:
            ProtocolError: They are none.
        """
        return self._decoder.feed(data)

    def close(self) -> None:
        """Close this side's descriptors."""
        ours = [self.commands, self.events, self.stdout, self.stderr, *self.theirs]
        if self._pidfd >= 0:
            ours.append(self._pidfd)
        for descriptor in ours:
            os.close(descriptor)
        self.theirs = []
        self._pidfd = -1
