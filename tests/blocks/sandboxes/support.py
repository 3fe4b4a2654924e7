"""Runtimes for the host side's tests: the real warden and pipes around a fake zygote."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from blocks.sandboxes import ProcessRuntime, SandboxLimits
from blocks.sandboxes.process import ProcessTransport

FAKE = Path(__file__).with_name("fake_zygote.py")
LIMITS = SandboxLimits(max_sessions=4, cell_timeout_s=30, grace_s=0.2, start_timeout_s=200, load_timeout_s=200)


class FakeRuntime(ProcessRuntime):
    """The process runtime with a zygote that has no libraries and obeys orders.

    Args:
        more: Variables of the zygote's environment, e.g. FAKE_PROTOCOL.
    """

    def __init__(self, more: Mapping[str, str] | None = None) -> None:
        super().__init__(allow_weak=True)
        self.more = dict(more or {})
        self.started: list[ProcessTransport] = []

    async def start(self, limits: SandboxLimits) -> ProcessTransport:
        """Start it, and remember it for the test."""
        transport = await super().start(limits)
        self.started.append(transport)
        return transport

    def _command(self, folder: Path, scratch: Path, limits: SandboxLimits) -> list[str]:
        command = super()._command(folder, scratch, limits)
        assignments = [f"{name}={value}" for name, value in self.more.items()]
        cut = command.index("-m")
        python = command[cut - 4]
        return [*command[: cut - 4], "/usr/bin/env", *assignments, python, "-s", "-P", "-B", str(FAKE)]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        pids = [int(child) for child in children.read_text().split()]
    except OSError:
        pids = []
    return [pid, *(member for child in pids for member in tree(child))]


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))
