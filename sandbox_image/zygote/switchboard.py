"""The switchboard: the one process the host talks to. It passes frames to and from sessions and forks none of them.

Single-threaded and never blocking: neither a session nor a slow host can hold up the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from sandbox_image.zygote import stats
from sandbox_image.zygote.cgroup import OomCounter
from sandbox_image.zygote.door import Door, turn_away
from sandbox_image.zygote.host import HostGone, HostStream
from sandbox_image.zygote.limits import Limits
from sandbox_image.zygote.orders import idle_seconds, run_request
from sandbox_image.zygote.protocol import PROTOCOL_VERSION, Frame, Kind, ProtocolError
from sandbox_image.zygote.scratch import Remover
from sandbox_image.zygote.slot import Slot
from sandbox_image.zygote.spares import Owner, Spares
from sandbox_image.zygote.template import MAX_MESSAGE
from sandbox_image.zygote.upload import Upload
from sandbox_image.zygote.watch import LONGEST_TICK_S, TICK_COST_FACTOR, TICK_S
from sandbox_image.zygote.worker import Exit, Worker

OUTPUT_HIGH: Final = 16 * 1024 * 1024
"""Bytes waiting for a slow host from which events of sessions are no longer read; the sessions then wait."""
_SHUTDOWN_S: Final = 3.0
_HOUSEKEEPING_S: Final = 0.005


class Ended(Exception):
    """Nothing is left to do: the host has gone, or asked for the end, or the template died."""


class Switchboard:
    """Everything between the host's channel and the sessions."""

    def __init__(
        self,
        channel_in: int,
        channel_out: int,
        template: socket.socket,
        scratch_root: str,
        walls: dict[str, Any],
        oom: OomCounter,
        door: Door | None,
    ) -> None:
        self._host: HostStream | None = None
        self._door = door
        self._template = template
        self._root = scratch_root
        self._walls = walls
        self._oom = oom
        self._oom_seen = self._oom.read()
        self._words: dict[str, Any] = {}
        self._park_s = 0.0
        self._expires = 0.0
        self._slots: dict[int, Slot] = {}
        self._workers: dict[int, tuple[Owner, Worker]] = {}
        self._by_pid: dict[int, int] = {}
        self._tickets = 0
        self._loaded = False
        self._upload: Upload | None = None
        self._remover = Remover()
        self._spares = Spares(self)
        self._throttled = False
        self._tick_due = 0.0
        self._poller = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._welcome(HostStream(channel_in, channel_out))
        self._register(template.fileno(), select.EPOLLIN, self._template_readable)
        if door is not None:
            self._register(door.fileno(), select.EPOLLIN, self._door_opened)

    # The loop.

    def serve(self) -> None:
        """Serve until the host is gone, or none has come for too long, then clean up."""
        try:
            while True:
                self._turn()
        except (Ended, HostGone) as end:
            message = str(end)
        except ProtocolError as error:
            message = f"the host sent something malformed: {error}"
        if message:
            self.send(Kind.FATAL, 0, {"message": message})
        self._shut_down()

    def _turn(self) -> None:
        watched = any(slot.watched for slot in self._slots.values())
        busy = self._remover.busy
        now = time.monotonic()
        # A slot that has just come to be watched waits no longer than the others.
        due = max(0.0, self._tick_due - now) if watched else TICK_S if busy else -1
        timeout = 0.0 if busy and not watched else min(due, TICK_S)
        pause = self._spares.pause(now, len(self._slots)) if self._loaded else None
        idle = None if self._host is not None else max(0.0, self._expires - now)
        for due_in in (pause, idle):
            if due_in is not None:
                timeout = due_in if timeout < 0 else min(timeout, due_in)
        for descriptor, event in self._poller.poll(timeout):
            callback = self._callbacks.get(descriptor)
            # An earlier callback of this turn may have retired the descriptor.
            if callback is not None:
                callback(event)
        if time.monotonic() >= self._tick_due:
            self._tick()
        if pause is not None:
            self._spares.refill(time.monotonic(), len(self._slots))
        self._remover.work(_HOUSEKEEPING_S)
        self._flush()
        if self._host is None and time.monotonic() >= self._expires:
            raise Ended

    def _tick(self) -> None:
        """Look after the slots that want it: every TICK_S, less often when that would take too much of a processor."""
        begun = time.thread_time()
        now = time.monotonic()
        for slot in list(self._slots.values()):
            if slot.watched:
                slot.tick(now)
        pause = TICK_COST_FACTOR * (time.thread_time() - begun)
        self._tick_due = time.monotonic() + min(max(TICK_S, pause), LONGEST_TICK_S)

    def _register(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        self._poller.register(descriptor, events)
        self._callbacks[descriptor] = callback

    def _unregister(self, descriptor: int) -> None:
        if self._callbacks.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)

    # The host's side.

    def _welcome(self, host: HostStream) -> None:
        self._host = host
        self._register(host.incoming, select.EPOLLIN, self._host_readable)

    def _host_readable(self, event: int) -> None:
        if self._host is None:
            return
        for frame in self._host.read():
            try:
                self._obey(frame)
            except ProtocolError as error:
                self.send(Kind.REFUSED, frame.session, {"message": str(error)})

    def _door_opened(self, event: int) -> None:
        visitor = self._door.answer() if self._door is not None else None
        if visitor is None:
            return
        if self._host is not None:
            turn_away(visitor)
            return
        os.dup2(visitor.log, 2)
        self._welcome(HostStream(visitor.commands, visitor.replies, visitor.log, visitor.leash))
        self.send(Kind.HELLO, 0, self._words)

    def send(self, kind: Kind, session: int, payload: bytes | dict[str, Any] = b"") -> None:
        """Queue a frame for the host, if there is one."""
        if self._host is not None:
            self._host.send(kind, session, payload)

    def _flush(self) -> None:
        host = self._host
        if host is None:
            return
        host.flush()
        if self._park_s and not host.unsent_bytes:
            self._part(host)
            return
        self._await_room(host, bool(host.unsent_bytes))
        self._throttle(host.unsent_bytes > OUTPUT_HIGH)

    def _part(self, host: HostStream) -> None:
        """Let the host go, and wait for another."""
        self._unregister(host.incoming)
        self._await_room(host, wanted=False)
        self._throttle(wanted=False)
        host.close()
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        self._host = None
        self._expires, self._park_s = time.monotonic() + self._park_s, 0.0

    def _await_room(self, host: HostStream, wanted: bool) -> None:
        if wanted and host.outgoing not in self._callbacks:
            self._register(host.outgoing, select.EPOLLOUT, lambda _: None)
        elif not wanted:
            self._unregister(host.outgoing)

    def _throttle(self, wanted: bool) -> None:
        """While the host is slow, leave events where they are: sessions and the host's requests wait in their pipes."""
        if wanted == self._throttled:
            return
        self._throttled = wanted
        events = 0 if wanted else select.EPOLLIN
        incoming = () if self._host is None else (self._host.incoming,)
        for descriptor in (*incoming, *(worker.events for _, worker in self._workers.values())):
            if descriptor in self._callbacks:
                self._poller.modify(descriptor, events)

    def _obey(self, frame: Frame) -> None:
        handlers: dict[int, Callable[[Frame], None]] = {
            Kind.LOAD: self._load,
            Kind.DATA: self._data,
            Kind.OPEN: self._open,
            Kind.RUN: self._run,
            Kind.INTERRUPT: lambda frame: self._slot(frame).interrupt(),
            Kind.RESET: lambda frame: self._slot(frame).reset(),
            Kind.CLOSE: lambda frame: self._slot(frame).close(),
            Kind.STATS: self._stats,
            Kind.PING: lambda frame: self.send(Kind.PONG, frame.session, frame.payload),
            Kind.SHUTDOWN: _end,
            Kind.PARK: self._park,
        }
        if self._park_s:
            raise ProtocolError("this host has said goodbye")
        handler = handlers.get(frame.kind)
        if handler is None:
            raise ProtocolError(f"there is no request of kind {frame.kind}")
        handler(frame)

    def _slot(self, frame: Frame) -> Slot:
        slot = self._slots.get(frame.session)
        if slot is None:
            raise ProtocolError(f"there is no session {frame.session}")
        return slot

    def _load(self, frame: Frame) -> None:
        if self._loaded or self._upload is not None:
            raise ProtocolError("a dataset is loaded already")
        header = frame.json()
        if header.get("limits") is not None:
            self._spares.expect(Limits.parse(header["limits"]))
        self._upload = Upload(header, self._root)

    def _data(self, frame: Frame) -> None:
        upload = self._upload
        if upload is None or upload.complete:
            raise ProtocolError("no dataset was announced")
        if frame.payload:
            upload.write(frame.payload)
            return
        upload.complete = True
        for reason, problem in (("size", upload.problem()), ("rules", upload.excess())):
            if problem:
                self._fail_load(reason, problem)
                return
        socket.send_fds(self._template, [upload.message], [upload.descriptor])
        upload.close()

    def _fail_load(self, reason: str, message: str, *, helps: bool = False) -> None:
        if self._upload is not None:
            self._upload.close()
            self._upload = None
        self.send(Kind.LOAD_FAILED, 0, {"reason": reason, "message": message, "helps": helps})

    def _open(self, frame: Frame) -> None:
        limits = Limits.parse(frame.json().get("limits"))
        if not self._loaded:
            raise ProtocolError("no dataset is loaded yet")
        if frame.session == 0 or frame.session in self._slots:
            raise ProtocolError(f"session {frame.session} cannot be opened: the number is taken")
        if len(self._slots) >= limits.max_sessions:
            raise ProtocolError(f"{limits.max_sessions} sessions are open, which is the limit")
        self._slots[frame.session] = Slot(frame.session, limits, self)

    def _run(self, frame: Frame) -> None:
        slot = self._slot(frame)
        refusal = slot.run(run_request(frame))
        if refusal:
            raise ProtocolError(refusal)

    def _park(self, frame: Frame) -> None:
        if self._door is None:
            raise ProtocolError("this sandbox was not made to be kept")
        if not self._loaded or self._slots:
            raise ProtocolError("a sandbox is kept with a dataset and without sessions only")
        self._park_s = idle_seconds(frame)
        self.send(Kind.PARKED, 0, {})

    def _stats(self, frame: Frame) -> None:
        sessions = {str(number): stats.of_session(slot) for number, slot in self._slots.items()}
        unsent = 0 if self._host is None else self._host.unsent_bytes
        own = {"pid": os.getpid(), "rss_bytes": stats.resident(os.getpid()), "unsent_bytes": unsent}
        shared = stats.of_template(self._walls.get("template_pid", 0))
        self.send(Kind.STATS_REPLY, 0, {"sessions": sessions, "switchboard": own, "template": shared})

    # The template's side.

    def _template_readable(self, event: int) -> None:
        data = self._template.recv(MAX_MESSAGE)
        if not data:
            raise Ended("the process that holds the dataset ended")
        message = json.loads(data)
        operation = message["op"]
        if operation == "ready":
            self._hello(message)
        elif operation == "loaded":
            self._upload = None
            self._loaded = True
            self._words["loaded"] = message["facts"]
            self.send(Kind.LOADED, 0, message["facts"])
        elif operation == "load_failed":
            self._fail_load(message["reason"], message["message"], helps=message["helps"])
        elif operation == "fatal":
            raise Ended(message["message"])
        else:
            self._process_news(operation, message)

    def _process_news(self, operation: str, message: dict[str, Any]) -> None:
        if operation == "exited":
            ticket = self._by_pid.pop(message["pid"], None)
            if ticket is None:
                return
            owner, worker = self._workers[ticket]
            worker.exit = Exit(message["status"], message["cpu_s"])
            owner.exited(worker)
            return
        owner, worker = self._workers[message["ticket"]]
        if operation == "forked":
            self._by_pid[message["pid"]] = message["ticket"]
            worker.born(message["pid"])
            self._listen(worker)
            owner.forked(worker)
        else:
            owner.fork_failed(worker, message["message"])

    def _hello(self, message: dict[str, Any]) -> None:
        if message["threads"] != 1:
            raise Ended(f"the libraries started {message['threads'] - 1} threads, after which no fork is safe")
        self._words = {
            "protocol": PROTOCOL_VERSION,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "libraries": message["libraries"],
            "walls": self._walls,
            "pid": os.getpid(),
        }
        self.send(Kind.HELLO, 0, self._words)

    # What slots ask for.

    def start_worker(self, slot: Slot) -> Worker:
        """A process for the slot: a spare one, or one that the template is asked to fork."""
        worker = self._spares.take(slot.limits)
        if worker is None:
            return self.fork(slot, slot.limits)
        self._workers[worker.ticket] = (slot, worker)
        return worker

    def fork(self, owner: Owner, limits: Limits) -> Worker:
        """Have the template fork a process, of which the owner hears from now on."""
        self._tickets += 1
        folder = os.path.join(self._root, f"s{self._tickets}")
        os.mkdir(folder, 0o700)
        worker = Worker(self._tickets, folder, limits.max_event_bytes)
        self._workers[worker.ticket] = (owner, worker)
        message = {"op": "fork", "ticket": worker.ticket, "scratch": folder, "limits": limits.__dict__}
        socket.send_fds(self._template, [json.dumps(message).encode()], worker.theirs)
        worker.handed_over()
        return worker

    def _listen(self, worker: Worker) -> None:
        """Report what its pipes bring to its owner. Only once it is born: READY may be there before its number is."""

        def reader(descriptor: int) -> Callable[[int], None]:
            return lambda _: self._workers[worker.ticket][0].readable(worker, descriptor)

        for descriptor in (worker.stdout, worker.stderr, worker.events):
            self._register(descriptor, select.EPOLLIN, reader(descriptor))
        if self._throttled:
            self._poller.modify(worker.events, 0)

    def want_room(self, worker: Worker, *, wanted: bool) -> None:
        """Go on writing a long command as its pipe takes it."""

        def room(event: int) -> None:
            if worker.flush():
                self._unregister(worker.commands)

        if wanted and worker.commands not in self._callbacks:
            self._register(worker.commands, select.EPOLLOUT, room)

    def stop_listening(self, worker: Worker, descriptor: int) -> None:
        """The pipe has ended."""
        self._unregister(descriptor)

    def retire(self, worker: Worker) -> None:
        """The worker is gone: close its pipes, remove its folder."""
        for descriptor in (worker.stdout, worker.stderr, worker.events, worker.commands):
            self._unregister(descriptor)
        self._workers.pop(worker.ticket, None)
        worker.close()
        self._remover.add(worker.scratch)

    def forget(self, slot: Slot) -> None:
        """The slot is closed."""
        self._slots.pop(slot.number, None)

    def kernel_ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed for memory since this was last asked."""
        count = self._oom.read()
        grown, self._oom_seen = count > self._oom_seen, count
        return grown

    # The end.

    def _shut_down(self) -> None:
        """Leave no process and no file behind; what the host has not read is offered once more."""
        for _, worker in self._workers.values():
            worker.kill()
        end = time.monotonic() + _SHUTDOWN_S
        waiting = set(self._by_pid)
        self._template.settimeout(0.1)
        while waiting and time.monotonic() < end:
            with contextlib.suppress(OSError, ValueError):
                data = self._template.recv(MAX_MESSAGE)
                if not data:
                    break
                message = json.loads(data)
                if message["op"] == "forked":
                    os.kill(message["pid"], signal.SIGKILL)
                    waiting.add(message["pid"])
                elif message["op"] == "exited":
                    waiting.discard(message["pid"])
        # Its sessions die with the template.
        self._template.close()
        with contextlib.suppress(OSError):
            os.kill(self._walls["template_pid"], signal.SIGKILL)
            os.waitpid(self._walls["template_pid"], 0)
        with contextlib.suppress(OSError, HostGone):
            self._flush()
        self._remover.remove_root(self._root)


def _end(frame: Frame) -> None:
    raise Ended
