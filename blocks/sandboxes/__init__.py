"""Host side of the sandbox: open a sandbox on a dataset, open sessions in it, run cells."""

from __future__ import annotations

from blocks.sandboxes.models import (
    CellError,
    CellResult,
    CellStatus,
    Incident,
    LoadedDataset,
    Note,
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
from blocks.sandboxes.runtime import Runtime, Transport
from blocks.sandboxes.sandbox import Sandbox
from blocks.sandboxes.session import Session

__all__ = [
    "CellError",
    "CellResult",
    "CellStatus",
    "Incident",
    "LoadedDataset",
    "Note",
    "OutputChunk",
    "ProcessRuntime",
    "Runtime",
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
]
