"""One store, one connection, one thread: the store's work off the event loop, commits shared by who waits.

Reads run at once. Writes that are waiting together are committed together, so a hundred calls in flight cost a few
disk flushes, not a hundred. A write that fails takes no other with it: the group is run again one by one. When a
server's connection is lost, a new one is made and what was under way is run again.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from blocks.chat import backends
from blocks.chat.backends import Backend
from blocks.chat.errors import JournalError

T = TypeVar("T")
Job = Callable[[Connection], T]

Run = Callable[[Connection, list[Job[Any]]], list[Any]]

GROUP = 200
"""Writes committed together at most."""

log = logging.getLogger(__name__)


@dataclass
class _Task(Generic[T]):
    job: Job[T]
    write: bool
    durable: bool
    future: Future[T]


@dataclass(frozen=True)
class Chore:
    """A small write done about every `every_s` seconds while it is `needed`."""

    every_s: float
    job: Job[None]
    needed: Callable[[], bool]


class Database:
    """The store and its thread. `close` it; what is still queued is written first, also at interpreter exit.

    Args:
        backend: Where it is.
        arrive: Brings the schema up to date and enters the visitor; runs on every new connection, in a transaction
            that excludes other processes.
        chore: Housekeeping.
    """

    def __init__(self, backend: Backend, arrive: Job[None], chore: Chore | None = None) -> None:
        self._backend = backend
        self._arrive = arrive
        self._connection: Connection | None = None
        self._chore = chore
        self._tasks: queue.SimpleQueue[_Task[Any] | None] = queue.SimpleQueue()
        self._opened: Future[None] = Future()
        self._closed = False
        self._last_chore = 0.0
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="trigpoint-store", daemon=True)
        self._thread.start()
        _open.add(self)

    async def read(self, job: Job[T]) -> T:
        """Runs a job that only reads.

        Raises:
            JournalError: The store cannot be read.
        """
        return await finished(self.submit(job, write=False))

    async def write(self, job: Job[T], *, durable: bool = True) -> T:
        """Runs a job that writes and returns when it is committed; once queued it runs even if the waiter is cancelled.

        Args:
            job: May run twice: if another one of its group fails, the first run rolled back; or if the connection is
                lost, when nobody knows whether the first run was committed.
            durable: Whether the commit must survive a power cut. Any commit survives the death of the process.

        Raises:
            JournalError: The store cannot be written.
        """
        return await finished(self.submit(job, write=True, durable=durable))

    def submit(self, job: Job[T], *, write: bool, durable: bool = False) -> Future[T]:
        """Queues a job without waiting for it."""
        if os.getpid() != self._pid:
            raise JournalError(
                f"{self._backend.name} was opened before this process was forked.", "Open it in each process."
            )
        task = _Task(job, write, durable, Future())
        with self._lock:
            if self._closed:
                raise JournalError(f"{self._backend.name} is closed.")
            self._tasks.put(task)
        return task.future

    @property
    def name(self) -> str:
        """What a user is shown of the store; no password."""
        return self._backend.name

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    def wait_open(self) -> None:
        """Blocks until the store is open and its schema up to date.

        Raises:
            JournalError: It cannot be opened.
        """
        self._opened.result()

    def close(self) -> None:
        """Writes what is queued and closes the store; may be called again."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._tasks.put(None)
        if self._pid == os.getpid():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._connection = self._connect()
        except Exception as error:
            self._opened.set_exception(_as_journal_error(error, self._backend))
            self._refuse_all()
            return
        self._opened.set_result(None)
        try:
            while self._serve():
                pass
        finally:
            self._disconnect()

    def _connect(self) -> Connection:
        connection = self._backend.connect()
        try:
            self._in_transaction(connection, [self._arrive])
        except BaseException:
            _dispose(connection)
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            _dispose(self._connection)
            self._connection = None

    def _refuse_all(self) -> None:
        error = self._opened.exception()
        while (task := self._tasks.get()) is not None:
            task.future.set_exception(error)

    def _serve(self) -> bool:
        """Does what is queued now; False when closed."""
        tasks, going = self._take()
        tasks += self._chores()
        tasks = [task for task in tasks if task.future.set_running_or_notify_cancel()]
        for task in tasks:
            if not task.write:
                self._settle([task], lambda connection, jobs: [jobs[0](connection)])
        writes = [task for task in tasks if task.write]
        if writes:
            self._settle(writes, partial(self._in_transaction, durable=any(task.durable for task in writes)))
        return going

    def _take(self) -> tuple[list[_Task[Any]], bool]:
        """The queued tasks, none if a chore may be due; and whether to go on."""
        tasks: list[_Task[Any]] = []
        due = self._chore.every_s if self._chore else None
        try:
            item = self._tasks.get(timeout=due)
            while item is not None:
                tasks.append(item)
                if len(tasks) >= GROUP:
                    return tasks, True
                item = self._tasks.get_nowait()
        except queue.Empty:
            return tasks, True
        return tasks, False

    def _chores(self) -> list[_Task[Any]]:
        chore, now = self._chore, time.monotonic()
        if chore is None or now - self._last_chore < chore.every_s or not chore.needed():
            return []
        self._last_chore = now
        future: Future[None] = Future()
        future.add_done_callback(_log_failure)
        return [_Task(chore.job, True, False, future)]

    def _settle(self, tasks: list[_Task[Any]], run: Run) -> None:
        try:
            results = self._attempt([task.job for task in tasks], run)
        except Exception as error:
            if len(tasks) == 1 or self._connection is None:
                for task in tasks:
                    task.future.set_exception(_as_journal_error(error, self._backend))
                return
            for task in tasks:
                self._settle([task], run)
            return
        for task, result in zip(tasks, results, strict=True):
            task.future.set_result(result)

    def _attempt(self, jobs: list[Job[Any]], run: Run) -> list[Any]:
        """Runs the jobs, once more on a new connection where the old one was lost."""
        if self._connection is not None and self._connection.invalidated:
            self._disconnect()
        if self._connection is not None:
            try:
                return run(self._connection, jobs)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                log.warning("The connection to the store %s was lost; connecting again", self._backend.name)
                self._disconnect()
        self._connection = self._reconnect()
        return run(self._connection, jobs)

    def _reconnect(self) -> Connection:
        attempts = Retrying(
            retry=retry_if_exception_type(OperationalError),
            wait=wait_random(0.1, 1),
            stop=stop_after_delay(backends.BUSY_TIMEOUT_S),
            reraise=True,
        )
        return attempts(self._connect)

    def _in_transaction(self, connection: Connection, jobs: list[Job[Any]], *, durable: bool = True) -> list[Any]:
        try:
            self._backend.begin(connection, durable=durable)
            results = [job(connection) for job in jobs]
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            if not connection.invalidated and self._backend.in_transaction(connection):
                connection.exec_driver_sql("ROLLBACK")
            raise
        return results


async def finished(task: Future[T]) -> T:
    """The result of a queued job. Cancelling the wait leaves the job alone, and so does closing the event loop."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: Future[T]) -> None:
        # RuntimeError: the loop has been closed, so nobody waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    task.add_done_callback(wake)
    await done.wait()
    return task.result()


def _as_journal_error(error: Exception, backend: Backend) -> Exception:
    if isinstance(error, DBAPIError):
        # A server says it in several lines.
        said = " ".join(str(error.orig).split()).rstrip(".")
        return JournalError(f"The store {backend.name} failed: {said}.", backend.remedy(said))
    if isinstance(error, OSError):
        remedy = backend.remedy("unable to open")
        return JournalError(f"The store {backend.name} cannot be opened: {error.strerror}.", remedy)
    return error


def _dispose(connection: Connection) -> None:
    connection.close()
    connection.engine.dispose()


def _log_failure(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        log.warning("Housekeeping of the store failed: %s", error)


_open: weakref.WeakSet[Database] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for database in list(_open):
        database.close()
