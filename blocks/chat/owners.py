"""Who holds a claim on a call, and whether that process still lives."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import uuid
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import Connection, text

Life = Literal["alive", "dead", "unknown"]


class Owner(NamedTuple):
    """One open journal in one process."""

    place: str
    """Where `pid` means something: host, boot and PID namespace."""
    pid: int
    started: str
    """When the process started, so that a PID used anew is not taken for it."""
    nonce: str

    def __str__(self) -> str:
        """The form kept in the store."""
        return json.dumps(self)


def new_owner() -> Owner:
    """A new owner in this process."""
    return Owner(_place(), os.getpid(), _start_time(os.getpid()) or "", uuid.uuid4().hex)


def life(text: str) -> Life:
    """Whether the process behind a stored owner lives; unknown when it is of another host or container."""
    try:
        owner = Owner(*json.loads(text))
    except (ValueError, TypeError):
        return "unknown"
    if owner.place != _place() or not owner.started:
        return "unknown"
    started = _start_time(owner.pid)
    if started is None and _hidden(owner.pid):
        return "unknown"
    return "alive" if started == owner.started else "dead"


def appear(connection: Connection, owner: str) -> None:
    """Shows others that an owner is connected, for as long as the connection lives; in PostgreSQL only."""
    if connection.dialect.name == "postgresql":
        connection.execute(_APPEAR, {"lock": _lock(owner)})


def present(connection: Connection, owner: str) -> bool:
    """Whether an owner is connected. In SQLite, which has no server that could tell, everybody is."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(_PRESENT, {"lock": _lock(owner)}).scalar())


# Shared: an owner that connects again must not wait for the end of its old connection, nor lose the lock with it.
_APPEAR = text("SELECT pg_advisory_lock_shared(:lock)")
# Looking at the lock, rather than trying it, keeps those who look at the same time out of each other's way.
_PRESENT = text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (CAST(classid AS BIGINT) << 32 | CAST(objid AS BIGINT)) = :lock)"
)


def _lock(owner: str) -> int:
    return int.from_bytes(hashlib.sha256(owner.encode()).digest()[:8], "big", signed=True)


@cache
def _place() -> str:
    boot, namespace = "", ""
    if Path("/proc/sys/kernel/random/boot_id").exists():
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{platform.node()} {boot} {namespace}"


def _start_time(pid: int) -> str | None:
    """Start time of a living process in clock ticks since boot; None for no process, a zombie or no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The command name, in brackets, may hold anything.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _hidden(pid: int) -> bool:
    """Whether the process is there but not ours to see, as with /proc mounted hidepid."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False
