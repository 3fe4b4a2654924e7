"""What the kernel says about a session's process: memory, threads, processor time."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Final, NamedTuple

_KIB: Final = 1024
_WANTED: Final = {
    b"VmHWM": "high_water",
    b"VmPTE": "page_tables",
    b"RssAnon": "anonymous",
    b"RssFile": "file",
    b"RssShmem": "shared",
    b"VmSwap": "swapped",
    b"Threads": "threads",
}


class Status(NamedTuple):
    """Sizes in bytes."""

    high_water: int = 0
    """Most that was ever resident at once since `reset_high_water`."""
    page_tables: int = 0
    anonymous: int = 0
    file: int = 0
    shared: int = 0
    swapped: int = 0
    threads: int = 0

    @property
    def own(self) -> int:
        """Everything that is not a mapped file: what a program allocates, and what the kernel spends on mapping it."""
        return self.anonymous + self.shared + self.swapped + self.page_tables


def read_status(pid: int) -> Status | None:
    """What /proc says now; None for a process that has ended."""
    data = _read(f"/proc/{pid}/status")
    if data is None:
        return None
    values: dict[str, int] = {}
    for line in data.split(b"\n"):
        name, _, rest = line.partition(b":")
        field = _WANTED.get(name)
        if field is not None:
            number = int(rest.split()[0])
            values[field] = number if field == "threads" else number * _KIB
    # A process that is just ending has no memory lines any more.
    return Status(**values) if "anonymous" in values else None


def private_bytes(pid: int) -> int:
    """Memory no other process shares, including copies made by writing to shared pages; 0 for an ended process.

    The kernel walks all page tables for it: some milliseconds for a gigabyte.
    """
    data = _read(f"/proc/{pid}/smaps_rollup")
    if data is None:
        return 0
    total = 0
    for line in data.split(b"\n"):
        if line.startswith((b"Private_Dirty:", b"Swap:")):
            total += int(line.split()[1]) * _KIB
    return total


def minor_faults(pid: int) -> int:
    """Pages it was given or had copied so far without reading a disk; 0 for an ended process."""
    data = _read(f"/proc/{pid}/stat")
    return int(data.rpartition(b")")[2].split()[7]) if data else 0


def proportional_bytes(pid: int) -> int:
    """The process's fair share of the memory it maps (PSS); 0 for an ended process."""
    data = _read(f"/proc/{pid}/smaps_rollup") or b""
    return sum(int(line.split()[1]) * _KIB for line in data.split(b"\n") if line.startswith(b"Pss:"))


def reset_high_water(pid: int) -> None:
    """Make VmHWM count from now. Where the kernel refuses, peaks are measured by sampling alone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(f"/proc/{pid}/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"5")
        finally:
            os.close(descriptor)


def prefer_as_victim(pid: int) -> None:
    """Make the kernel end this process first when memory runs out."""
    with contextlib.suppress(OSError):
        descriptor = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"1000")
        finally:
            os.close(descriptor)


def cpu_seconds(pid: int) -> float | None:
    """Processor time of all its threads so far; None for a process that has been reaped."""
    # The kernel's numbering of another process's CPU clock: inverted pid, then the scheduler clock's type.
    clock = (~pid << 3) | 2
    try:
        return time.clock_gettime(clock)
    except OSError:
        return None


def hidden_file_bytes(pid: int, folder: str) -> int:
    """Blocks of files in a folder that are deleted but still open in a process: a walk of the folder misses them."""
    total = 0
    seen: set[tuple[int, int]] = set()
    prefix = folder + "/"
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                link = f"/proc/{pid}/fd/{name}"
                if not os.readlink(link).startswith(prefix):
                    continue
                info = os.stat(link)
                if info.st_nlink == 0 and (info.st_dev, info.st_ino) not in seen:
                    seen.add((info.st_dev, info.st_ino))
                    total += info.st_blocks * 512
    return total + _mapped_only_bytes(pid, prefix, seen)


def _mapped_only_bytes(pid: int, prefix: str, seen: set[tuple[int, int]]) -> int:
    # A deleted file kept by a mapping alone has no size anyone may ask for; the mapping's reach is what is known of it.
    total = 0
    for line in (_read(f"/proc/{pid}/maps") or b"").split(b"\n"):
        if not line.endswith(b" (deleted)"):
            continue
        span, _, offset, device, inode, name = line.split(None, 5)
        major, _, minor = device.partition(b":")
        key = (os.makedev(int(major, 16), int(minor, 16)), int(inode))
        if os.fsdecode(name).startswith(prefix) and key not in seen:
            start, _, end = span.partition(b"-")
            total += int(end, 16) - int(start, 16) + int(offset, 16)
    return total


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        pieces = []
        while piece := os.read(descriptor, 65536):
            pieces.append(piece)
        return b"".join(pieces)
    except OSError:
        return None
    finally:
        os.close(descriptor)
