"""Who owns a sandbox: a process of a host, named so that a later process can tell whether it still lives."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from functools import cache
from pathlib import Path
from typing import Literal

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS = Path("/proc/self/mountinfo")
# An engine mounts these three from the container's own folder, whose name is its id.
_OWN_FILE = re.compile(r"/([0-9a-f]{64})(?:/userdata)?/(hostname|hosts|resolv\.conf) /etc/\2 ")


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


def container_id(mounts: Path = _MOUNTS) -> str | None:
    """Id of the container this process runs in, as the kernel's table of mounts tells it; None outside of one.

    The host name does not tell it: a container on the host's network has the host's.
    """
    try:
        found = _OWN_FILE.search(mounts.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return found[1] if found else None


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


def standing(tag: str) -> Literal["alive", "gone", "unknown"]:
    """What can be told here of the process a tag names; unknown: it is another host's or container's, or no tag."""
    if owner_is_gone(tag):
        return "gone"
    return "alive" if tag.partition("/")[0] == host_id() else "unknown"


def owner_is_gone(tag: str) -> bool:
    """Whether the tag names a process of this host that no longer lives. Foreign and malformed tags are never gone."""
    host, _, rest = tag.partition("/")
    pid, _, started = rest.partition("/")
    if host != host_id() or not pid.isdecimal() or not started.isdecimal():
        return False
    return start_time(int(pid)) != int(started)


def end_process(tag: str, grace_s: float) -> bool:
    """End a living process of this host, by SIGTERM and after the grace by SIGKILL; whether there was one.

    This process itself is never ended.
    """
    if standing(tag) != "alive" or tag == owner_tag():
        return False
    pid = int(tag.split("/")[1])
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline:
            if owner_is_gone(tag):
                return True
            time.sleep(0.1)
        if not owner_is_gone(tag):
            os.kill(pid, signal.SIGKILL)
    return True
