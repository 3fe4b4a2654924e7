"""Host side of the sandbox: open a sandbox on a dataset, open sessions in it, run cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.sandboxes.choice import RuntimeChoice, default_runtime
from blocks.sandboxes.models import (
    CellError,
    CellResult,
    CellStatus,
    Incident,
    LoadedDataset,
    Note,
    Observer,
    OutputChunk,
    RuntimeName,
    SandboxInfo,
    SandboxLimits,
    SandboxStats,
    SessionStats,
    Submission,
    TaggedValue,
)
from blocks.sandboxes.pool import SandboxPool
from blocks.sandboxes.process import ProcessRuntime
from blocks.sandboxes.reading import ColumnType, ReadingRules
from blocks.sandboxes.runtime import Runtime, Transport
from blocks.sandboxes.sandbox import Sandbox
from blocks.sandboxes.session import Session

if TYPE_CHECKING:
    from blocks.sandboxes.docker import DockerRuntime

__all__ = [
    "CellError",
    "CellResult",
    "CellStatus",
    "ColumnType",
    "DockerRuntime",
    "Incident",
    "LoadedDataset",
    "Note",
    "Observer",
    "OutputChunk",
    "ProcessRuntime",
    "ReadingRules",
    "Runtime",
    "RuntimeChoice",
    "RuntimeName",
    "Sandbox",
    "SandboxInfo",
    "SandboxLimits",
    "SandboxPool",
    "SandboxStats",
    "Session",
    "SessionStats",
    "Submission",
    "TaggedValue",
    "Transport",
    "default_runtime",
]


def __getattr__(name: str) -> Any:
    """Import the docker runtime, and with it the engine's client, only when it is asked for."""
    if name == "DockerRuntime":
        from blocks.sandboxes.docker import DockerRuntime

        return DockerRuntime
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
