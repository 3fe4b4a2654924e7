"""The journal: every answered model call, stored before it is used, so that none is paid twice.

It lives in the store and may be open in any number of processes: of one host where that is a SQLite file, of many where
it is PostgreSQL. Before a call is sent it is claimed there, so two processes that want the same call pay once. A claim
falls to the next who asks when its owner is dead: at once where that can be seen (same host and PID namespace); after
`ABSENT_BEATS` where PostgreSQL has lost its connection and it has not come back; else, and for an owner that hangs,
after its heartbeat has been silent for `LEASE_S`. Silence is measured by who waits, so clocks need not agree.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from blocks.chat import exported, rows
from blocks.chat.backends import Place, backend_of, insert_into
from blocks.chat.database import Chore, Database, finished
from blocks.chat.models import ChatReply
from blocks.chat.owners import appear, life, new_owner, present
from blocks.chat.records import JournalRecord
from blocks.chat.schema import claims, migrate, owners
from blocks.closing import Closing

LEASE_S = 60.0
"""Seconds of silence after which an owner counts as dead even though its process may live."""
BEATS = 12
"""Signs of life an owner gives in that time."""
ABSENT_BEATS = 2
"""Beats after which an owner without a connection counts as dead: one that lost it is back with its next beat."""
POLL_S = (0.02, 1.0)
"""First and longest pause between looks at a claim that another holds."""

T = TypeVar("T")

_HOLDER = select(owners.c.owner, owners.c.beat).join(claims).where(claims.c.key == bindparam("key"))
_CLAIM = insert(claims)
_UNCLAIM = delete(claims).where(claims.c.key == bindparam("of_key"))
_GIVE_BACK = _UNCLAIM.where(claims.c.owner == bindparam("of_owner"))
_BEAT = update(owners).where(owners.c.owner == bindparam("of_owner")).values(beat=owners.c.beat + 1)
_LEAVE = delete(owners).where(owners.c.owner == bindparam("of_owner"))
_LEAVE_IDLE = delete(owners).where(owners.c.owner.not_in(select(claims.c.owner)))

log = logging.getLogger(__name__)


@cache
def _entering(dialect: str) -> Any:
    return insert_into(owners, dialect).on_conflict_do_nothing()


class Replies(Protocol):
    """What can answer a call that has been answered before."""

    async def find(self, key: str) -> ChatReply | None:
        """The stored reply to a call, or None."""
        ...


class Holder(NamedTuple):
    """Who holds a claim, as last seen."""

    owner: str
    beat: int
    present: bool


class Journal(Closing):
    """The journal in one store; `close` it, or use it as a context manager.

    Args:
        place: The store: a file, or the URL of a database.
        lease_s: See `LEASE_S`.

    Raises:
        JournalError: The store cannot be opened, or is of a later version.
    """

    def __init__(self, place: Place, *, lease_s: float = LEASE_S) -> None:
        self._lease_s = lease_s
        self._owner = str(new_owner())
        self._held: dict[str, object] = {}
        chore = Chore(lease_s / BEATS, self._beat, needed=lambda: bool(self._held))
        self._database = Database(backend_of(place), self._move_in, chore)
        self._database.wait_open()

    @property
    def name(self) -> str:
        """What a user is shown of the store; no password."""
        return self._database.name

    async def find(self, key: str) -> ChatReply | None:
        """The stored reply to a call, or None."""
        return await self._database.read(lambda connection: rows.reply(connection, key))

    async def store(self, record: JournalRecord) -> ChatReply:
        """Stores an answered call and gives its reply once that is on disk; the first one stored under a key stays.

        Returns:
            The reply now in the journal: this one, or that of whoever was first.
        """

        def job(connection: Connection) -> ChatReply:
            first = rows.add(connection, record)
            connection.execute(_UNCLAIM, {"of_key": record.key})
            self._held.pop(record.key, None)
            stored = None if first else rows.reply(connection, record.key)
            return stored or record.reply(replayed=False)

        return await self._database.write(job)

    @asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[ChatReply | None]:
        """Waits until the call is ours to make, or has been answered by another.

        Yields:
            None when the call is claimed, to the end of the `with` block; else the reply that has come meanwhile.
        """
        held = False
        try:
            reply = await self._await_claim(key)
            held = reply is None
            yield reply
        finally:
            if held and key in self._held:
                self._release(key)

    async def _await_claim(self, key: str) -> ChatReply | None:
        stale: Holder | None = None
        seen: Holder | None = None
        since = time.monotonic()
        pause, longest = POLL_S
        while True:
            outcome = await self._try_claim(key, stale)
            if not isinstance(outcome, Holder):
                return outcome
            now = time.monotonic()
            if seen is None:
                log.info("Another process is making call %s; waiting for its answer.", key[:12])
            if outcome != seen:
                seen, since = outcome, now
            patience = self._lease_s * (1 if outcome.present else ABSENT_BEATS / BEATS)
            stale = seen if now - since >= patience else None
            await asyncio.sleep(min(pause, patience / 2))
            pause = min(pause * 2, longest)

    async def _try_claim(self, key: str, stale: Holder | None) -> ChatReply | Holder | None:
        """Claims the call (None), or says who holds it, or gives its reply."""
        attempt = object()
        future = self._database.submit(lambda connection: self._claim_job(connection, key, stale, attempt), write=True)
        try:
            return await finished(future)
        except asyncio.CancelledError:
            # The claim may be made after we have gone; if it is ours, it must not stay.
            future.add_done_callback(lambda done: self._release_if_made(done, key))
            raise

    def _claim_job(
        self, connection: Connection, key: str, stale: Holder | None, attempt: object
    ) -> ChatReply | Holder | None:
        # A second run of this job, the connection lost at the first one's commit, may find the claim it made itself.
        again = self._held.get(key) is attempt
        if again:
            del self._held[key]
        reply = rows.reply(connection, key)
        if reply is not None:
            return reply
        found = connection.execute(_HOLDER, {"key": key}).one_or_none()
        if found is not None and not (again and found.owner == self._owner):
            holder = Holder(found.owner, found.beat, present(connection, found.owner))
            if holder != stale and life(holder.owner) != "dead":
                return holder
        if found is not None:
            connection.execute(_UNCLAIM, {"of_key": key})
        self._held[key] = attempt
        self._enter(connection)
        connection.execute(_CLAIM, {"key": key, "owner": self._owner})
        return None

    def _release_if_made(self, done: Future[ChatReply | Holder | None], key: str) -> None:
        if not done.cancelled() and done.exception() is None and done.result() is None:
            self._release(key)

    def _release(self, key: str) -> None:
        """Gives a claim back, without waiting; stored replies have given theirs back already."""

        def job(connection: Connection) -> None:
            self._held.pop(key, None)
            connection.execute(_GIVE_BACK, {"of_key": key, "of_owner": self._owner})

        if not self._database.closed:
            self._database.submit(job, write=True)

    def _move_in(self, connection: Connection) -> None:
        """Enters this owner, and clears away those who died: with claims in their hands, or who knows where."""
        migrate(connection)
        appear(connection, self._owner)
        for other in connection.execute(select(owners.c.owner)).scalars().all():
            if life(other) == "dead":
                connection.execute(_LEAVE, {"of_owner": other})
        # Who lives, and claims something, enters again.
        connection.execute(_LEAVE_IDLE)
        self._enter(connection)

    def _enter(self, connection: Connection) -> None:
        connection.execute(_entering(connection.dialect.name), {"owner": self._owner, "beat": 0})

    def _beat(self, connection: Connection) -> None:
        connection.execute(_BEAT, {"of_owner": self._owner})

    async def records(self, keys: Collection[str] | None = None) -> AsyncIterator[JournalRecord]:
        """All records, or those of `keys`, in the order their answers came."""
        wanted = None if keys is None else set(keys)
        order = await self._database.read(rows.keys_in_order)
        chosen = [key for key in order if wanted is None or key in wanted]
        for start in range(0, len(chosen), exported.CHUNK):
            chunk = chosen[start : start + exported.CHUNK]
            for record in await self._database.read(partial(rows.records, keys=chunk)):
                yield record

    async def export_jsonl(self, path: Path, keys: Collection[str] | None = None) -> int:
        """Writes records as JSON lines (gzip when the name ends in .gz) for a `ReplayJournal`; atomic.

        Args:
            path: The file to write.
            keys: The calls to export; None: all.

        Returns:
            How many records were written.
        """
        return await exported.write(path, self.records(keys))

    async def import_jsonl(self, path: Path) -> int:
        """Adds the records of an exported journal; what is known already stays as it is.

        Returns:
            How many records were new.

        Raises:
            JournalError: The file holds what is no record, or a record whose key is not that of its request; nothing
                of it is added.
        """
        found = await asyncio.to_thread(lambda: list(exported.read(path)))
        return await self._database.write(lambda connection: sum(rows.add(connection, record) for record in found))

    async def query(self, job: Callable[[Connection], T]) -> T:
        """Runs a reading job on the store, for the ledger."""
        return await self._database.read(job)

    @property
    def owner(self) -> str:
        """Who holds what this journal has entered in the store; see `blocks.chat.owners`."""
        return self._owner

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return self._database.closed

    def soon(self, job: Callable[[Connection], T]) -> Future[T]:
        """Queues a writing job and goes on; it is committed before, or with, any reply stored later.

        It survives the death of the process, not a power cut.
        """
        return self._database.submit(job, write=True)

    async def change(self, job: Callable[[Connection], T]) -> T:
        """Runs a writing job on the store, in a transaction of its own or with others, for its upkeep."""
        return await self._database.write(job)

    def close(self) -> None:
        """Writes what is queued, gives claims back and closes the store; may be called again."""
        if not self._database.closed:
            leave = {"of_owner": self._owner}
            self._database.submit(lambda connection: connection.execute(_LEAVE, leave), write=True)
        self._database.close()
