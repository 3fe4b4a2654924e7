"""A zygote with walls left out on purpose, to see whether the conformance suite notices.

Run as `python -m tests.blocks.sandboxes.weak_zygote WITHOUT HOLE ZYGOTE-ARGUMENTS...`.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from blocks.sandboxes.models import SandboxLimits
from blocks.sandboxes.process import ProcessRuntime


class WeakRuntime(ProcessRuntime):
    """The process runtime, one wall short.

    Args:
        without: A name from `WITHOUT`.
        hole: A folder that may be damaged.
    """

    def __init__(self, without: str, hole: str) -> None:
        super().__init__()
        self.faults = [without, hole]

    def _command(self, folder: Path, scratch: Path, limits: SandboxLimits) -> list[str]:
        command = super()._command(folder, scratch, limits)
        at = command.index("sandbox_image.zygote")
        return [*command[:at], "tests.blocks.sandboxes.weak_zygote", *self.faults, *command[at + 1 :]]


def _nothing(*_: Any, **__: Any) -> None:
    return None


def without_landlock() -> None:
    """Files and signals are not confined."""
    from sandbox_image.zygote.walls import landlock

    landlock.restrict = _nothing


def with_a_hole() -> None:
    """One folder of the host lies open to every session."""
    from sandbox_image.zygote.walls import landlock

    folder, restrict = sys.argv[1], landlock.restrict

    def leaky(rules: Sequence[landlock.Rule], version: int) -> None:
        restrict([*rules, *landlock.open_rules([folder], landlock.SCRATCH)], version)

    landlock.restrict = leaky


def without_seccomp() -> None:
    """Every system call is let through."""
    from sandbox_image.zygote.walls.bpf import Program

    Program.install = _nothing  # type: ignore[method-assign]


def without_both() -> None:
    """Neither files nor system calls are confined."""
    without_landlock()
    without_seccomp()


def without_signal_walls() -> None:
    """Neither Landlock's scope nor the filter keeps signals in."""
    from sandbox_image.zygote.walls import landlock

    without_seccomp()
    landlock.abi = lambda: 5


def without_closing() -> None:
    """Sessions keep the descriptors they were forked with."""
    from sandbox_image.zygote import session

    class Leaky:
        closerange = staticmethod(_nothing)

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    vars(session)["os"] = Leaky()


def without_watch() -> None:
    """Nobody watches memory, threads and files."""
    from sandbox_image.zygote.watch import Watch

    Watch.look = _nothing  # type: ignore[method-assign]
    Watch.last_look_at_files = _nothing  # type: ignore[method-assign]


WITHOUT: dict[str, Callable[[], None]] = {
    "landlock": without_landlock,
    "hole in landlock": with_a_hole,
    "seccomp": without_seccomp,
    "landlock and seccomp": without_both,
    "signal walls": without_signal_walls,
    "closing": without_closing,
    "watch": without_watch,
}


if __name__ == "__main__":
    WITHOUT[sys.argv.pop(1)]()
    del sys.argv[1]
    runpy.run_module("sandbox_image.zygote", run_name="__main__", alter_sys=True)
