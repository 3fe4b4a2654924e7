"""How a sandbox's container is made: the outer wall as the engine's options, and which of them are in force."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from blocks.sandboxes.models import SandboxLimits
from sandbox_image.zygote.protocol import PROTOCOL_VERSION

logger = logging.getLogger(__name__)

LABEL_RUN = "trigpoint.run"
LABEL_OWNER = "trigpoint.owner"
LABEL_CONTAINER = "trigpoint.container"
"""Id of the container of the same engine that the owner runs in, where it does."""
LABEL_PROTOCOL = "trigpoint.protocol"
LABEL_FLOW_RUN = "trigpoint.flow-run"
"""The flow run a sandbox serves, where it was known when the container was made."""
LABEL_ROLE = "trigpoint.role"
SANDBOX_ROLE = "sandbox"
USER = "65534:65534"
SCRATCH = "/tmp"
ZYGOTE_BYTES = 2 * 2**30
"""Memory for the zygote itself: its libraries, the dataset as a file and as a frame, and reading it."""
SEATS = 32
"""Sandboxes are made for so many sessions or a multiple, whatever a run wants of them: a ceiling costs nothing, and
what one flow leaves waiting then fits the next."""
MEMORY_SHARE = 0.8
"""Largest share of the engine's memory one sandbox may be given."""
_SPARE_TASKS = 32
_SPARE_SCRATCH = 64 * 2**20
_SECCOMP = Path(__file__).resolve().parents[2] / "sandbox_image" / "seccomp.json"


@dataclass(frozen=True)
class Facts:
    """What the engine says of itself, as far as limits go.

    Args:
        memory: Bytes of the engine's machine.
        cpus: Its CPUs.
        cgroup: Version of its control groups, "1" or "2".
        enforces: Which limits the engine says it can enforce.
        warnings: What it warns of.
        version: Of the engine.
        name: Of its machine.
    """

    memory: int
    cpus: int
    cgroup: str
    enforces: Mapping[str, bool]
    warnings: tuple[str, ...]
    version: str
    name: str = ""

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Facts:
        """Read the engine's `info` answer."""
        security = " ".join(info.get("SecurityOptions") or ())
        enforces = {
            "memory": bool(info.get("MemoryLimit")),
            "swap": bool(info.get("SwapLimit")),
            "pids": bool(info.get("PidsLimit")),
            "cpus": bool(info.get("CpuCfsQuota")),
            "seccomp": "name=seccomp" in security,
            "apparmor": "name=apparmor" in security,
        }
        return cls(
            memory=int(info.get("MemTotal") or 0),
            cpus=int(info.get("NCPU") or 1),
            cgroup=str(info.get("CgroupVersion") or "1"),
            enforces=enforces,
            warnings=tuple(info.get("Warnings") or ()),
            version=str(info.get("ServerVersion") or ""),
            name=str(info.get("Name") or ""),
        )


@dataclass(frozen=True)
class Sizes:
    """The sandbox's own limits, from those of its sessions and what the engine has. Bytes, tasks, CPUs."""

    memory: int
    tasks: int
    cpus: float
    scratch: int

    @classmethod
    def of(cls, limits: SandboxLimits, facts: Facts) -> Sizes:
        """Room for every session at its own limit, or as much as the machine can give."""
        sessions = ceil(limits.max_sessions / SEATS) * SEATS
        # The dataset passes through a file there on its way in.
        scratch = limits.scratch_bytes * sessions + limits.max_dataset_bytes + _SPARE_SCRATCH
        # Pages of the scratch file system count as memory of the container.
        wanted = ZYGOTE_BYTES + limits.memory_bytes * sessions + scratch
        memory = min(wanted, int(facts.memory * MEMORY_SHARE)) if facts.memory else wanted
        return cls(
            memory=memory,
            tasks=(limits.max_threads + 2) * sessions + _SPARE_TASKS,
            cpus=min(limits.cpus, float(facts.cpus)),
            scratch=min(scratch, memory),
        )


@cache
def seccomp_profile() -> str:
    """The outer wall's system calls, in the engine's JSON."""
    return _SECCOMP.read_text()


def host_options(sizes: Sizes, runtime: str | None) -> dict[str, Any]:
    """Arguments of docker-py's `create_host_config`: everything a container may not do."""
    options: dict[str, Any] = {
        "network_mode": "none",
        # No look at the host's resolver, which the engine copies even into a container without a network.
        "dns": ["127.0.0.1"],
        "dns_search": ["."],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={seccomp_profile()}"],
        "read_only": True,
        "tmpfs": {SCRATCH: f"rw,noexec,nosuid,nodev,size={sizes.scratch},mode=0700,uid=65534,gid=65534"},
        "shm_size": 1024 * 1024,
        "ipc_mode": "private",
        "init": True,
        "mem_limit": sizes.memory,
        "memswap_limit": sizes.memory,
        "nano_cpus": int(sizes.cpus * 1e9),
        "pids_limit": sizes.tasks,
        "ulimits": [
            {"name": "core", "soft": 0, "hard": 0},
            {"name": "nofile", "soft": 4096, "hard": 4096},
            {"name": "fsize", "soft": sizes.scratch, "hard": sizes.scratch},
        ],
        "log_config": {"type": "none", "config": {}},
        "auto_remove": True,
    }
    if runtime:
        options["runtime"] = runtime
    return options


def labels_of(image_labels: Mapping[str, str], run: str, owner: str, more: Mapping[str, str]) -> dict[str, str]:
    """The container's labels: who owns it, to which run it belongs."""
    return {
        **more,
        LABEL_ROLE: SANDBOX_ROLE,
        LABEL_RUN: run,
        LABEL_OWNER: owner,
        LABEL_PROTOCOL: image_labels.get(LABEL_PROTOCOL, str(PROTOCOL_VERSION)),
    }


def outer_walls(facts: Facts, sizes: Sizes, runtime: str | None, warnings: list[str]) -> dict[str, Any]:
    """What is really in force around the sandbox; a limit the engine cannot enforce is null."""

    def enforced(name: str, value: float) -> float | None:
        return value if facts.enforces[name] else None

    return {
        "kind": "container",
        "engine": facts.version,
        "runtime": runtime or "default",
        "cgroup": facts.cgroup,
        "network": "none",
        "root": "read-only",
        "user": USER,
        "capabilities": "none",
        "seccomp": facts.enforces["seccomp"],
        "apparmor": facts.enforces["apparmor"],
        "memory_bytes": enforced("memory", sizes.memory),
        "swap": "none" if facts.enforces["swap"] else "not limited",
        "tasks": enforced("pids", sizes.tasks),
        "cpus": enforced("cpus", sizes.cpus),
        "scratch_bytes": sizes.scratch,
        "engine_warnings": [*facts.warnings, *warnings],
    }
