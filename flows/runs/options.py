"""Options that every run with sandboxes has: where code runs, and how much at once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from blocks.frozen import Frozen
from blocks.sandboxes.models import SandboxLimits
from blocks.specs import PoolSpec

MIB = 2**20


class RuntimeOptions(Frozen):
    """Where code runs."""

    runtime: Annotated[
        Literal["auto", "docker", "process"],
        Field(description="where code runs; auto: docker when an engine and the image are there, else process"),
    ] = "auto"
    docker_host: Annotated[
        str | None, Field(description="engine address unix://, tcp:// or ssh://; empty: DOCKER_HOST or the local one")
    ] = None
    allow_weak: Annotated[
        bool, Field(description="process runtime on a kernel without Landlock: run with the weaker walls")
    ] = False


class SandboxOptions(RuntimeOptions):
    """Where code runs, and what it may use."""

    cell_timeout: Annotated[float, Field(gt=0, le=3600, description="wall clock of a cell, seconds")] = 60.0
    memory: Annotated[int, Field(ge=64, description="memory of a session beyond the shared dataset, MiB")] = 1024
    parallel_datasets: Annotated[int, Field(ge=1, le=64, description="datasets at once in this process")] = 2

    def pool(self) -> PoolSpec:
        """The sandboxes."""
        return PoolSpec(self.runtime, self.docker_host, self.allow_weak, self.limits())

    def limits(self) -> SandboxLimits:
        """The limits of the sandboxes."""
        return SandboxLimits(
            max_sessions=self.sessions(), cell_timeout_s=self.cell_timeout, memory_bytes=self.memory * MIB
        )

    def sessions(self) -> int:
        """Sessions alive at once in a sandbox."""
        return 16
