"""The journal's tables in the store, and how a store of an earlier version is brought up to date.

A conversation of n turns sends its first message n times; messages are kept once, by their digest, so the journal
grows with what is said and not with its square.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    select,
    update,
)

from blocks.chat.errors import JournalError

COMPONENT = "journal"

metadata = MetaData()

versions = Table(
    "schema_versions",
    metadata,
    Column("component", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)

messages = Table(
    "journal_messages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("body", Text, nullable=False),
)

calls = Table(
    "journal_calls",
    metadata,
    Column("key", Text, primary_key=True),
    Column("created_at", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("asked_model", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("sample_index", Integer, nullable=False),
    Column("sampling", Text, nullable=False),
    Column("tools", Text, nullable=False),
    Column("extra", Text, nullable=False),
    Column("messages", Text, nullable=False, comment="JSON list of journal_messages.id"),
    Column("reply", Text, nullable=False),
    Column("finish_reason", Text, nullable=False),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cost_usd", Float),
    Column("price", Text),
    Column("requests", Integer, nullable=False),
    Column("latency_s", Float, nullable=False),
    Column("raw", Text, nullable=False),
    Index("journal_calls_created_at", "created_at"),
)

owners = Table(
    "journal_owners",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("beat", Integer, nullable=False),
)

claims = Table(
    "journal_claims",
    metadata,
    Column("key", Text, primary_key=True),
    Column("owner", Text, ForeignKey("journal_owners.owner", ondelete="CASCADE"), nullable=False, index=True),
)


def _first(connection: Connection) -> None:
    metadata.create_all(connection, tables=[messages, calls, owners, claims], checkfirst=True)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first,)
"""Step i brings a store of version i to version i + 1. Steps are never changed once released, only added."""


def migrate(connection: Connection) -> None:
    """Brings the journal's tables to the newest version; to be run in a transaction of its own.

    Raises:
        JournalError: The store was written by a later version of Trigpoint.
    """
    metadata.create_all(connection, tables=[versions], checkfirst=True)
    found = connection.execute(select(versions.c.version).where(versions.c.component == COMPONENT)).scalar()
    if found is None:
        connection.execute(insert(versions).values(component=COMPONENT, version=0))
    version = found or 0
    if version > len(MIGRATIONS):
        raise JournalError(
            f"The store's journal has version {version}, this Trigpoint knows {len(MIGRATIONS)}.",
            "Upgrade Trigpoint, or set TRIGPOINT_HOME to another folder.",
        )
    for step in MIGRATIONS[version:]:
        step(connection)
    if version < len(MIGRATIONS):
        connection.execute(update(versions).where(versions.c.component == COMPONENT).values(version=len(MIGRATIONS)))
