"""The machine itself: room for the home, memory, processes, and the kernel's walls that sessions live behind."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from pathlib import Path

from blocks.host.findings import GIB, Finding, HostNeeds, note, ok, wrong
from blocks.sandboxes.models import SandboxLimits
from blocks.sandboxes.process import landlock_abi
from blocks.settings import settings

_MEMORY = Path("/proc/meminfo")
_SECCOMP = Path("/proc/sys/kernel/seccomp/actions_avail")


def look_at_machine(needs: HostNeeds) -> list[Finding]:
    """What can be told without asking anybody."""
    if sys.platform != "linux":
        return [wrong("kernel", f"{platform.system()}, not Linux", "Use a Linux machine as host.")]
    return [*_home(needs.free_gib), _memory(needs.memory_gib), _processes(), *_walls()]


def free_space(what: str, folder: Path, wanted_gib: float, remedy: str) -> Finding:
    """How much room there is in a folder, or where it will be made."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    free = shutil.disk_usage(there).free / GIB
    found = f"{free:.1f} GiB free in {folder}"
    if free < wanted_gib:
        return wrong(what, f"{found}, less than {wanted_gib:g}", remedy)
    return ok(what, found)


def _home(wanted_gib: float) -> list[Finding]:
    home = settings().home.absolute()
    there = next(each for each in (home, *home.parents) if each.exists())
    room = free_space(
        "home", home, wanted_gib, "Make room (`python flows/upkeep.py`), or set TRIGPOINT_HOME elsewhere."
    )
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return [room]
    return [room, wrong("home", f"{there} cannot be written to", "Give this user the folder, or set TRIGPOINT_HOME.")]


def _memory(wanted_gib: float) -> Finding:
    lines = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
    free, total = (int(lines[name].split()[0]) * 1024 / GIB for name in ("MemAvailable", "MemTotal"))
    found = f"{free:.1f} of {total:.1f} GiB available"
    if free < wanted_gib:
        return wrong("memory", f"{found}, less than {wanted_gib:g}", "End what takes it, or take a larger machine.")
    return ok("memory", found)


def _processes() -> Finding:
    limits = SandboxLimits()
    wanted = limits.max_threads * limits.max_sessions * settings().max_containers
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft in (resource.RLIM_INFINITY, -1) or soft >= wanted:
        return ok("processes", "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft} of this user")
    return note(
        "processes",
        f"at most {soft} of this user; {settings().max_containers} full sandboxes have up to {wanted}",
        "Raise it: `ulimit -u`, or LimitNPROC= in the worker's unit.",
    )


def _walls() -> list[Finding]:
    """Needed by both runtimes: a container's sessions are kept apart by the same kernel."""
    abi = landlock_abi()
    newer = "Boot a kernel from 5.13 on with landlock in its list of security modules (`lsm=`)."
    landlock = (
        ok("Landlock", f"ABI {abi}")
        if abi >= 1
        else wrong("Landlock", f"the kernel ({platform.release()}) offers none", newer)
    )
    actions = _SECCOMP.read_text().split() if _SECCOMP.exists() else []
    seccomp = (
        ok("seccomp", "filters may refuse calls")
        if "errno" in actions
        else wrong("seccomp", "the kernel has no seccomp filters", "Boot a kernel with CONFIG_SECCOMP_FILTER.")
    )
    return [landlock, seccomp]
