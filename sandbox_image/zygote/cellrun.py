"""One running cell as the switchboard sees it: deadline, interrupt, output, and the words for how it ended."""

from __future__ import annotations

import time
from typing import Any, Literal

from sandbox_image.zygote import procfs
from sandbox_image.zygote.capture import Capture
from sandbox_image.zygote.limits import Limits
from sandbox_image.zygote.watch import Breach, Watch
from sandbox_image.zygote.worker import Worker

MAX_EVENTS = 4_096
"""Events of one cell that are passed on."""
MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Bytes of all events of one cell that are passed on."""

Cause = Literal["", "clock", "host"]


class CellRun:
    """Bookkeeping of a cell from its start to its END."""

    def __init__(self, number: int, timeout_s: float, grace_s: float, worker: Worker, limits: Limits) -> None:
        self.number = number
        self.timeout_s = timeout_s
        self.grace_s = grace_s
        self.started = time.monotonic()
        self.deadline = self.started + timeout_s
        self.begun = False
        """Whether the session has taken it up: an interrupt before that would be taken for an earlier cell's."""
        self.interrupted: Cause = ""
        """Who asked for the interrupt."""
        self.breach: Breach | None = None
        """Why it was killed; None while it was not."""
        self.killed_by: Cause = ""
        self.stdout = Capture(limits.output_head_bytes, limits.output_tail_bytes)
        self.stderr = Capture(limits.output_head_bytes, limits.output_tail_bytes)
        self.watch = Watch(worker, limits)
        self.events_dropped = 0
        self._worker = worker
        self._cpu_before = procfs.cpu_seconds(worker.pid) or 0.0
        self._events = 0
        self._event_bytes = 0

    @property
    def doomed(self) -> bool:
        """Whether its process has been killed on purpose; only its END is still to come."""
        return self.breach is not None or bool(self.killed_by)

    def takes_event(self, size: int) -> bool:
        """Whether one more event is passed on; counts it either way."""
        self._events += 1
        self._event_bytes += size
        if self._events > MAX_EVENTS or self._event_bytes > MAX_EVENT_BYTES:
            self.events_dropped += 1
            return False
        return True

    def due(self, now: float) -> Literal["", "interrupt", "kill"]:
        """What the clock asks for."""
        if now < self.deadline:
            return ""
        return "kill" if self.interrupted or self.grace_s <= 0 else "interrupt"

    def interrupt(self, cause: Cause, now: float) -> None:
        """It is to be interrupted: from here the grace period runs."""
        self.interrupted = cause
        self.deadline = now + self.grace_s

    def ended(self, child_status: str) -> dict[str, Any]:
        """END of a cell that came back by itself, its namespace intact."""
        status, reason = child_status, ""
        if self.interrupted == "clock":
            status, reason = "timeout", f"the cell ran longer than {self.timeout_s:g} s and was interrupted"
        elif self.interrupted == "host" and status != "ok":
            status, reason = "error", "interrupted by the host"
        elif status == "memory":
            reason = "the cell ran out of memory (MemoryError)"
        cpu = procfs.cpu_seconds(self._worker.pid)
        return self._end(status, "kept", reason, cpu or self._cpu_before)

    def died(self, *, out_of_memory: bool) -> dict[str, Any]:
        """END of a cell whose process is gone, and the namespace with it."""
        ending = self._worker.exit
        cpu = ending.cpu_s if ending is not None else self._cpu_before
        return self._end(*self._death(out_of_memory=out_of_memory), cpu)

    def _death(self, *, out_of_memory: bool) -> tuple[str, str, str]:
        if self.killed_by == "clock":
            waited = f" and did not stop within {self.grace_s:g} s of the interrupt" if self.grace_s > 0 else ""
            return "timeout", "lost", f"the cell ran longer than {self.timeout_s:g} s{waited}; its process was killed"
        if self.killed_by == "host":
            return "killed", "lost", f"interrupted by the host, the cell did not stop within {self.grace_s:g} s"
        if self.breach is not None:
            return self.breach.status, "lost", self.breach.reason
        if self._worker.failure:
            return "killed", "lost", self._worker.failure
        ending = self._worker.exit
        if ending is None:
            return "killed", "lost", "the process was killed"
        if ending.killed and out_of_memory:
            return "memory", "lost", "the kernel ended the process: the sandbox had no memory left"
        return "killed", "lost", ending.sentence()

    def _end(self, status: str, namespace: str, reason: str, cpu: float) -> dict[str, Any]:
        return {
            "cell": self.number,
            "status": status,
            "namespace": namespace,
            "reason": reason,
            "wall_s": round(time.monotonic() - self.started, 6),
            "cpu_s": round(max(0.0, cpu - self._cpu_before), 6),
            "peak_bytes": self.watch.peak(),
            "stdout_dropped": self.stdout.dropped,
            "stderr_dropped": self.stderr.dropped,
            "events_dropped": self.events_dropped,
        }
