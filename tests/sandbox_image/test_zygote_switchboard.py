"""The switchboard with a template that the test plays: what comes on its many pipes may come in any order."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox_image.zygote.cgroup import OomCounter
from sandbox_image.zygote.inner import Inner
from sandbox_image.zygote.protocol import Decoder, Frame, Kind, encode
from sandbox_image.zygote.switchboard import Switchboard
from tests.sandbox_image.driver import LIMITS, PATIENCE_S
from tests.sandbox_image.test_zygote_spares import state
from tests.support.waiting import wait_until


class Stage:
    """A switchboard at work in a thread, with the test as its host and as its template."""

    def __init__(self, scratch: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self._template, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._incoming, outgoing = os.pipe()
        incoming, self._outgoing = os.pipe()
        self._decoder = Decoder()
        self._pending: list[Frame] = []
        # What it ends at last as its template is the process that plays a session.
        walls = {"template_pid": self.process.pid}
        board = Switchboard(incoming, outgoing, theirs, str(scratch), walls, OomCounter(), None)
        self._thread = threading.Thread(target=board.serve)
        self._thread.start()

    def close(self) -> None:
        self.tell(Kind.SHUTDOWN)
        self._template.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self.process.wait()

    def tell(self, kind: Kind, session: int = 0, **payload: Any) -> None:
        """As the host."""
        os.write(self._outgoing, encode(kind, session, payload))

    def hear(self) -> Frame:
        """As the host."""
        while not self._pending:
            self._pending = self._decoder.feed(os.read(self._incoming, 1 << 16))
        return self._pending.pop(0)

    def say(self, **message: Any) -> None:
        """As the template."""
        self._template.send(json.dumps(message).encode())

    def asked(self) -> tuple[dict[str, Any], list[int]]:
        """What the template is asked for, and the pipes of the session to be."""
        data, descriptors, _, _ = socket.recv_fds(self._template, 1 << 16, 4)
        return json.loads(data), descriptors


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def test_an_interrupt_waits_until_the_session_has_taken_the_cell_up(stage: Stage) -> None:
    """Before that the session would take it for one of the cell before, which it was too late for."""
    stage.say(op="loaded", facts={})
    assert stage.hear().kind == Kind.LOADED
    stage.tell(Kind.OPEN, 1, limits=LIMITS)
    asked, pipes = stage.asked()
    stage.say(op="forked", ticket=asked["ticket"], pid=stage.process.pid)
    os.write(pipes[1], encode(Inner.READY, 0, {}))
    assert stage.hear().kind == Kind.OPENED
    stage.tell(Kind.RUN, 1, cell=1, code="...", timeout_s=600, grace_s=600)
    stage.tell(Kind.INTERRUPT, 1)
    stage.tell(Kind.PING, n=1)
    assert stage.hear().kind == Kind.PONG
    assert stage.process.poll() is None
    os.write(pipes[1], encode(Inner.BEGUN, 0, {"cell": 1}))
    assert stage.process.wait(PATIENCE_S) == -signal.SIGINT
    for descriptor in pipes:
        os.close(descriptor)


def test_a_session_that_is_ready_before_its_birth_is_told_is_stopped_and_known(stage: Stage) -> None:
    stage.say(op="loaded", facts={})
    assert stage.hear().kind == Kind.LOADED
    stage.tell(Kind.OPEN, 1, limits=LIMITS)
    asked, pipes = stage.asked()
    assert asked["op"] == "fork"
    os.write(pipes[1], encode(Inner.READY, 0, {}))
    stage.tell(Kind.PING, n=1)
    assert stage.hear().kind == Kind.PONG, "a session of which the process is not known yet was said to be open"
    stage.say(op="forked", ticket=asked["ticket"], pid=stage.process.pid)
    opened = stage.hear()
    assert (opened.kind, opened.json()["pid"]) == (Kind.OPENED, stage.process.pid)
    wait_until(lambda: state(stage.process.pid) == "T", PATIENCE_S)
    for descriptor in pipes:
        os.close(descriptor)
