"""Processes forked ahead: a session that finds one is ready at once, and so is the successor of one that was killed.

A spare is what every session's process is before its first cell, and no more: walls up, stopped, its own empty folder.
It knows nothing of the session that will take it.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Final, Protocol

from sandbox_image.zygote.inner import Inner
from sandbox_image.zygote.limits import Limits
from sandbox_image.zygote.protocol import ProtocolError
from sandbox_image.zygote.worker import Worker

READ_BYTES: Final = 1 << 16
_REFILL_AFTER_S: Final = 0.05
"""Pause after a process was asked for: a burst of sessions, and their first cells, get the processors first."""
_RETRY_AFTER_S: Final = 10.0


class Owner(Protocol):
    """Who hears of a process: the slot it stands behind, or the spares."""

    def readable(self, worker: Worker, descriptor: int) -> None:
        """A pipe of the worker has bytes or has ended."""

    def forked(self, worker: Worker) -> None:
        """The template has made the process."""

    def fork_failed(self, worker: Worker, message: str) -> None:
        """The template could not make it."""

    def exited(self, worker: Worker) -> None:
        """The process has ended."""


class Nursery(Protocol):
    """What the spares ask of the switchboard."""

    def fork(self, owner: Owner, limits: Limits) -> Worker:
        """Have the template fork a process."""

    def retire(self, worker: Worker) -> None:
        """The worker is gone: close its pipes, remove its folder."""

    def kernel_ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed for memory since this was last asked."""


class Spares:
    """Keeps up to `spare_sessions` processes for sessions with the limits that were asked for last."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._limits: Limits | None = None
        self._kept: list[Worker] = []
        self._due = 0.0

    def expect(self, limits: Limits) -> None:
        """Sessions with these limits will be asked for."""
        if limits != self._limits:
            for worker in self._kept:
                worker.kill()
            self._kept.clear()
            self._limits = limits

    def take(self, limits: Limits) -> Worker | None:
        """The process that is furthest, if there is one with these limits. It is the caller's from now on."""
        self.expect(limits)
        self._due = time.monotonic() + _REFILL_AFTER_S
        return self._kept.pop(0) if self._kept else None

    def pause(self, now: float, in_use: int) -> float | None:
        """Seconds until `refill` has something to do; None when it has not.

        Args:
            now: The monotonic clock.
            in_use: Sessions that are open; with the spares they never exceed `max_sessions`.
        """
        if self._limits is None or not all(worker.ready for worker in self._kept):
            return None
        wanted = min(self._limits.spare_sessions, self._limits.max_sessions - in_use)
        return max(0.0, self._due - now) if len(self._kept) < wanted else None

    def refill(self, now: float, in_use: int) -> None:
        """Have one process forked if one is missing and it is time."""
        if self.pause(now, in_use) == 0.0 and self._limits is not None:
            self._kept.append(self._nursery.fork(self, self._limits))

    def readable(self, worker: Worker, descriptor: int) -> None:
        """A spare says it is ready, or ends; anything else it may not say."""
        try:
            data = os.read(descriptor, READ_BYTES)
            frames = worker.decode(data) if descriptor == worker.events else []
        except BlockingIOError:
            return
        except ProtocolError:
            data, frames = b"", []
        if not data or any(frame.kind != Inner.READY for frame in frames):
            worker.kill()
        elif frames:
            worker.started()
            worker.signal(signal.SIGSTOP)

    def forked(self, worker: Worker) -> None:
        """The template has made the process."""
        if worker.doomed:
            worker.kill()

    def fork_failed(self, worker: Worker, message: str) -> None:
        """The template could not make it: the next session that is asked for will say why."""
        self._lose(worker)

    def exited(self, worker: Worker) -> None:
        """A spare died. No session has lost anything."""
        if worker.exit is not None and worker.exit.killed:
            # Counted here, or the next session that is killed would be blamed for it.
            self._nursery.kernel_ran_out_of_memory()
        self._lose(worker)

    def _lose(self, worker: Worker) -> None:
        if worker in self._kept:
            self._kept.remove(worker)
            self._due = time.monotonic() + _RETRY_AFTER_S
        self._nursery.retire(worker)
