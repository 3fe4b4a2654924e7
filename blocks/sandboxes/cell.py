"""A running cell on the host's side: its output, events and end become a `CellResult`. All of it is untrusted."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from blocks.sandboxes.models import CellError, CellResult, Note, OutputChunk, SandboxLimits, Submission
from blocks.sandboxes.output import OutputStream
from blocks.sandboxes.tagged import check_tagged
from sandbox_image.zygote.protocol import Frame, Kind

MAX_NOTES = 256
"""Notes kept per cell."""

Tagged = Annotated[dict[str, Any], AfterValidator(check_tagged)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _ValueEvent(_Wire):
    type: Literal["value"]
    repr: str
    truncated: bool


class _ErrorEvent(_Wire):
    type: Literal["error"]
    name: str
    message: str
    traceback: str


class _FigureEvent(_Wire):
    type: Literal["figure"]
    png: str


class _AnswerEvent(_Wire):
    type: Literal["answer"]
    value: Tagged


class _NoteEvent(_Wire):
    type: Literal["note"]
    name: str
    value: Tagged
    code_line: str = ""
    depends_on: Annotated[list[str], Field(max_length=1000)] = []


_Event = _ValueEvent | _ErrorEvent | _FigureEvent | _AnswerEvent | _NoteEvent
_EVENT: TypeAdapter[_Event] = TypeAdapter(Annotated[_Event, Field(discriminator="type")])


class _End(BaseModel):
    """What the zygote says of a cell that ended."""

    cell: int
    status: Literal["ok", "error", "timeout", "memory", "killed"]
    namespace: Literal["kept", "lost"]
    reason: str = ""
    wall_s: float
    cpu_s: float
    peak_bytes: int
    stdout_dropped: Annotated[int, Field(ge=0)] = 0
    stderr_dropped: Annotated[int, Field(ge=0)] = 0


class RunningCell:
    """Collects what a session sends while one cell runs.

    Args:
        cell: The cell's number, as sent with RUN.
        limits: What is kept of output and events.
        on_chunk: Called with each piece of output as soon as it can be shown.
    """

    def __init__(self, cell: int, limits: SandboxLimits, on_chunk: Callable[[OutputChunk], None] | None = None) -> None:
        self.cell = cell
        self.done: asyncio.Future[CellResult] = asyncio.get_running_loop().create_future()
        self._limits = limits
        self._on_chunk = on_chunk
        self._started = time.monotonic()
        self._stdout = OutputStream(limits.output_head_bytes, limits.output_tail_bytes)
        self._stderr = OutputStream(limits.output_head_bytes, limits.output_tail_bytes)
        self._value: _ValueEvent | None = None
        self._error: CellError | None = None
        self._figures: list[bytes] = []
        self._submission: Submission | None = None
        self._notes: list[Note] = []
        self._events_dropped = 0

    def feed(self, frame: Frame) -> None:
        """Take one frame of this session.

        Raises:
            ValueError: The zygote itself wrote something that is not of the protocol.
        """
        if frame.kind == Kind.STDOUT:
            self._show("stdout", self._stdout.feed(frame.payload))
        elif frame.kind == Kind.STDERR:
            self._show("stderr", self._stderr.feed(frame.payload))
        elif frame.kind == Kind.EVENT:
            self._event(frame.payload)
        elif frame.kind == Kind.END:
            end = _End.model_validate_json(frame.payload)
            # The end of an earlier cell that was given up on is not this cell's.
            if end.cell == self.cell:
                self._finish(end)

    def give_up(self, status: Literal["lost", "killed"], reason: str) -> None:
        """End the cell without an END: nobody is left to send one."""
        wall_s = time.monotonic() - self._started
        self._conclude(status, reason, False, (0, 0), wall_s, 0.0, 0)

    def _finish(self, end: _End) -> None:
        kept = end.namespace == "kept"
        dropped = end.stdout_dropped, end.stderr_dropped
        self._conclude(end.status, end.reason, kept, dropped, end.wall_s, end.cpu_s, end.peak_bytes)

    def _conclude(
        self,
        status: Literal["ok", "error", "timeout", "memory", "killed", "lost"],
        reason: str,
        kept: bool,
        dropped: tuple[int, int],
        wall_s: float,
        cpu_s: float,
        peak_bytes: int,
    ) -> None:
        if self.done.done():
            return
        held_out, stdout_dropped = self._stdout.finish(dropped[0])
        held_err, stderr_dropped = self._stderr.finish(dropped[1])
        self._show("stdout", held_out)
        self._show("stderr", held_err)
        error = self._error
        if status == "error" and error is None:
            error = CellError(name="Exception", message="the session did not say what was raised", traceback="")
        result = CellResult(
            cell=self.cell,
            status=status,
            reason=reason,
            namespace_kept=kept,
            stdout=self._stdout.text,
            stderr=self._stderr.text,
            stdout_dropped=stdout_dropped,
            stderr_dropped=stderr_dropped,
            value=None if self._value is None else self._value.repr,
            value_truncated=self._value is not None and self._value.truncated,
            # The status is the zygote's word; an error event beside "ok" is the session's own invention.
            error=error if status != "ok" else None,
            figures=tuple(self._figures),
            submission=self._submission,
            notes=tuple(self._notes),
            events_dropped=self._events_dropped,
            wall_s=wall_s,
            cpu_s=cpu_s,
            peak_bytes=peak_bytes,
        )
        self.done.set_result(result)

    def _show(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        if text and self._on_chunk is not None:
            self._on_chunk(OutputChunk(stream=stream, text=text))

    def _event(self, payload: bytes) -> None:
        # Base64 makes a figure a third larger; the decoded size is checked below.
        room = self._limits.max_event_bytes * 4 // 3 + 1024
        event = _parse_event(payload) if len(payload) <= room else None
        if event is None or not self._take(event, len(payload)):
            self._events_dropped += 1

    def _take(self, event: _Event, size: int) -> bool:
        """Keep an event; False when it is over a limit."""
        if isinstance(event, _FigureEvent):
            return self._take_figure(event)
        if size > self._limits.max_event_bytes + 1024:
            return False
        match event:
            case _ValueEvent():
                self._value = event
            case _ErrorEvent():
                self._error = CellError(name=event.name, message=event.message, traceback=event.traceback)
            case _AnswerEvent():
                self._submission = Submission(value=event.value)
            case _NoteEvent():
                if len(self._notes) >= MAX_NOTES:
                    return False
                note = Note(
                    name=event.name,
                    value=event.value,
                    code_line=event.code_line,
                    depends_on=tuple(event.depends_on),
                )
                self._notes.append(note)
        return True

    def _take_figure(self, event: _FigureEvent) -> bool:
        if len(self._figures) >= self._limits.max_figures:
            return False
        try:
            png = base64.b64decode(event.png, validate=True)
        except (binascii.Error, ValueError):
            return False
        if not png.startswith(b"\x89PNG\r\n\x1a\n") or len(png) > self._limits.max_event_bytes:
            return False
        self._figures.append(png)
        return True


def _parse_event(payload: bytes) -> _Event | None:
    """The event, or None for bytes that are none: the caller counts those."""
    try:
        return _EVENT.validate_json(payload)
    except ValidationError:
        pass
    try:
        # Lone surrogates are legal in a Python str and in JSON escapes, yet no text file can hold them.
        text = json.dumps(json.loads(payload), ensure_ascii=False)
        return _EVENT.validate_json(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
