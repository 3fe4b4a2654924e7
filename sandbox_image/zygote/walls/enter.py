"""Puts the walls up: what is probed once, what the zygote's own processes enter, what a session enters."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from typing import Any

from sandbox_image.zygote.walls import landlock, libraries, privileges, seccomp
from sandbox_image.zygote.walls.syscalls import Architecture, current


class WallsMissing(Exception):
    """This machine lacks a wall, and going without was not allowed."""


@dataclass(frozen=True)
class Walls:
    """What this machine offers, and descriptors on what sessions may read, opened while everything was reachable."""

    landlock_abi: int
    architecture: Architecture | None
    shared_rules: tuple[landlock.Rule, ...] = field(default=())

    def report(self) -> dict[str, Any]:
        """What is in force, for HELLO."""
        return {
            "landlock_abi": self.landlock_abi,
            "files": "landlock" if self.landlock_abi else "none",
            "signals": "landlock+seccomp" if self.landlock_abi >= 6 and self.architecture else self._signals(),
            "seccomp": self.architecture is not None,
            "no_new_privileges": True,
            "capabilities": "dac_read_search" if self.landlock_abi and os.geteuid() == 0 else "none",
            "kernel": platform.release(),
            "uid": os.getuid(),
        }

    def _signals(self) -> str:
        if self.architecture is not None:
            return "seccomp"
        return "landlock" if self.landlock_abi >= 6 else "none"


def probe(*, allow_weak: bool) -> Walls:
    """Find out what the machine offers.

    Raises:
        WallsMissing: Landlock or seccomp is missing and `allow_weak` is False.
    """
    version, architecture = landlock.abi(), current()
    if not allow_weak and version < 1:
        raise WallsMissing("this kernel offers no Landlock, so code could read every file of this user")
    if not allow_weak and architecture is None:
        raise WallsMissing(f"no seccomp filter is known for the processor family {platform.machine()}")
    rules = landlock.open_rules(libraries.readable(), landlock.READ)
    rules += landlock.open_rules(libraries.DEVICES_READ, landlock.READ_FILE)
    rules += landlock.open_rules(libraries.DEVICES_WRITTEN, landlock.READ_FILE | landlock.WRITE_FILE)
    return Walls(version, architecture, tuple(rules))


def enter_switchboard(walls: Walls, scratch_root: str, *, removes_root: bool) -> None:
    """Confine the switchboard: libraries read-only, the scratch root, and /proc, by which it watches sessions.

    Args:
        walls: What `probe` found.
        scratch_root: The folder in which sessions have theirs.
        removes_root: It may also remove that folder itself, which takes a right on the folder around it.

    Raises:
        OSError: The kernel refused a wall that `probe` found.
    """
    extra = landlock.open_rules(["/proc"], landlock.READ | landlock.WRITE_FILE)
    if removes_root:
        extra += landlock.open_rules([os.path.dirname(scratch_root)], landlock.REMOVE_DIR)
    _enter(walls, scratch_root, extra)


def enter_template(walls: Walls, scratch_root: str) -> None:
    """Confine the template, inside the switchboard's walls: libraries read-only and the scratch root.

    Raises:
        OSError: The kernel refused a wall that `probe` found.
    """
    _enter(walls, scratch_root, [])


def _enter(walls: Walls, scratch_root: str, extra: list[landlock.Rule]) -> None:
    privileges.no_new_privileges()
    privileges.drop_capabilities(keep_reading=walls.landlock_abi > 0)
    if walls.landlock_abi:
        scratch = landlock.open_rules([scratch_root], landlock.SCRATCH)
        landlock.restrict([*walls.shared_rules, *scratch, *extra], walls.landlock_abi)
    if walls.architecture is not None:
        seccomp.zygote_filter(walls.architecture).install()


def enter_session(walls: Walls, scratch: str, *, file_bytes: int) -> None:
    """Confine a session: libraries read-only, its own folder, its own process.

    Args:
        walls: What `probe` found.
        scratch: The session's folder.
        file_bytes: Largest file it may write.

    Raises:
        OSError: The kernel refused a wall that `probe` found.
    """
    privileges.no_new_privileges()
    privileges.limit_resources(file_bytes)
    privileges.drop_capabilities(keep_reading=walls.landlock_abi > 0)
    if walls.landlock_abi:
        own = landlock.open_rules([scratch], landlock.SCRATCH)
        landlock.restrict([*walls.shared_rules, *own], walls.landlock_abi)
    if walls.architecture is not None:
        seccomp.session_filter(walls.architecture, os.getpid(), walls.landlock_abi).install()
