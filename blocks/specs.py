"""Which sandboxes and which model a run wants: plain values that the workbench makes real."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from blocks.sandboxes.models import SandboxLimits


@dataclass(frozen=True)
class PoolSpec:
    """Which sandboxes a run wants; equal specs share one pool."""

    runtime: Literal["auto", "docker", "process"] = "auto"
    docker_host: str | None = None
    allow_weak: bool = False
    limits: SandboxLimits = field(default_factory=SandboxLimits)


@dataclass(frozen=True)
class ModelSpec:
    """Which model a run asks, and whether only journals may answer.

    Attributes:
        model: As the user names it.
        base_url: Address of the endpoint, if the name alone does not say it.
        offline: Answer from journals only.
        replay: Recorded journals that may answer.
        max_in_flight: Calls under way at once.
    """

    model: str
    base_url: str | None = None
    offline: bool = False
    replay: tuple[Path, ...] = ()
    max_in_flight: int = 8
