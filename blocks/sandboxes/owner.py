"""Who owns a sandbox: a process of a host, named so that a later process can tell whether it still lives."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def host_id() -> str:
    """This host and its current boot; pids of another one mean nothing here.

    A container has a host name of its own, hence a pid namespace of its own is told apart as well.
    """
    boot = _BOOT_ID.read_text().strip()[:8] if _BOOT_ID.exists() else "-"
    return f"{socket.gethostname()}.{boot}.{_pid_namespace()}"


def _pid_namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "-"


def start_time(pid: int) -> int | None:
    """When a process started, clock ticks since boot; None when there is no such process or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command name stands in parentheses and may hold spaces and parentheses itself.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def owner_tag(pid: int | None = None) -> str:
    """Name of a process: host/pid/start time. This process when `pid` is not given."""
    pid = os.getpid() if pid is None else pid
    return f"{host_id()}/{pid}/{start_time(pid) or 0}"


def owner_is_gone(tag: str) -> bool:
    """Whether the tag names a process of this host that no longer lives. Foreign and malformed tags are never gone."""
    host, _, rest = tag.partition("/")
    pid, _, started = rest.partition("/")
    if host != host_id() or not pid.isdecimal() or not started.isdecimal():
        return False
    return start_time(int(pid)) != int(started)
