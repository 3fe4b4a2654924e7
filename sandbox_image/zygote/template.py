"""The template: the process that holds the libraries and the dataset, and of which every session is a fork.

It never sees what sessions are sent or answer. A fork inherits all memory of its parent, so whatever passed through
here could be read by every later session; that traffic belongs to the switchboard, which forks nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
from typing import Any, Final, NoReturn

from sandbox_image.zygote import preload, session
from sandbox_image.zygote.limits import Limits
from sandbox_image.zygote.reading.loader import LoadError, load
from sandbox_image.zygote.reading.rules import Rules
from sandbox_image.zygote.walls.enter import Walls, enter_template
from sandbox_image.zygote.walls.libc import LIBC
from sandbox_image.zygote.walls.privileges import die_with_parent

MAX_MESSAGE: Final = 128 * 1024
_LONGEST_REASON: Final = 2_000
_PIPES: Final = 4


def run(link: socket.socket, walls: Walls, scratch_root: str, parent: int, libraries: str) -> NoReturn:
    """Be the template. Called in a fresh fork; never returns.

    Args:
        link: Message socket to the switchboard (SOCK_SEQPACKET): JSON objects, some with descriptors.
        walls: What the machine offers.
        scratch_root: The folder in which sessions have theirs.
        parent: The switchboard's process id.
        libraries: What is imported first, see `preload.SETS`.
    """
    code = 1
    try:
        die_with_parent(parent)
        _Template(link, walls, scratch_root).serve(libraries)
        code = 0
    except BaseException as error:
        with contextlib.suppress(OSError):
            said = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
            link.send(json.dumps({"op": "fatal", "message": said}).encode())
    finally:
        os._exit(code)


class _Template:
    def __init__(self, link: socket.socket, walls: Walls, scratch_root: str) -> None:
        self._link = link
        self._walls = walls
        self._root = scratch_root
        self._frame: object = None
        self._pid = os.getpid()

    def serve(self, libraries: str) -> None:
        """Preload, then load and fork as told until the switchboard is gone."""
        preload.preload(libraries)
        versions, threads = preload.library_versions(), preload.threads()
        enter_template(self._walls, self._root)
        wakeup = self._watch_children()
        self._say(op="ready", libraries=versions, threads=threads)
        poller = select.poll()
        poller.register(self._link, select.POLLIN)
        poller.register(wakeup, select.POLLIN)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == wakeup:
                    os.read(wakeup, 4096)
                    self._reap()
                elif not self._obey():
                    return

    def _watch_children(self) -> int:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        # Python writes to the wake-up pipe only for signals that have a handler.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        return reader

    def _say(self, **message: Any) -> None:
        self._link.send(json.dumps(message, separators=(",", ":")).encode())

    def _obey(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._link, MAX_MESSAGE, _PIPES)
        if not data:
            return False
        try:
            message = json.loads(data)
            if message["op"] == "load":
                self._load(message, descriptors[0])
            elif message["op"] == "fork":
                self._fork(message, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _load(self, message: dict[str, Any], descriptor: int) -> None:
        try:
            with os.fdopen(os.dup(descriptor), "rb") as source:
                self._frame, facts = load(
                    source, rules=Rules.parse(message["rules"]), max_columns=message["max_columns"]
                )
        except LoadError as error:
            said = error.message[:_LONGEST_REASON]
            self._say(op="load_failed", reason=error.reason, message=said, helps=error.helps)
            return
        self._settle_memory()
        self._say(op="loaded", facts=facts.json())

    def _settle_memory(self) -> None:
        """Give back what reading took, and take everything that is left out of the collector's sight, once.

        A collection in a session would otherwise write to every object's header and so copy the shared pages.
        """
        gc.collect()
        with contextlib.suppress(AttributeError):
            LIBC.malloc_trim(ctypes.c_size_t(0))
        gc.freeze()

    def _fork(self, message: dict[str, Any], descriptors: list[int]) -> None:
        ticket = message["ticket"]
        if len(descriptors) != _PIPES:
            self._say(op="fork_failed", ticket=ticket, message="its pipes did not arrive")
            return
        try:
            pid = os.fork()
        except OSError as error:
            self._say(op="fork_failed", ticket=ticket, message=str(error))
            return
        if pid == 0:
            self._be_session(message, descriptors)
        self._say(op="forked", ticket=ticket, pid=pid)

    def _be_session(self, message: dict[str, Any], descriptors: list[int]) -> NoReturn:
        commands, events, out, err = descriptors
        session.run(
            session.Start(
                frame=self._frame,
                scratch=message["scratch"],
                limits=Limits.parse(message["limits"]),
                descriptors=(commands, events, out, err),
                walls=self._walls,
                parent=self._pid,
            )
        )

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._say(op="exited", pid=pid, status=status, cpu_s=usage.ru_utime + usage.ru_stime)
