"""A session: a fork of the template that puts up its walls, then runs cells until it is killed."""

from __future__ import annotations

import builtins
import contextlib
import fcntl
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from sandbox_image.zygote import failures, namespace
from sandbox_image.zygote.cell import CellRunner, restore_folder
from sandbox_image.zygote.events import EventPipe
from sandbox_image.zygote.figures import Figures
from sandbox_image.zygote.inner import (
    BROKEN,
    COMMANDS_FD,
    EVENTS_FD,
    FIRST_FREE_FD,
    SPARE_STDERR_FD,
    SPARE_STDOUT_FD,
    Inner,
)
from sandbox_image.zygote.interrupts import Interrupts
from sandbox_image.zygote.limits import Limits
from sandbox_image.zygote.preload import ENVIRONMENT
from sandbox_image.zygote.protocol import Decoder, encode
from sandbox_image.zygote.streams import CellStream
from sandbox_image.zygote.walls.enter import Walls, enter_session
from sandbox_image.zygote.walls.libraries import interpreter_folders
from sandbox_image.zygote.walls.privileges import die_with_parent

_NICER = 5
# Bound now: a cell may replace the modules' attributes.
_read, _dup2, _set_blocking, _loads = os.read, os.dup2, os.set_blocking, json.loads


@dataclass(frozen=True)
class Start:
    """What a session begins with."""

    frame: object
    scratch: str
    """Its folder: exists, is empty, belongs to nobody else."""
    limits: Limits
    descriptors: tuple[int, int, int, int]
    """The session's ends of its pipes: commands, events, standard output, standard error."""
    walls: Walls
    parent: int


def run(start: Start) -> NoReturn:
    """Be a session. Called in the forked process; never returns."""
    try:
        _arrange_descriptors(start.descriptors)
        try:
            session = _Session(start)
        except BaseException as error:
            _tell_failure(f"a session could not start: {failures.class_name(error)}: {error}")
        else:
            session.serve()
    except BaseException as error:
        _tell_failure(f"the code broke the session it ran in ({failures.class_name(error)})")
    finally:
        os._exit(BROKEN)


def _tell_failure(message: str) -> None:
    with contextlib.suppress(Exception):
        os.write(EVENTS_FD, encode(Inner.FAILED, 0, {"message": message[:1_000]}))


def _arrange_descriptors(descriptors: tuple[int, int, int, int]) -> None:
    """Move the pipes to their fixed numbers, out of each other's way first."""
    commands, events, out, err = (fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in descriptors)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in (
        (null, 0),
        (out, 1),
        (err, 2),
        (commands, COMMANDS_FD),
        (events, EVENTS_FD),
        (out, SPARE_STDOUT_FD),
        (err, SPARE_STDERR_FD),
    ):
        os.dup2(source, target, inheritable=False)
    for fd in (commands, events, out, err):
        os.close(fd)


class _Session:
    """Everything a session keeps between cells."""

    def __init__(self, start: Start) -> None:
        self._scratch = start.scratch
        self._limits = start.limits
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent(start.parent)
        os.setsid()
        os.nice(_NICER)
        self._settle()
        enter_session(start.walls, start.scratch, file_bytes=start.limits.scratch_bytes)
        os.closerange(FIRST_FREE_FD, os.sysconf("SC_OPEN_MAX"))
        self._interrupts = Interrupts()
        self._events = EventPipe(self._interrupts, start.limits.max_event_bytes)
        figures = Figures(self._events, start.limits.max_figures)
        names = namespace.build(start.frame, self._events)
        if "plt" in names:
            names["plt"].show = figures.show
        shown = start.limits.output_head_bytes + start.limits.output_tail_bytes
        self._runner = CellRunner(names, self._events, figures, self._interrupts, start.scratch, shown)
        self._commands = Decoder()
        self._prepare()

    def serve(self) -> None:
        """Run cells until the zygote is gone."""
        self._events.control(Inner.READY)
        while True:
            data = _read(COMMANDS_FD, 1 << 16)
            if not data:
                return
            for command in self._commands.feed(data):
                request = _loads(command.payload)
                self._prepare()
                self._interrupts.forget()
                self._events.control(Inner.BEGUN, cell=request["cell"])
                ending = self._runner.run(request["cell"], request["code"])
                self._finish()
                self._events.control(Inner.DONE, cell=request["cell"], status=ending)

    def _settle(self) -> None:
        """The little of the machine that code may know of."""
        os.environ.clear()
        os.environ.update(ENVIRONMENT, HOME=self._scratch, TMPDIR=self._scratch, MPLCONFIGDIR=self._scratch, PATH="")
        time.tzset()
        os.umask(0o077)
        os.chdir(self._scratch)
        tempfile.tempdir = None
        folders = tuple(str(folder) for folder in interpreter_folders())
        sys.path[:] = ["", *(entry for entry in sys.path if entry.startswith(folders))]
        sys.argv[:] = [""]
        sys.orig_argv[:] = [""]
        failures.install_hooks(self._scratch)
        builtins.input = _no_input
        _keep_modes_quietly(self._scratch)

    def _prepare(self) -> None:
        """Undo what an earlier cell did to the streams, the signals and the current folder."""
        self._restore_descriptors()
        self._stdout, self._stderr = CellStream(1), CellStream(2)
        sys.stdout = sys.__stdout__ = self._stdout  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._stderr  # type: ignore[misc]
        restore_folder(self._scratch)
        self._interrupts.install()

    def _restore_descriptors(self) -> None:
        _dup2(SPARE_STDOUT_FD, 1)
        _dup2(SPARE_STDERR_FD, 2)
        for descriptor in (1, 2, COMMANDS_FD, EVENTS_FD):
            _set_blocking(descriptor, True)

    def _finish(self) -> None:
        """Everything printed must be in the pipe before DONE is, also what waited for a descriptor the cell closed."""
        self._restore_descriptors()
        for stream in (sys.stdout, sys.stderr):
            # It may be the user's own object, or closed.
            with contextlib.suppress(BaseException):
                stream.flush()
        for own in (self._stdout, self._stderr):
            with contextlib.suppress(ValueError, OSError):
                own.settle()
        self._interrupts.install()


def _no_input(prompt: object = "", /) -> str:
    raise RuntimeError("input() cannot be answered here: nobody reads along. Put the value into the code.")


def _keep_modes_quietly(scratch: str) -> None:
    """Let `shutil.copy` and its like work in the scratch folder, where changing modes and times is refused."""

    def tolerant(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            try:
                return real(path, *arguments, **options)
            except PermissionError:
                if isinstance(path, int) or not os.path.realpath(path).startswith(scratch + os.sep):
                    raise
                return None

        return call

    for name in ("chmod", "utime"):
        setattr(os, name, tolerant(getattr(os, name)))
