"""One SQLite file, one connection, one thread: the store's work off the event loop, commits shared by who waits.

Reads run at once. Writes that are waiting together are committed together, so a hundred calls in flight cost a few
disk flushes, not a hundred. A write that fails takes no other with it: the group is run again one by one.
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
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from blocks.chat.errors import JournalError

T = TypeVar("T")
Job = Callable[[Connection], T]

BUSY_TIMEOUT_S = 60.0
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
    """The file and its thread. `close` it; what is still queued is written first, also at interpreter exit.

    Args:
        path: The SQLite file; it and its folder are created.
        migrate: Brings the schema up to date; runs once, in a transaction that excludes other processes.
        chore: Housekeeping.
    """

    def __init__(self, path: Path, migrate: Job[None], chore: Chore | None = None) -> None:
        self.path = path
        self._migrate = migrate
        self._chore = chore
        self._tasks: queue.SimpleQueue[_Task[Any] | None] = queue.SimpleQueue()
        self._opened: Future[None] = Future()
        self._closed = False
        self._last_chore = 0.0
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name=f"trigpoint-store-{path.name}", daemon=True)
        self._thread.start()
        _open.add(self)

    async def read(self, job: Job[T]) -> T:
        """Runs a job that only reads.

        Raises:
            JournalError: The file cannot be read.
        """
        return await finished(self.submit(job, write=False))

    async def write(self, job: Job[T], *, durable: bool = True) -> T:
        """Runs a job that writes and returns when it is committed; once queued it runs even if the waiter is cancelled.

        Args:
            job: May run twice, if another one of its group fails; the first run is rolled back.
            durable: Whether the commit must survive a power cut. Any commit survives the death of the process.

        Raises:
            JournalError: The file cannot be written.
        """
        return await finished(self.submit(job, write=True, durable=durable))

    def submit(self, job: Job[T], *, write: bool, durable: bool = False) -> Future[T]:
        """Queues a job without waiting for it."""
        if os.getpid() != self._pid:
            raise JournalError(f"{self.path} was opened before this process was forked.", "Open it in each process.")
        task = _Task(job, write, durable, Future())
        with self._lock:
            if self._closed:
                raise JournalError(f"{self.path} is closed.")
            self._tasks.put(task)
        return task.future

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._closed

    def wait_open(self) -> None:
        """Blocks until the file is open and its schema up to date.

        Raises:
            JournalError: It cannot be opened.
        """
        self._opened.result()

    def close(self) -> None:
        """Writes what is queued and closes the file; may be called again."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._tasks.put(None)
        if self._pid == os.getpid():
            self._thread.join()

    def _run(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:
            self._opened.set_exception(_as_journal_error(error, self.path))
            self._refuse_all()
            return
        self._opened.set_result(None)
        try:
            while self._serve(connection):
                pass
        finally:
            connection.close()
            connection.engine.dispose()

    def _connect(self) -> Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Transactions are begun by hand: reads must not lock, writes must take the lock at their start.
        engine = create_engine(
            f"sqlite:///{self.path}", isolation_level="AUTOCOMMIT", connect_args={"timeout": BUSY_TIMEOUT_S}
        )
        try:
            connection = engine.connect()
            _prepare(connection)
            _in_transaction(connection, [self._migrate])
        except BaseException:
            engine.dispose()
            raise
        return connection

    def _refuse_all(self) -> None:
        error = self._opened.exception()
        while (task := self._tasks.get()) is not None:
            task.future.set_exception(error)

    def _serve(self, connection: Connection) -> bool:
        """Does what is queued now; False when closed."""
        tasks, going = self._take()
        tasks += self._chores()
        tasks = [task for task in tasks if task.future.set_running_or_notify_cancel()]
        for task in tasks:
            if not task.write:
                self._settle([task], connection, lambda connection, jobs: [jobs[0](connection)])
        writes = [task for task in tasks if task.write]
        if writes:
            _set_durable(connection, any(task.durable for task in writes))
            self._settle(writes, connection, _in_transaction)
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

    def _settle(
        self,
        tasks: list[_Task[Any]],
        connection: Connection,
        run: Callable[[Connection, list[Job[Any]]], list[Any]],
    ) -> None:
        try:
            results = run(connection, [task.job for task in tasks])
        except Exception as error:
            if len(tasks) == 1:
                tasks[0].future.set_exception(_as_journal_error(error, self.path))
                return
            for task in tasks:
                self._settle([task], connection, run)
            return
        for task, result in zip(tasks, results, strict=True):
            task.future.set_result(result)


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


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and "locked" in str(error.orig)


# SQLite answers "locked" at once, whatever the timeout, to two processes that switch a new file to WAL together.
@retry(
    retry=retry_if_exception(_is_locked),
    wait=wait_random(0.01, 0.2),
    stop=stop_after_delay(BUSY_TIMEOUT_S),
    reraise=True,
)
def _prepare(connection: Connection) -> None:
    mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar()
    if mode != "wal":
        log.warning("The store's file system does not allow SQLite's WAL mode (%s); writing is slower", mode)
    connection.exec_driver_sql("PRAGMA synchronous=FULL")
    connection.exec_driver_sql("PRAGMA foreign_keys=ON")


def _set_durable(connection: Connection, durable: bool) -> None:
    # FULL flushes the WAL at each commit; NORMAL leaves that to the system, which outlives the process.
    connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")


def _in_transaction(connection: Connection, jobs: list[Job[Any]]) -> list[Any]:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        results = [job(connection) for job in jobs]
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        # A full disk makes SQLite roll back by itself.
        if connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            connection.exec_driver_sql("ROLLBACK")
        raise
    return results


def _as_journal_error(error: Exception, path: Path) -> Exception:
    if isinstance(error, DBAPIError):
        return JournalError(f"The store {path} failed: {error.orig}.", _remedy(str(error.orig)))
    if isinstance(error, OSError):
        return JournalError(f"The store {path} cannot be opened: {error.strerror}.", _remedy("unable to open"))
    return error


def _remedy(said: str) -> str:
    remedies = {
        "locked": "Another process holds it; end that one or wait.",
        "full": "Free some disk space and run again.",
        "readonly": "Set TRIGPOINT_HOME to a folder that can be written.",
        "unable to open": "Set TRIGPOINT_HOME to a folder that can be written.",
        "not a database": "Move the file away; a new one is made.",
        "malformed": "Move the file away, or restore it from a copy.",
    }
    return next((remedy for word, remedy in remedies.items() if word in said), "")


def _log_failure(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        log.warning("Housekeeping of the store failed: %s", error)


_open: weakref.WeakSet[Database] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for database in list(_open):
        database.close()
