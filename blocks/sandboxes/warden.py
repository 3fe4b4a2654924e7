"""Starts a zygote, outlives it, and leaves nothing of it. A script of the standard library, up in milliseconds.

    python -I -S warden.py PARENT_PID FOLDER COMMAND...

The warden is the parent of the zygote in the process runtime. It ends the zygote when the owner dies (also by SIGKILL),
ends whatever descendants a dead zygote leaves, and removes the private folder. When the warden itself is killed, the
kernel kills the zygote, and the zygote's death kills the sessions.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 2.0
"""Seconds a zygote gets to end by itself, by the end of its input, once the owner is gone."""
WARDEN_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


def main(arguments: list[str]) -> int:
    """Run the command until it or the owner ends. Returns the command's exit code, 128 + signal when it was killed."""
    owner, folder, command = int(arguments[0]), arguments[1], arguments[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    # Blocked, then waited for: no signal is lost between a check and a wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, WARDEN_SIGNALS)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.getppid() != owner:
        shutil.rmtree(folder, ignore_errors=True)
        return 1
    warden = os.getpid()
    child = os.fork()
    if child == 0:
        _become(libc, warden, command)
    # The stream belongs to the zygote alone: its ends must be seen when the zygote goes, not when the warden does.
    for descriptor in (0, 1):
        os.close(descriptor)
    code = _watch(child)
    _end_descendants()
    shutil.rmtree(folder, ignore_errors=True)
    return code


def _become(libc: ctypes.CDLL, warden: int, command: list[str]) -> None:
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == warden:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WARDEN_SIGNALS)
            os.execv(command[0], command)
    finally:
        os._exit(127)


def _watch(child: int) -> int:
    deadline: float | None = None
    while True:
        if deadline is None:
            received: signal.struct_siginfo | None = signal.sigwaitinfo(WARDEN_SIGNALS)
        else:
            received = signal.sigtimedwait(WARDEN_SIGNALS, max(0.0, deadline - time.monotonic()))
        if received is None:
            os.kill(child, signal.SIGKILL)
            deadline = time.monotonic() + 60
        elif received.si_signo != signal.SIGCHLD and deadline is None:
            deadline = time.monotonic() + GRACE_S
        code = _reap(child)
        if code is not None:
            return code


def _reap(child: int) -> int | None:
    """Collect dead children; the exit code when the zygote is among them."""
    code: int | None = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                exit_code = os.waitstatus_to_exitcode(status)
                code = exit_code if exit_code >= 0 else 128 - exit_code
    return code


def _end_descendants() -> None:
    """Kill and collect what the zygote left; as subreaper, this process is the parent of all of it."""
    path = f"/proc/self/task/{os.getpid()}/children"
    for _ in range(1000):
        with open(path) as file:
            pids = [int(pid) for pid in file.read().split()]
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
