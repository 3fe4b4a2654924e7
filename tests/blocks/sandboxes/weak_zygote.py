"""A zygote with walls left out on purpose, to see whether the conformance suite notices.

Run as `python -m tests.blocks.sandboxes.weak_zygote WITHOUT ZYGOTE-ARGUMENTS...`.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blocks.sandboxes.process import ProcessRuntime


class WeakRuntime(ProcessRuntime):
    """The process runtime, one wall short.

    Args:
        without: A name from `WITHOUT`.
    """

    def __init__(self, without: str) -> None:
        super().__init__()
        self.without = without

    def _command(self, folder: Path, scratch: Path) -> list[str]:
        command = super()._command(folder, scratch)
        at = command.index("sandbox_image.zygote")
        return [*command[:at], "tests.blocks.sandboxes.weak_zygote", self.without, *command[at + 1 :]]


def _nothing(*_: Any, **__: Any) -> None:
    return None


def without_landlock() -> None:
    """Files and signals are not confined."""
    from sandbox_image.zygote.walls import landlock

    landlock.restrict = _nothing


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
    "seccomp": without_seccomp,
    "landlock and seccomp": without_both,
    "signal walls": without_signal_walls,
    "closing": without_closing,
    "watch": without_watch,
}


if __name__ == "__main__":
    WITHOUT[sys.argv.pop(1)]()
    runpy.run_module("sandbox_image.zygote", run_name="__main__", alter_sys=True)
