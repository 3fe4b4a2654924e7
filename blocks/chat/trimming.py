"""Trimming the journal: old calls go, what they took stays in the ledger, and the space is free again.

A call that is gone would be asked, and paid, again by a rerun that needs it; so only those older than any run that may
still be taken up should go. Days go whole, so that the ledger stays exact for whole days.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, text

from blocks.chat.backends import insert_into
from blocks.chat.journal import Journal
from blocks.chat.ledger import SUMS, daily
from blocks.chat.schema import calls, messages, spent

# EXCEPT, since a NOT IN that outgrows PostgreSQL's memory for it takes the square of its time.
_UNUSED = (
    "journal_messages.id IN (SELECT id FROM journal_messages"
    " EXCEPT SELECT CAST(each.value AS BIGINT) FROM journal_calls, {messages} AS each)"
)
_UNUSED_MESSAGES = {
    "sqlite": text(_UNUSED.format(messages="json_each(journal_calls.messages)")),
    "postgresql": text(_UNUSED.format(messages="json_array_elements_text(CAST(journal_calls.messages AS json))")),
}


class Survey(NamedTuple):
    """Calls answered before a day.

    Attributes:
        calls: How many.
        bytes: Of their replies; what they were asked is shared with other calls.
    """

    calls: int
    bytes: int


async def survey(journal: Journal, before: datetime) -> Survey:
    """What `trim` would remove.

    Args:
        journal: The journal.
        before: An aware time; calls of the days before that day (UTC) count.
    """

    def job(connection: Connection) -> Survey:
        size = func.coalesce(func.sum(func.length(calls.c.reply) + func.length(calls.c.raw)), 0)
        found = connection.execute(select(func.count(), size).where(calls.c.created_at < _day(before))).one()
        return Survey(found[0], int(found[1]))

    return await journal.query(job)


async def trim(journal: Journal, before: datetime) -> int:
    """Remove the calls of the days before a day; what they took is kept for the ledger. All of it or nothing.

    Args:
        journal: The journal; may be in use by other processes.
        before: An aware time, see `survey`.

    Returns:
        How many calls were removed.

    Raises:
        JournalError: The store cannot be written.
    """
    return await journal.change(lambda connection: _trim(connection, _day(before)))


async def compact(journal: Journal) -> None:
    """Free the space of what was removed.

    A SQLite file shrinks; others wait meanwhile, and it needs as much free space. In PostgreSQL nobody waits, and the
    space serves the calls to come.

    Raises:
        JournalError: The store is in use for too long, or there is no room.
    """
    await journal.query(_compact)


def _compact(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Not FULL, which shuts every host out.
        connection.exec_driver_sql(f"VACUUM {calls.name}, {messages.name}")
        return
    # Not VACUUM INTO and a renamed file: processes that have the journal open would go on writing into the old one.
    connection.exec_driver_sql("VACUUM")
    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()


def _trim(connection: Connection, day: str) -> int:
    old = daily().where(calls.c.created_at < day).subquery()
    columns = ("day", "endpoint", "asked_model", *SUMS)
    entry = insert_into(spent, connection.dialect.name).from_select(
        columns, select(*(old.c[name] for name in columns)).where(text("true"))
    )
    added = {name: spent.c[name] + entry.excluded[name] for name in SUMS}
    connection.execute(entry.on_conflict_do_update(index_elements=["day", "endpoint", "asked_model"], set_=added))
    removed = connection.execute(delete(calls).where(calls.c.created_at < day)).rowcount
    if removed:
        connection.execute(delete(messages).where(_UNUSED_MESSAGES[connection.dialect.name]))
    return removed


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
