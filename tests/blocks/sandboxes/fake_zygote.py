"""A zygote without libraries, forks or walls that speaks the protocol: it lets the host side's misfortunes be staged.

Run as a program. Cells are little orders: `out TEXT`, `raw HEX`, `sleep S`, `die`, `hang` (stop answering anything),
`garbage`, `event JSON`, `refuse`, `ignore` (never end; `ignore 600`: its reset takes a while), `count` (a variable kept
in the namespace).
"""

from __future__ import annotations

import hashlib
import os
import select
import signal
import sys
import time
from typing import Any

from sandbox_image.zygote.protocol import PROTOCOL_VERSION, Decoder, Frame, Kind, encode

HELLO: dict[str, Any] = {
    "protocol": int(os.environ.get("FAKE_PROTOCOL", PROTOCOL_VERSION)),
    "python": "3.11.0",
    "platform": "fake",
    "libraries": {"pandas": "3.0"},
    "walls": {"landlock_abi": 0},
    "pid": os.getpid(),
}


class Fake:
    """State of the fake: sessions are counters, running cells have a time to end."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.sessions: dict[int, int] = {}
        self.running: dict[int, tuple[float, dict[str, Any]]] = {}

    def say(self, kind: int, session: int = 0, payload: Any = b"") -> None:
        os.write(1, encode(kind, session, payload))

    def end(self, session: int, order: dict[str, Any], **more: Any) -> None:
        self.running.pop(session, None)
        end = {"cell": order["cell"], "status": "ok", "namespace": "kept", "reason": "", "wall_s": 0.01, "cpu_s": 0.01}
        self.say(Kind.END, session, {**end, "peak_bytes": 1, "stdout_dropped": 0, "stderr_dropped": 0, **more})

    def handle(self, frame: Frame) -> None:
        session = frame.session
        match frame.kind:
            case Kind.DATA if frame.payload:
                self.data += frame.payload
                if self.data.startswith(b"stall"):
                    time.sleep(3600)
            case Kind.DATA:
                self.loaded()
            case Kind.OPEN | Kind.RESET:
                if running := self.running.pop(session, None):
                    self.end(session, running[1], status="killed", namespace="lost", reason="the session was reset")
                    if running[1]["code"] == "ignore 600":
                        time.sleep(0.3)  # As long as a fork may take.
                self.sessions[session] = 0
                self.say(Kind.OPENED, session, {"pid": 1, "seconds": 0.0})
            case Kind.CLOSE:
                self.sessions.pop(session, None)
                self.running.pop(session, None)
                self.say(Kind.CLOSED, session, {})
            case Kind.RUN:
                self.run(session, frame.json())
            case Kind.INTERRUPT if session in self.running and "ignore" not in self.running[session][1]["code"]:
                order = self.running[session][1]
                self.event(session, '{"type":"error","name":"KeyboardInterrupt","message":"","traceback":""}')
                self.end(session, order, status="error", reason="interrupted by the host")
            case Kind.PING:
                self.say(Kind.PONG, 0, frame.json())
            case Kind.STATS:
                self.say(
                    Kind.STATS_REPLY, 0, {"sessions": {n: {"pid": 1, "cells": c} for n, c in self.sessions.items()}}
                )
            case Kind.SHUTDOWN:
                sys.exit(0)

    def loaded(self) -> None:
        if self.data.startswith(b"die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.data.startswith(b"refuse"):
            self.say(Kind.REFUSED, 0, {"message": "a dataset is loaded already"})
            return
        if self.data.startswith(b"bad"):
            self.say(Kind.LOAD_FAILED, 0, {"reason": "ragged", "message": "line 3 has 4 fields"})
            return
        facts = {"rows": 1, "columns": 1, "encoding": "utf-8", "delimiter": ",", "bytes": len(self.data)}
        sha256 = hashlib.sha256(self.data).hexdigest()
        self.say(Kind.LOADED, 0, {**facts, "sha256": sha256, "seconds": 0.0, "warnings": []})

    def event(self, session: int, text: str) -> None:
        self.say(Kind.EVENT, session, text.encode())

    def run(self, session: int, order: dict[str, Any]) -> None:
        word, _, rest = order["code"].partition(" ")
        match word:
            case "out":
                self.say(Kind.STDOUT, session, rest.encode())
            case "event":
                self.event(session, rest)
            case "sleep" | "ignore":
                self.running[session] = (time.monotonic() + float(rest or 1e9), order)
                self.say(Kind.STDOUT, session, b"started")
                return
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "eat":
                hoard = [bytearray(b"x" * 2**20) for _ in range(512)]
                self.say(Kind.STDOUT, session, str(len(hoard)).encode())
            case "hang":
                time.sleep(3600)
            case "garbage":
                os.write(1, b"\xff" * 64)
            case "refuse":
                self.say(Kind.REFUSED, session, {"message": "no such session"})
                return
            case "count":
                self.sessions[session] += 1
                self.say(Kind.STDOUT, session, str(self.sessions[session]).encode())
        self.end(session, order)

    def main(self) -> None:
        self.say(Kind.HELLO, 0, HELLO)
        decoder = Decoder()
        while True:
            due = min((when for when, _ in self.running.values()), default=None)
            timeout = None if due is None else max(0.0, due - time.monotonic())
            if select.select([0], [], [], timeout)[0]:
                data = os.read(0, 1 << 16)
                if not data:
                    return
                for frame in decoder.feed(data):
                    self.handle(frame)
            for session, (when, order) in list(self.running.items()):
                if when <= time.monotonic():
                    self.end(session, order)


if __name__ == "__main__":
    Fake().main()
