"""Starts wardens from one thread that lives as long as this process.

The kernel sends a child its parent-death signal when the *thread* that started it ends. A child started from a worker
thread would be killed when that thread is retired, so all wardens are started from a thread that never is.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from blocks.sandboxes.warden import WARDEN_SIGNALS


class Order(NamedTuple):
    """A warden to start, with pipes for its three streams and a process group of its own."""

    command: Sequence[str]
    env: Mapping[str, str]
    cwd: str


_Jobs = queue.SimpleQueue[tuple[Order, "Future[subprocess.Popen[bytes]]"]]
_lock = threading.Lock()
_jobs: tuple[int, _Jobs] | None = None


def spawn(order: Order) -> Future[subprocess.Popen[bytes]]:
    """Have the process started; the future holds it, or the OSError that kept it from starting."""
    future: Future[subprocess.Popen[bytes]] = Future()
    _running_thread().put((order, future))
    return future


def _running_thread() -> _Jobs:
    global _jobs
    with _lock:
        # A fork takes the queue along, not the thread.
        if _jobs is None or _jobs[0] != os.getpid():
            jobs: _Jobs = queue.SimpleQueue()
            threading.Thread(target=_serve, args=(jobs,), name="sandbox-spawner", daemon=True).start()
            _jobs = os.getpid(), jobs
        return _jobs[1]


def _serve(jobs: _Jobs) -> None:
    # Children inherit the mask: a warden told to end while its interpreter still starts hears it once it listens,
    # instead of dying with its folder left behind.
    signal.pthread_sigmask(signal.SIG_BLOCK, WARDEN_SIGNALS)
    while True:
        order, future = jobs.get()
        # From here on it cannot be cancelled: whoever gives up waiting still gets the process, to end it.
        if not future.set_running_or_notify_cancel():
            continue
        try:
            process = subprocess.Popen(
                order.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=dict(order.env),
                cwd=order.cwd,
                start_new_session=True,
            )
        except OSError as error:
            future.set_exception(error)
        else:
            future.set_result(process)
        del order, future
