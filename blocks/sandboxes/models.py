"""What crosses the sandbox's border: limits, load options, and the result of a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from blocks.frozen import Frozen

CellStatus = Literal["ok", "error", "timeout", "memory", "killed", "lost"]
RuntimeName = Literal["docker", "process"]
IncidentKind = Literal["died", "stuck", "protocol", "memory", "session", "engine"]
"""memory: the kernel ended it for want of memory; session: one alone did not end its cell and was replaced; engine: no
sandbox can be started any more, because the engine, its image or the kernel no longer lets us."""
TaggedValue = dict[str, Any]
"""A typed value as the session sent it, see `sandbox_image.zygote.values`: {"t": tag, ...}. Plain JSON."""


class SandboxLimits(Frozen):
    """What one sandbox and each of its sessions may use."""

    max_sessions: Annotated[int, Field(ge=1, le=256, description="sessions alive at once in a sandbox")] = 16
    spare_sessions: Annotated[int, Field(ge=0, le=16, description="processes forked ahead for sessions to come")] = 2
    cell_timeout_s: Annotated[float, Field(gt=0, description="wall clock of a cell, seconds")] = 60.0
    grace_s: Annotated[float, Field(ge=0, description="seconds between the interrupt and the kill")] = 2.0
    memory_bytes: Annotated[int, Field(ge=2**26, description="memory of a session above the zygote's, bytes")] = 2**30
    scratch_bytes: Annotated[int, Field(ge=2**20, description="files in a session's scratch folder, bytes")] = 2**26
    max_threads: Annotated[int, Field(ge=1, description="threads of a session")] = 64
    output_head_bytes: Annotated[int, Field(ge=0, description="start of each output stream that is kept")] = 48_000
    output_tail_bytes: Annotated[int, Field(ge=0, description="end of each output stream that is kept")] = 16_000
    max_figures: Annotated[int, Field(ge=0, description="figures kept per cell")] = 8
    max_event_bytes: Annotated[int, Field(ge=1024, description="largest answer, note, value or figure")] = 4_000_000
    cpus: Annotated[float, Field(gt=0, description="CPUs of the whole sandbox (docker runtime)")] = 2.0
    start_timeout_s: Annotated[float, Field(gt=0, description="seconds until the zygote says hello")] = 90.0
    load_timeout_s: Annotated[float, Field(gt=0, description="seconds for reading the dataset")] = 120.0
    max_dataset_bytes: Annotated[int, Field(ge=1, description="largest dataset file")] = 2**30
    max_columns: Annotated[int, Field(ge=1, description="most columns a dataset may have")] = 5_000
    preload: Annotated[
        Literal["all", "tables"],
        Field(description="libraries ready in every session; tables: pandas and numpy alone, in a quarter of the time"),
    ] = "all"

    def deciding(self) -> dict[str, Any]:
        """Those that can change what comes of a cell: not how many sessions there are, nor how long a start takes."""
        return self.model_dump(mode="json", exclude=_OF_THE_HOST)


_OF_THE_HOST = {
    "max_sessions", "spare_sessions", "cpus", "start_timeout_s", "load_timeout_s", "max_dataset_bytes", "max_columns",
}  # fmt: skip


class CellError(Frozen):
    """The exception that ended a cell, with the user's frames only."""

    name: str
    message: str
    traceback: str


class Note(Frozen):
    """A checkpoint note: what `note()` recorded during the cell."""

    name: str
    value: TaggedValue
    code_line: str = ""
    depends_on: tuple[str, ...] = ()


class Submission(Frozen):
    """What `submit()` sent; the last one of a cell counts."""

    value: TaggedValue


class CellResult(Frozen):
    """What happened when a cell ran. Nothing in it is guessed from text."""

    schema_version: Literal[1] = 1
    cell: int
    status: CellStatus
    reason: str = ""
    """For any status but ok and error: one sentence a model can read."""
    namespace_kept: bool
    """Whether the variables of earlier cells are still there for the next one."""
    stdout: str = ""
    stderr: str = ""
    stdout_dropped: int = 0
    """Bytes cut out of the middle of stdout; the cut is marked in the text."""
    stderr_dropped: int = 0
    value: str | None = None
    """repr of the last expression, as a notebook shows it; None when there is none."""
    value_truncated: bool = False
    error: CellError | None = None
    figures: tuple[bytes, ...] = ()
    """PNG files."""
    submission: Submission | None = None
    notes: tuple[Note, ...] = ()
    events_dropped: int = 0
    """Events refused: malformed, over the size limit, or past the count limit."""
    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Highest resident memory of the session while the cell ran, above what it shared with the zygote at its start."""


class OutputChunk(Frozen):
    """A piece of output while the cell runs."""

    stream: Literal["stdout", "stderr"]
    text: str


class LoadedDataset(Frozen):
    """What the zygote found when it read the file."""

    name: str
    rows: int
    columns: int
    encoding: str
    delimiter: str
    bytes: int
    sha256: str
    seconds: float
    warnings: tuple[str, ...] = ()
    column_notes: dict[str, str] = Field(default_factory=dict)
    """What the file itself says of its columns, by name: a unit, a format that was read."""


class SandboxInfo(Frozen):
    """What a sandbox is made of; goes into an episode's provenance."""

    runtime: RuntimeName
    image_digest: str
    """Docker: the image id (sha256:…). Process: sha256 over the interpreter version and the pinned library versions."""
    python: str
    platform: str
    libraries: dict[str, str]
    walls: dict[str, Any]
    """Which limits and walls are really in force, e.g. landlock_abi, seccomp, memory, pids."""


class SessionStats(BaseModel):
    """What one session uses at the moment; keys a newer zygote adds are ignored."""

    model_config = ConfigDict(frozen=True)

    pid: int = 0
    state: str = ""
    cells: int = 0
    rss_bytes: int = 0
    private_bytes: int = 0
    """Memory that is the session's alone: what it costs above the zygote."""
    cpu_s: float = 0.0
    scratch_bytes: int = 0


class SandboxStats(BaseModel):
    """What a sandbox and its sessions use at the moment."""

    model_config = ConfigDict(frozen=True)

    sessions: dict[int, SessionStats]
    zygote: dict[str, Any] = Field(default_factory=dict)
    """What the zygote says of itself beside its sessions, e.g. pid, rss_bytes, cpu_s."""
    incidents: int = 0
    """How often the zygote was lost and rebuilt."""


class Incident(Frozen):
    """One loss: of a zygote with its sessions, of a session alone, or of the engine."""

    at: AwareDatetime
    kind: IncidentKind
    reason: str
    dataset: str = ""
    """Short name of the dataset."""
    runtime: RuntimeName
    host: str = ""
    """Name of the machine it happened on."""
    sandbox: str = ""
    """Id of the container, or number of the process; empty where none had come up."""
    recovered_s: float | None = None
    """Seconds from the news of the loss until a fresh one was there; None when there is none, or not yet."""
    failure: str = ""
    """Why it could not be built again."""
    diagnostics: str = ""
    """The last lines the zygote wrote to its log."""
    sessions: tuple[int, ...] = ()
    """The sessions whose namespace was lost."""


Observer = Callable[[Incident], None]
"""Told of each incident once it is over, however it went. Called in the event loop: it must not block."""
