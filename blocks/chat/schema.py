"""The tables of journal and traffic in the store, and how a store of an earlier version is brought up to date.

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

_SORTED = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that sorts by its bytes everywhere, whatever the language of the database."""

versions = Table(
    "schema_versions",
    metadata,
    Column("component", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)

messages = Table(
    "journal_messages",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("body", Text, nullable=False),
)

calls = Table(
    "journal_calls",
    metadata,
    Column("key", _SORTED, primary_key=True),
    Column("created_at", _SORTED, nullable=False),
    Column("endpoint", _SORTED, nullable=False),
    Column("provider", Text, nullable=False),
    Column("asked_model", _SORTED, nullable=False),
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
    Column("key", _SORTED, primary_key=True),
    Column("owner", Text, ForeignKey("journal_owners.owner", ondelete="CASCADE"), nullable=False, index=True),
)


spent = Table(
    "journal_spent",
    metadata,
    Column("day", _SORTED, primary_key=True, comment="UTC"),
    Column("endpoint", _SORTED, primary_key=True),
    Column("asked_model", _SORTED, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("calls_of_unknown_cost", BigInteger, nullable=False),
    comment="What calls took that are no longer kept: the ledger outlives the replies.",
)

sends = Table(
    "traffic_sends",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", _SORTED, nullable=False),
    Column("owner", Text, nullable=False),
    Column("at", Float, nullable=False, comment="by the store's clock, seconds since 1970"),
    Column("outcome", Text, nullable=False, comment="empty while it is under way"),
    Column("back_at", Float, nullable=False, comment="when it came back; 0 while it is under way"),
    Column("day", _SORTED, nullable=False, comment="UTC"),
    Column("run", _SORTED, nullable=False),
    Column("flow", _SORTED, nullable=False),
    Column("endpoint", _SORTED, nullable=False),
    Column("asked_model", _SORTED, nullable=False),
    Column("key", _SORTED, nullable=False, comment="of the call"),
    Column("tokens", BigInteger, nullable=False, comment="the most it may take, then what it took"),
    Column("nanodollars", BigInteger, nullable=False, comment="the same of money"),
    Index("traffic_sends_at", "account", "at"),
    Index("traffic_sends_outcome", "outcome"),
    comment="HTTP requests under way and those of the last minute: what limits and reservations are counted from.",
)

attempts = Table(
    "traffic_attempts",
    metadata,
    Column("day", _SORTED, primary_key=True, comment="UTC"),
    Column("run", _SORTED, primary_key=True),
    Column("flow", _SORTED, primary_key=True),
    Column("endpoint", _SORTED, primary_key=True),
    Column("asked_model", _SORTED, primary_key=True),
    Column("outcome", _SORTED, primary_key=True, comment="ok, or the kind of the error"),
    Column("requests", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cost_usd", Float, nullable=False, comment="as reported or priced"),
    Column("unreported", BigInteger, nullable=False, comment="requests whose tokens nobody has counted"),
    Column("charged_tokens", BigInteger, nullable=False, comment="what budgets count"),
    Column("charged_nanodollars", BigInteger, nullable=False, comment="the same of money"),
    Index("traffic_attempts_run", "run"),
    comment="Every HTTP request that was sent, answered or not, added up.",
)
ATTEMPT_SUMS = tuple(column.name for column in attempts.c if not column.primary_key)
"""What the ledger adds up of requests."""

breakers = Table(
    "traffic_breakers",
    metadata,
    Column("endpoint", _SORTED, primary_key=True),
    Column("asked_model", _SORTED, primary_key=True),
    Column("state", Text, nullable=False, comment="closed, open or probing"),
    Column("since", Float, nullable=False),
    Column("probe_at", Float, nullable=False, comment="when the next request is let through"),
    Column("probe", Text, nullable=False, comment="traffic_sends.id of the request let through"),
    Column("trips", Integer, nullable=False, comment="openings in a row"),
    Column("streak", Integer, nullable=False, comment="failures in a row"),
    Column("streak_since", Float, nullable=False),
    Column("reason", Text, nullable=False),
)

waits = Table(
    "traffic_waits",
    metadata,
    Column("account", _SORTED, primary_key=True),
    Column("asked_model", _SORTED, primary_key=True),
    Column("endpoint", _SORTED, nullable=False),
    Column("since", Float, nullable=False, comment="by the store's clock, seconds since 1970"),
    Column("until", Float, nullable=False, comment="when the server is to be asked again"),
    Column("said", Text, nullable=False, comment="the server's words"),
    comment="Where a server has asked to send nothing for longer than calls wait. It is told; a new run asks anyway.",
)


def _first(connection: Connection) -> None:
    metadata.create_all(connection, tables=[messages, calls, owners, claims], checkfirst=True)


def _second(connection: Connection) -> None:
    metadata.create_all(connection, tables=[spent], checkfirst=True)


def _third(connection: Connection) -> None:
    metadata.create_all(connection, tables=[sends, attempts, breakers], checkfirst=True)


def _fourth(connection: Connection) -> None:
    metadata.create_all(connection, tables=[waits], checkfirst=True)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first, _second, _third, _fourth)
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
            "Upgrade Trigpoint, or name another store.",
        )
    for step in MIGRATIONS[version:]:
        step(connection)
    if version < len(MIGRATIONS):
        connection.execute(update(versions).where(versions.c.component == COMPONENT).values(version=len(MIGRATIONS)))
