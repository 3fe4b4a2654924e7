"""Watches a session while a cell runs: memory, threads, files. Says why it must be ended, or nothing."""

from __future__ import annotations

import os
import time
from typing import Final, Literal, NamedTuple

from sandbox_image.zygote import procfs, scratch
from sandbox_image.zygote.limits import Limits
from sandbox_image.zygote.worker import Worker

TICK_S: Final = 0.02
"""How often a running cell is looked at."""
LONGEST_TICK_S: Final = 0.1
TICK_COST_FACTOR: Final = 40
"""The look at all running cells uses at most one part in this many of a processor, unless LONGEST_TICK_S is reached."""
_PRIVATE_EVERY_S: Final = 0.2
_FILES_EVERY_S: Final = 0.5
_COST_FACTOR: Final = 20
"""A look that is costly is taken so seldom that it uses at most one part in this many of the time."""
_MIB: Final = 2**20
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_COPIES_WORTH_A_LOOK: Final = 8 * _MIB


class Breach(NamedTuple):
    """A limit that was passed."""

    status: Literal["memory", "killed"]
    reason: str


class Watch:
    """One running cell's use of memory, threads and files."""

    def __init__(self, worker: Worker, limits: Limits) -> None:
        self._worker = worker
        self._limits = limits
        self._sampled_peak = 0
        self._faults = procfs.minor_faults(worker.pid)
        now = time.monotonic()
        self._private_at = now + _PRIVATE_EVERY_S
        self._files_at = now + _FILES_EVERY_S
        self._free_before = free_room(worker.scratch)
        procfs.reset_high_water(worker.pid)

    def look(self) -> Breach | None:
        """Check every limit that is due."""
        status = procfs.read_status(self._worker.pid)
        if status is None:
            return None
        if status.threads > self._limits.max_threads:
            return Breach("killed", f"more than {self._limits.max_threads} threads")
        return self._memory(status) or self._files(status)

    def peak(self) -> int:
        """Most memory above the start's, bytes. The kernel's own high-water mark catches what sampling missed."""
        status = procfs.read_status(self._worker.pid)
        if status is None:
            return self._sampled_peak
        base = self._worker.base
        exact = status.high_water - status.file - base.anonymous - base.shared
        return max(self._sampled_peak, exact, status.own - base.own, 0)

    def last_look_at_files(self) -> Breach | None:
        """After the cell: a quick one may have filled the folder between two looks."""
        return self._measure_files() if self._shrunk() else None

    def _memory(self, status: procfs.Status) -> Breach | None:
        used = status.own - self._worker.base.own
        now = time.monotonic()
        if now >= self._private_at:
            # Writing to shared pages copies them without changing the resident size. Every copy is a page fault, so
            # the costly look is worth it only after many.
            faults = procfs.minor_faults(self._worker.pid)
            if (faults - self._faults) * _PAGE >= _COPIES_WORTH_A_LOOK:
                self._faults = faults
                used = max(used, procfs.private_bytes(self._worker.pid) - self._worker.base_private)
            self._private_at = _next(now, _PRIVATE_EVERY_S)
        self._sampled_peak = max(self._sampled_peak, used)
        if used <= self._limits.memory_bytes:
            return None
        allowed = self._limits.memory_bytes // _MIB
        return Breach("memory", f"it used more than the {allowed} MiB of memory a session may have")

    def _files(self, status: procfs.Status) -> Breach | None:
        now = time.monotonic()
        if now < self._files_at and not self._shrunk():
            return None
        breach = self._measure_files()
        self._free_before = free_room(self._worker.scratch)
        self._files_at = _next(now, _FILES_EVERY_S)
        return breach

    def _shrunk(self) -> bool:
        """Whether the file system lost so much room since the last look that a new one is worth its cost."""
        room, before = free_room(self._worker.scratch), self._free_before
        lost = before.bytes - room.bytes
        return lost >= self._limits.scratch_bytes // 4 or before.entries - room.entries >= scratch.MAX_ENTRIES // 4

    def _measure_files(self) -> Breach | None:
        limit = self._limits.scratch_bytes
        usage = scratch.measure(self._worker.scratch, stop_at_bytes=limit)
        hidden = procfs.hidden_file_bytes(self._worker.pid, self._worker.scratch)
        if usage.bytes + hidden > limit:
            return Breach("killed", f"its scratch folder holds more than {limit // _MIB} MiB")
        if usage.too_deep:
            return Breach("killed", f"its scratch folder is nested more than {scratch.MAX_DEPTH} deep")
        if usage.entries > scratch.MAX_ENTRIES:
            return Breach("killed", f"its scratch folder holds more than {scratch.MAX_ENTRIES} files")
        return None


class Room(NamedTuple):
    """What a file system has left."""

    bytes: int
    entries: int
    """Files and folders; in memory-backed ones these take no bytes."""


def free_room(path: str) -> Room:
    """Free room of the file system a folder lies on."""
    info = os.statvfs(path)
    return Room(info.f_bfree * info.f_frsize, info.f_ffree)


def _next(begun: float, interval: float) -> float:
    now = time.monotonic()
    return now + max(interval, _COST_FACTOR * (now - begun))
