"""A session as the host knows it: a number, behind which one process after another may stand."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any, Literal, NamedTuple, Protocol

from sandbox_image.zygote import procfs
from sandbox_image.zygote.cellrun import Cause, CellRun
from sandbox_image.zygote.inner import Inner
from sandbox_image.zygote.limits import Limits
from sandbox_image.zygote.protocol import Frame, Kind, ProtocolError
from sandbox_image.zygote.watch import Breach
from sandbox_image.zygote.worker import Worker

READ_BYTES = 1 << 20
START_TIMEOUT_S = 20.0
_MAX_FAILED_STARTS = 3
_EXIT_PATIENCE_S = 0.25
"""Seconds between the end of the event pipe and the verdict that a session has closed it and lives on."""
_ENDING_PATIENCE_S = 30.0
"""The same where the kernel has taken the memory already: on a machine without a free processor the rest takes long."""
_DRAIN_READS = 8


class Request(NamedTuple):
    """A RUN that may have to wait until its session is ready."""

    cell: int
    code: str
    timeout_s: float
    grace_s: float


class Board(Protocol):
    """What a slot asks of the switchboard."""

    def send(self, kind: Kind, session: int, payload: bytes | dict[str, Any] = b"") -> None:
        """Queue a frame for the host."""

    def start_worker(self, slot: Slot) -> Worker:
        """A process for the slot, ready or on its way; what its pipes bring is reported to the slot."""

    def want_room(self, worker: Worker, *, wanted: bool) -> None:
        """Call `Worker.flush` when its command pipe has room, or no longer."""

    def stop_listening(self, worker: Worker, descriptor: int) -> None:
        """The pipe has ended."""

    def retire(self, worker: Worker) -> None:
        """The worker is gone: close its pipes, remove its folder."""

    def forget(self, slot: Slot) -> None:
        """The slot is closed."""

    def kernel_ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed for memory since this was last asked."""


class Slot:
    """Runs cells in its process, judges how they end, and puts a fresh process behind the number when one is lost."""

    def __init__(self, number: int, limits: Limits, board: Board) -> None:
        self.number = number
        self.limits = limits
        self.cell: CellRun | None = None
        self.worker: Worker | None = None
        """The process that takes the next cell; None when none could be started."""
        self._runner: Worker | None = None
        """The process of the running cell: another one than `worker` while a killed one is still ending."""
        self._living: set[Worker] = set()
        self._board = board
        self._asked = time.monotonic()
        self._answer_due = True
        self._waiting: Request | None = None
        self._closing = False
        self._failed_starts = 0
        self._lost_idle = ""
        self._exit_due = 0.0
        self._start_due = 0.0
        self._start()

    @property
    def state(self) -> Literal["starting", "idle", "running"]:
        """What the session is doing."""
        if self.cell is not None:
            return "running"
        return "idle" if self.worker is not None and self.worker.ready else "starting"

    @property
    def watched(self) -> bool:
        """Whether the clock matters to it now."""
        return self.state != "idle"

    # What the host asks for.

    def run(self, request: Request) -> str:
        """Run a cell, now or as soon as the process is there. Returns why not, or nothing."""
        if self.cell is not None or self._waiting is not None:
            return "the session is still running a cell"
        if self.worker is None:
            self._lost_idle = "no process could be started for the session"
            self._start()
        if self._lost_idle:
            reason, self._lost_idle = self._lost_idle, ""
            self._send_not_run(request, reason)
        elif self.worker is not None and self.worker.ready:
            self._begin(self.worker, request)
        else:
            self._waiting = request
        return ""

    def interrupt(self) -> None:
        """Interrupt the running cell for the host."""
        if self.cell is not None:
            if not self.cell.interrupted and not self.cell.doomed:
                self._interrupt(self.cell, "host")
        elif self._waiting is not None:
            self._drop_waiting("interrupted by the host", status="error", namespace="kept")

    def reset(self) -> None:
        """Put a fresh process behind the number; answers OPENED when it is ready."""
        self._asked = time.monotonic()
        self._answer_due = True
        self._lost_idle = ""
        self._drop_waiting("the session was reset")
        if self.cell is not None:
            self.cell.breach = self.cell.breach or Breach("killed", "the session was reset")
        self._kill_current()
        if self.worker is None or self.worker.doomed:
            self._start()

    def close(self) -> None:
        """End the session for good; answers CLOSED when its processes are gone."""
        self._closing = True
        self._drop_waiting("the session was closed")
        if self.cell is not None:
            self.cell.breach = self.cell.breach or Breach("killed", "the session was closed")
        self._kill_current()
        self._close_if_gone()

    # What its processes do.

    def readable(self, worker: Worker, descriptor: int) -> None:
        """A pipe of the worker has bytes or has ended."""
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._board.stop_listening(worker, descriptor)
            if descriptor == worker.events and worker is self._runner:
                self._exit_due = time.monotonic() + _EXIT_PATIENCE_S
        else:
            self._take(worker, descriptor, data)

    def forked(self, worker: Worker) -> None:
        """The template has made the process."""
        if worker.doomed:
            worker.kill()

    def fork_failed(self, worker: Worker, message: str) -> None:
        """The template could not make it."""
        worker.failure = f"no process could be started: {message}"
        self._gone(worker)

    def exited(self, worker: Worker) -> None:
        """The process has ended, whoever ended it. What it wrote before is still in its pipes."""
        for descriptor in (worker.stdout, worker.stderr, worker.events):
            self._drain(worker, descriptor)
        self._gone(worker)

    def tick(self, now: float) -> None:
        """Look at the clock and, while a cell runs, at what it uses."""
        worker, cell = self.worker, self.cell
        if worker is not None and not worker.ready and not worker.doomed and now > self._start_due:
            worker.failure = worker.failure or f"the process was not ready within {START_TIMEOUT_S:g} s"
            worker.kill()
        if cell is None or cell.doomed:
            return
        due = cell.due(now)
        if self._has_hung_up(now):
            self._breach(cell, Breach("killed", "the session closed the pipe it reports on"))
        elif due == "interrupt":
            self._interrupt(cell, "clock")
        elif due == "kill":
            cell.killed_by = cell.interrupted or "clock"
            self._replace()
        else:
            breach = cell.watch.look()
            if breach is not None:
                self._breach(cell, breach)

    # Starting and ending processes.

    def _start(self) -> None:
        self._start_due = time.monotonic() + START_TIMEOUT_S
        self.worker = self._board.start_worker(self)
        self._living.add(self.worker)
        if self.worker.ready:
            self._take_up(self.worker)

    def _kill_current(self) -> None:
        if self.worker is not None and not self.worker.doomed:
            self.worker.kill()

    def _replace(self) -> None:
        """Kill the process and start the next one while it dies."""
        self._kill_current()
        if not self._closing:
            self._start()

    def _breach(self, cell: CellRun, breach: Breach) -> None:
        cell.breach = breach
        self._replace()

    def _has_hung_up(self, now: float) -> bool:
        """Whether the running cell's process has closed its event pipe, rather than being about to end."""
        if not self._exit_due or now <= self._exit_due or self._runner is None:
            return False
        # The kernel takes a process's memory before it closes its pipes.
        ending = procfs.read_status(self._runner.pid) is None
        return not ending or now > self._exit_due + _ENDING_PATIENCE_S

    def _gone(self, worker: Worker) -> None:
        self._living.discard(worker)
        ran_a_cell = worker is self._runner and self.cell is not None
        if self.cell is not None and worker is self._runner:
            self._finish(self.cell, self.cell.died(out_of_memory=self._out_of_memory(worker)))
        self._board.retire(worker)
        if self._closing:
            self._close_if_gone()
        elif worker is self.worker:
            self.worker = None
            self._succeed(worker, told=ran_a_cell)
        elif self.worker is not None and self.worker.ready and not self.worker.doomed:
            self._answer(self.worker)

    def _succeed(self, gone: Worker, *, told: bool) -> None:
        """The process died unasked: another takes its place, as long as starting one works at all."""
        if gone.ready:
            if not told and gone.exit is not None:
                self._lost_idle = f"between cells {gone.exit.sentence()}"
            self._start()
            return
        self._failed_starts += 1
        reason = gone.failure or (gone.exit.sentence() if gone.exit is not None else "no process could be started")
        if self._failed_starts < _MAX_FAILED_STARTS:
            self._start()
            return
        self._failed_starts = 0
        self._drop_waiting(reason)
        if self._answer_due:
            self._board.send(Kind.REFUSED, self.number, {"message": reason})
            self._board.forget(self)

    def _close_if_gone(self) -> None:
        if not self._living:
            self._board.forget(self)
            self._board.send(Kind.CLOSED, self.number, {})

    def _out_of_memory(self, worker: Worker) -> bool:
        return worker.exit is not None and worker.exit.killed and self._board.kernel_ran_out_of_memory()

    # A cell from its beginning to its END.

    def _begin(self, worker: Worker, request: Request) -> None:
        for descriptor in (worker.stdout, worker.stderr, worker.events):
            # What threads of the last cell wrote after its END belongs to no cell.
            self._drain(worker, descriptor)
        self._exit_due = 0.0
        worker.cells += 1
        self._runner = worker
        self.cell = CellRun(request.cell, request.timeout_s, request.grace_s, worker, self.limits)
        worker.signal(signal.SIGCONT)
        command = json.dumps({"cell": request.cell, "code": request.code}, separators=(",", ":"))
        if not worker.send(command.encode()):
            self._board.want_room(worker, wanted=True)

    def _take(self, worker: Worker, descriptor: int, data: bytes) -> None:
        if descriptor == worker.events:
            self._take_events(worker, data)
        elif self.cell is not None and worker is self._runner:
            out = descriptor == worker.stdout
            head = (self.cell.stdout if out else self.cell.stderr).feed(data)
            if head:
                self._board.send(Kind.STDOUT if out else Kind.STDERR, self.number, head)

    def _drain(self, worker: Worker, descriptor: int) -> None:
        """Read what a pipe holds. Bounded, for a writer that has not stopped yet."""
        for _ in range(_DRAIN_READS):
            try:
                data = os.read(descriptor, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                return
            self._take(worker, descriptor, data)

    def _take_events(self, worker: Worker, data: bytes) -> None:
        try:
            for frame in worker.decode(data):
                self._event(worker, frame)
        except ProtocolError:
            worker.failure = worker.failure or "the session wrote something malformed on the pipe it reports on"
            if worker is self.worker and not worker.doomed:
                if self.cell is not None:
                    self._breach(self.cell, Breach("killed", worker.failure))
                else:
                    worker.kill()

    def _event(self, worker: Worker, frame: Frame) -> None:
        running = self.cell if worker is self._runner else None
        if frame.kind == Inner.EVENT:
            if running is not None and running.takes_event(len(frame.payload)):
                self._board.send(Kind.EVENT, self.number, frame.payload)
        elif frame.kind == Inner.BEGUN:
            if running is not None and not running.begun:
                self._has_begun(worker, running)
        elif frame.kind == Inner.READY:
            if not worker.ready:
                self._ready(worker)
        elif frame.kind == Inner.FAILED:
            worker.failure = worker.failure or str(frame.json().get("message", ""))[:1_000]
        elif frame.kind == Inner.DONE:
            if running is not None and not running.doomed:
                self._done(worker, running, frame.json())
        else:
            raise ProtocolError("not a message of a session")

    def _ready(self, worker: Worker) -> None:
        worker.started()
        if worker is self.worker and not worker.doomed:
            self._take_up(worker)

    def _take_up(self, worker: Worker) -> None:
        """The slot's process is ready: go on with what waited for it."""
        self._failed_starts = 0
        self._answer(worker)
        if self._waiting is not None and self.cell is None:
            request, self._waiting = self._waiting, None
            self._begin(worker, request)
        else:
            worker.signal(signal.SIGSTOP)

    def _answer(self, worker: Worker) -> None:
        """Say OPENED, but not before the END of a cell that a reset cut short: the host may run the next at once."""
        if self._answer_due and self.cell is None:
            self._answer_due = False
            seconds = round(time.monotonic() - self._asked, 6)
            self._board.send(Kind.OPENED, self.number, {"pid": worker.pid, "seconds": seconds})

    def _done(self, worker: Worker, cell: CellRun, message: dict[str, Any]) -> None:
        status = message.get("status")
        if message.get("cell") != cell.number or status not in ("ok", "error", "memory"):
            raise ProtocolError("not the end of the cell that runs")
        # Threads the cell left behind neither print nor compute until the next cell.
        worker.signal(signal.SIGSTOP)
        breach = cell.watch.last_look_at_files()
        if breach is not None:
            self._breach(cell, breach)
            return
        for descriptor in (worker.stdout, worker.stderr):
            self._drain(worker, descriptor)
        self._finish(cell, cell.ended(status))

    def _finish(self, cell: CellRun, end: dict[str, Any]) -> None:
        for kind, capture in ((Kind.STDOUT, cell.stdout), (Kind.STDERR, cell.stderr)):
            tail = capture.finish()
            if tail:
                self._board.send(kind, self.number, tail)
        end.update(stdout_dropped=cell.stdout.dropped, stderr_dropped=cell.stderr.dropped)
        self.cell = self._runner = None
        self._board.send(Kind.END, self.number, end)

    def _interrupt(self, cell: CellRun, cause: Cause) -> None:
        cell.interrupt(cause, time.monotonic())
        if cell.begun and self._runner is not None:
            self._runner.signal(signal.SIGINT)

    def _has_begun(self, worker: Worker, cell: CellRun) -> None:
        cell.begun = True
        if cell.interrupted and not cell.doomed:
            worker.signal(signal.SIGINT)

    def _drop_waiting(self, reason: str, status: str = "killed", namespace: str = "lost") -> None:
        if self._waiting is not None:
            request, self._waiting = self._waiting, None
            self._send_not_run(request, reason, status, namespace)

    def _send_not_run(self, request: Request, reason: str, status: str = "killed", namespace: str = "lost") -> None:
        sentence = f"{reason}; the cell was not run"
        end = {"cell": request.cell, "status": status, "namespace": namespace, "reason": sentence}
        zeros = ("wall_s", "cpu_s", "peak_bytes", "stdout_dropped", "stderr_dropped")
        self._board.send(Kind.END, self.number, {**end, **dict.fromkeys(zeros, 0)})
