"""Drives a real zygote at the wire: starts the program, sends frames, collects what comes back."""

from __future__ import annotations

import base64
import os
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox_image.zygote.protocol import Decoder, Frame, Kind, encode

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0
"""How long a test waits for a frame before it fails. Never an expectation about speed."""

LIMITS: dict[str, Any] = {
    "max_sessions": 16,
    "spare_sessions": 0,
    "memory_bytes": 2**29,
    "scratch_bytes": 2**24,
    "max_threads": 32,
    "output_head_bytes": 1_000,
    "output_tail_bytes": 500,
    "max_figures": 2,
    "max_event_bytes": 200_000,
}
TABLE = b"group,value\na,1\nb,2\na,3\n"


@dataclass
class Outcome:
    """One cell, as the host would see it."""

    end: dict[str, Any]
    stdout: str
    stderr: str
    events: list[dict[str, Any]]
    frames: list[Frame] = field(repr=False)

    @property
    def status(self) -> str:
        return str(self.end["status"])

    @property
    def kept(self) -> bool:
        return bool(self.end["namespace"] == "kept")

    @property
    def reason(self) -> str:
        return str(self.end["reason"])

    @property
    def value(self) -> str | None:
        return next((event["repr"] for event in self.events if event["type"] == "value"), None)

    @property
    def error(self) -> dict[str, Any]:
        return next(event for event in self.events if event["type"] == "error")

    @property
    def figures(self) -> list[bytes]:
        return [base64.b64decode(event["png"]) for event in self.events if event["type"] == "figure"]


QUICKLY = ("--preload", "tables")
"""For a zygote of a test that wants no library."""


class Zygote:
    """A started zygote. Frames of other sessions that arrive meanwhile are kept for whoever asks for them."""

    def __init__(self, scratch: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.scratch = scratch
        self._decoder = Decoder()
        self._kept: list[Frame] = []
        self._cells = 0
        self.process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "sandbox_image.zygote", "--scratch", str(scratch), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", **(environment or {})},
        )

    def close(self) -> int:
        """Hang up, as a host does; returns the exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            return self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def send(self, kind: Kind, session: int = 0, payload: bytes | dict[str, Any] = b"") -> None:
        self.send_raw(encode(kind, session, payload))

    def send_raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self, *kinds: Kind, session: int = 0) -> Frame:
        """The next frame of one of these kinds for the session; others wait for their turn."""
        return self.collect(*kinds, session=session)[-1]

    def collect(self, *kinds: Kind, session: int = 0) -> list[Frame]:
        """All frames for the session up to the first of these kinds."""
        taken: list[Frame] = []
        pending, self._kept = self._kept, []
        while True:
            for position, frame in enumerate(pending):
                if frame.session != session:
                    self._kept.append(frame)
                    continue
                taken.append(frame)
                if frame.kind in kinds:
                    self._kept += pending[position + 1 :]
                    return taken
            pending = self._read()

    def _read(self) -> list[Frame]:
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        readable, _, _ = select.select([descriptor], [], [], PATIENCE_S)
        assert readable, "the zygote sends nothing"
        data = os.read(descriptor, 1 << 18)
        assert data, f"the zygote ended (exit code {self.process.wait(PATIENCE_S)})"
        return self._decoder.feed(data)

    def load(self, data: bytes = TABLE, **options: Any) -> Frame:
        header = {"name": "t", "bytes": len(data), "rules": None, "max_columns": 5_000}
        self.send(Kind.LOAD, 0, {**header, **options})
        for start in range(0, len(data), 65_536):
            self.send(Kind.DATA, 0, data[start : start + 65_536])
        self.send(Kind.DATA, 0, b"")
        return self.receive(Kind.LOADED, Kind.LOAD_FAILED, Kind.REFUSED)

    def open(self, session: int, **limits: Any) -> Frame:
        self.send(Kind.OPEN, session, {"limits": {**LIMITS, **limits}})
        return self.receive(Kind.OPENED, Kind.REFUSED, session=session)

    def shut(self, session: int) -> None:
        self.send(Kind.CLOSE, session)
        self.receive(Kind.CLOSED, Kind.REFUSED, session=session)

    def begin(self, session: int, code: str, timeout_s: float = 60, grace_s: float = 60) -> int:
        self._cells += 1
        request = {"cell": self._cells, "code": code, "timeout_s": timeout_s, "grace_s": grace_s}
        self.send(Kind.RUN, session, request)
        return self._cells

    def finish(self, session: int) -> Outcome:
        frames = self.collect(Kind.END, Kind.REFUSED, session=session)
        assert frames[-1].kind == Kind.END, frames[-1].payload
        return Outcome(
            end=frames[-1].json(),
            stdout=b"".join(frame.payload for frame in frames if frame.kind == Kind.STDOUT).decode(),
            stderr=b"".join(frame.payload for frame in frames if frame.kind == Kind.STDERR).decode(),
            events=[frame.json() for frame in frames if frame.kind == Kind.EVENT],
            frames=frames,
        )

    def run(self, session: int, code: str, timeout_s: float = 60, grace_s: float = 60) -> Outcome:
        cell = self.begin(session, code, timeout_s, grace_s)
        outcome = self.finish(session)
        assert outcome.end["cell"] == cell
        return outcome
