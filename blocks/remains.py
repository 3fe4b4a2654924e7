"""What upkeep looks at, as plain records: flow runs that have not ended, and containers of flows and sandboxes."""

from __future__ import annotations

import signal
from datetime import datetime
from typing import Literal

from blocks.frozen import Frozen

SILENT_AT_LEAST_S = 600.0
"""However often a run's heart beats, it is not called dead before it was silent for so long, seconds."""
BEATS_MISSED = 3


class Run(Frozen):
    """A flow run of Trigpoint, as the server knows it."""

    id: str
    name: str
    flow: str
    state: str
    """Type of its state, in lower case."""
    state_id: str
    since: datetime
    """When it came into this state."""
    began: datetime | None = None
    """When it first began, or was to."""
    final: bool = False
    part: bool = False
    """Whether it runs inside of another run's process."""
    heard: datetime | None = None
    """Its last heartbeat."""
    owner: str = ""
    """The process it signed in from, as `owner_tag` names it; empty when it never got that far."""
    container: str = ""
    """The container that process is in, where it is in one."""
    process: Literal["alive", "gone", "unknown"] = "unknown"
    """unknown: of another host or of a container, or it never signed in."""

    @property
    def last_sign(self) -> datetime:
        """When it was last heard of."""
        return max(self.since, self.heard) if self.heard else self.since

    def has(self, box: Box) -> bool:
        """Whether a container is this run's: the one it is in, or a sandbox of it."""
        return self.id == box.run or self.container == box.id or (bool(box.owner) and box.owner == self.owner)

    @property
    def label(self) -> str:
        """How people find it."""
        return f"{self.flow}/{self.name} ({self.id[:8]})"


class Box(Frozen):
    """A container of ours: that of a flow run, or a sandbox."""

    id: str
    name: str
    kind: Literal["flow", "sandbox"]
    run: str = ""
    """The flow run it is, or serves; empty where nobody knows."""
    state: str
    """As the engine says it: created, running, paused, exited, …"""
    owner: str = ""
    """A sandbox's owner, as `owner_tag` names it."""
    orphan: bool = False
    """A sandbox whose owner is known to be gone."""

    @property
    def alive(self) -> bool:
        """Whether anything in it can still run, or go on running."""
        return self.state in {"running", "paused", "restarting"}


def silence_s(heartbeat_s: float, wished_s: float) -> float:
    """For how long a run must not have been heard of before it may be called dead, seconds."""
    return max(BEATS_MISSED * heartbeat_s, SILENT_AT_LEAST_S, wished_s)


def ending(exit_code: int, *, out_of_memory: bool) -> str:
    """How a container ended, told apart as far as the engine can, in words that follow "its container"."""
    if out_of_memory:
        return f"ran out of memory and the kernel killed in it (OOM, exit code {exit_code})"
    if exit_code == 128 + signal.SIGKILL:
        return "was killed (exit code 137, SIGKILL, not for memory): docker kill, or a stop that lost its patience"
    if exit_code == 128 + signal.SIGTERM:
        return "was told to stop (exit code 143, SIGTERM): docker stop, or a shutdown"
    if 128 < exit_code < 160:
        return f"ended by signal {exit_code - 128} (exit code {exit_code})"
    return "ended by itself (exit code 0)" if exit_code == 0 else f"ended with an error (exit code {exit_code})"
