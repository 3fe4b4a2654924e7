"""Which cgroup limits hold for the sandbox, on both versions, and whether the kernel has killed for memory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path("/sys/fs/cgroup")
_UNLIMITED: Final = 1 << 60


def limits() -> dict[str, Any]:
    """Version and the limits in force: memory_bytes, pids, cpus; a limit that is not set is absent."""
    if (_ROOT / "cgroup.controllers").exists():
        return {"version": 2, **_present(_second())}
    return {"version": 1, **_present(_first())}


class OomCounter:
    """Counts the kernel's out-of-memory kills in the sandbox's cgroup. Opened before the walls hide the file."""

    def __init__(self) -> None:
        self._fd = -1
        own = _own_folder("memory")
        for path in (own / "memory.events", own / "memory.oom_control", _ROOT / "memory.events"):
            with contextlib.suppress(OSError):
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                return

    def read(self) -> int:
        """Kills so far; 0 where the kernel does not say."""
        if self._fd < 0:
            return 0
        for line in os.pread(self._fd, 4096, 0).splitlines():
            name, _, value = line.partition(b" ")
            if name == b"oom_kill":
                return int(value)
        return 0


def _own_folder(controller: str) -> Path:
    """The folder of this process's cgroup; in a container's own namespace that is the root."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if names == "" and (_ROOT / "cgroup.controllers").exists():
                return _existing(_ROOT, path)
            if controller in names.split(","):
                return _existing(_ROOT / controller, path)
    return _ROOT / controller


def _existing(base: Path, path: str) -> Path:
    folder = base / path.lstrip("/")
    return folder if folder.is_dir() else base


def _number(path: Path) -> int | None:
    try:
        value = int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return value if 0 < value < _UNLIMITED else None


def _first() -> dict[str, Any]:
    quota = _number(_own_folder("cpu") / "cpu.cfs_quota_us")
    period = _number(_own_folder("cpu") / "cpu.cfs_period_us")
    return {
        "memory_bytes": _number(_own_folder("memory") / "memory.limit_in_bytes"),
        "pids": _number(_own_folder("pids") / "pids.max"),
        "cpus": quota / period if quota and period else None,
    }


def _second() -> dict[str, Any]:
    folder = _own_folder("")
    cpus = None
    with contextlib.suppress(OSError, ValueError):
        quota, period = (folder / "cpu.max").read_text().split()
        cpus = int(quota) / int(period)
    return {"memory_bytes": _number(folder / "memory.max"), "pids": _number(folder / "pids.max"), "cpus": cpus}


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
