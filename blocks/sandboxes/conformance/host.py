"""The host's own view of a runtime: which processes are a session's, and whether they are gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from blocks.sandboxes.conformance.harness import PromiseBroken, answer, brief, expect
from blocks.sandboxes.session import Session

# These belong to the host or the engine, not to a sandbox.
OUTSIDE = ("containerd-shim", "systemd", "dockerd", "init", "docker-init", "tini")


class Seen(NamedTuple):
    """A process, told apart from a later one of the same number by its start."""

    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that only waits to be collected does not."""
        return look(self.pid) == self and state(self.pid) not in "ZX"


def look(pid: int) -> Seen | None:
    """The process of that number, if there is one."""
    fields = _stat(pid)
    return Seen(pid, fields[19]) if fields else None


def state(pid: int) -> str:
    """Its one-letter state; X when it is gone."""
    fields = _stat(pid)
    return fields[0] if fields else "X"


def parent(pid: int) -> int:
    """The number of its parent; 0 when it is gone."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def name(pid: int) -> str:
    """Its short name."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _start(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def _stat(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


MARK = """
import ctypes, os
ctypes.CDLL(None).prctl(15, {mark!r}, 0, 0, 0)
submit(os.getcwd())
"""


async def find(session: Session) -> tuple[int, str]:
    """The host's number of a session's process, and the path of its scratch folder as it sees it.

    The session gives itself a name that no other process has; the host looks for it. So it is found across process
    namespaces, without asking the runtime under test.
    """
    mark = f"tp-{secrets.token_hex(4)}"
    result = await session.run(MARK.format(mark=mark.encode()))
    expect(result.status == "ok" and result.submission is not None, f"a session cannot be marked: {brief(result)}")
    found = [pid for pid in pids() if name(pid) == mark]
    if len(found) != 1:
        raise PromiseBroken(f"the session's process is not visible on this host: {found}")
    return found[0], answer(result)


def pids() -> list[int]:
    """All processes of the host."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def zygotes(session_pid: int, owner: int) -> list[int]:
    """What stands between a session and its owner or the engine, nearest to the session first."""
    chain = []
    pid = parent(session_pid)
    # Older than the owner is whatever started the owner, the engine or the session: none of the sandbox's.
    while pid not in (0, 1, owner) and name(pid) not in OUTSIDE and _start(pid) >= _start(owner):
        chain.append(pid)
        pid = parent(pid)
    expect(chain, f"no zygote stands above process {session_pid}")
    return chain


async def gone(seen: Iterable[Seen], seconds: float) -> float:
    """Wait until processes are gone; returns how long it took.

    Raises:
        PromiseBroken: Some are still there.
    """
    start = time.monotonic()
    left = [process for process in seen if process.alive]
    while left:
        if time.monotonic() - start > seconds:
            raise PromiseBroken(f"still running after {seconds:.0f} s: {[(p.pid, name(p.pid)) for p in left]}")
        await asyncio.sleep(0.05)
        left = [process for process in left if process.alive]
    return time.monotonic() - start
