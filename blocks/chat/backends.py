"""Where a store can be, and what differs there: a SQLite file of one host, or a PostgreSQL database that many share.

In both one writer at a time is let in, so that a job which looks and then writes is right in both as it stands.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from pydantic import SecretStr
from sqlalchemy import URL, Connection, Table, create_engine, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from blocks.chat.errors import JournalError

Place: TypeAlias = Path | SecretStr
"""A SQLite file, or the SQLAlchemy URL of a PostgreSQL database, password and all."""

BUSY_TIMEOUT_S = 60.0
"""How long a writer waits for others, and for a database server to come back."""

WRITER_LOCK = int.from_bytes(b"trigpt", "big")
"""PostgreSQL's advisory lock of whoever writes."""

log = logging.getLogger(__name__)


class Backend(Protocol):
    """A kind of place, for `Database`."""

    @property
    def name(self) -> str:
        """What a user is shown of the place; no password."""
        ...

    def connect(self) -> Connection:
        """A connection in autocommit mode: transactions are begun by hand."""
        ...

    def begin(self, connection: Connection, *, durable: bool) -> None:
        """Begins a transaction that excludes other writers.

        Args:
            connection: The connection.
            durable: Whether its commit must survive a power cut.
        """
        ...

    def in_transaction(self, connection: Connection) -> bool:
        """Whether there is something to roll back."""
        ...

    def remedy(self, said: str) -> str:
        """What a user can do about an error of the database."""
        ...


def backend_of(place: Place) -> Backend:
    """The backend of a place.

    Raises:
        JournalError: The URL is not one of PostgreSQL.
    """
    return SqliteFile(place) if isinstance(place, Path) else PostgresDatabase(place)


def insert_into(table: Table, dialect: str) -> Any:
    """INSERT with ON CONFLICT, in the words of the dialect of that name."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # 40 ms of every start, and most stores are files.

        return postgresql.insert(table)
    return sqlite.insert(table)


class SqliteFile:
    """A file; it and its folder are created."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """See `Backend`."""
        return str(self._path)

    def connect(self) -> Connection:
        """See `Backend`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            f"sqlite:///{self._path}", isolation_level="AUTOCOMMIT", connect_args={"timeout": BUSY_TIMEOUT_S}
        )
        connection = engine.connect()
        try:
            _prepare_file(connection)
        except BaseException:
            connection.close()
            engine.dispose()
            raise
        return connection

    def begin(self, connection: Connection, *, durable: bool) -> None:
        """See `Backend`."""
        # FULL flushes the WAL at each commit; NORMAL leaves that to the system, which outlives the process.
        connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def in_transaction(self, connection: Connection) -> bool:
        """See `Backend`; a full disk makes SQLite roll back by itself."""
        driver: Any = connection.connection.driver_connection
        return bool(driver.in_transaction)

    def remedy(self, said: str) -> str:
        """See `Backend`."""
        return _first_match(_FILE_REMEDIES, said)


class PostgresDatabase:
    """A database that exists; its tables are created.

    Args:
        url: See `Place`.

    Raises:
        JournalError: It is no URL of PostgreSQL.
    """

    def __init__(self, url: SecretStr) -> None:
        self._url = _parsed(url)

    @property
    def name(self) -> str:
        """See `Backend`."""
        return URL.create(
            "postgresql", self._url.username, None, self._url.host, self._url.port, self._url.database
        ).render_as_string()

    def connect(self) -> Connection:
        """See `Backend`."""
        told = {name: value for name, value in _CONNECT.items() if name not in self._url.query}
        try:
            engine = create_engine(self._url, isolation_level="AUTOCOMMIT", connect_args=told)
        except ImportError as error:
            raise JournalError(
                "A store in PostgreSQL needs psycopg, which is not installed.",
                "It is the extra postgres of Trigpoint: pip install -e '.[postgres]'",
            ) from error
        connection = engine.connect()
        limit = f"'{round(BUSY_TIMEOUT_S * 1000)}ms'"
        # A process that is stopped while it writes must not stop every host.
        _run(connection, f"SET lock_timeout = {limit}; SET idle_in_transaction_session_timeout = {limit}")
        return connection

    def begin(self, connection: Connection, *, durable: bool) -> None:
        """See `Backend`."""
        _run(
            connection,
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
            f" SET LOCAL synchronous_commit = {'on' if durable else 'off'};"
            f" SELECT pg_advisory_xact_lock({WRITER_LOCK})",
        )

    def in_transaction(self, connection: Connection) -> bool:
        """See `Backend`."""
        driver: Any = connection.connection.driver_connection
        return not driver.closed and driver.info.transaction_status != 0

    def remedy(self, said: str) -> str:
        """See `Backend`."""
        return _first_match(_SERVER_REMEDIES, said)


_CONNECT: Mapping[str, Any] = {
    "connect_timeout": 10,
    "application_name": "trigpoint",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_FILE_REMEDIES = {
    "locked": "Another process holds it; end that one or wait.",
    "full": "Free some disk space and run again.",
    "readonly": "Set TRIGPOINT_HOME to a folder that can be written.",
    "unable to open": "Set TRIGPOINT_HOME to a folder that can be written.",
    "not a database": "Move the file away; a new one is made.",
    "malformed": "Move the file away, or restore it from a copy.",
}
_WHERE = "TRIGPOINT_STORE_URL"
_SERVER_REMEDIES = {
    "password": f"Correct user and password in {_WHERE}.",
    "authentication": f"Correct user and password in {_WHERE}.",
    "pg_hba": "Let this host in: pg_hba.conf of the server.",
    "role ": f"Correct the user in {_WHERE}.",
    "permission denied": "Let the user create tables there, or make it the database's owner.",
    "does not exist": f"Create the database, or correct {_WHERE}.",
    "lock timeout": "Another process holds it; end that one or wait.",
    "too many": "End some of its clients, or raise max_connections.",
    "No space left": "Free some disk space on its server and run again.",
    "read-only": f"Name the primary server in {_WHERE}.",
    "connection": f"Start the server, or correct {_WHERE}.",
    "resolve": f"Start the server, or correct {_WHERE}.",
}


def _parsed(url: SecretStr) -> URL:
    # Errors of the parser quote what they could not read, and that may be the password.
    try:
        parsed = make_url(url.get_secret_value())
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
        raise JournalError(
            "The store's address is no URL of PostgreSQL.",
            f"Write {_WHERE} as postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, special characters of the password"
            " as %XX; leave it empty for the file in TRIGPOINT_HOME.",
        )
    return parsed.set(drivername="postgresql+psycopg")


def _run(connection: Connection, statements: str) -> None:
    # Without parameters several statements are one round trip.
    connection.exec_driver_sql(statements, execution_options={"no_parameters": True})


def _first_match(remedies: Mapping[str, str], said: str) -> str:
    return next((remedy for word, remedy in remedies.items() if word in said), "")


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and "locked" in str(error.orig)


# SQLite answers "locked" at once, whatever the timeout, to two processes that switch a new file to WAL together.
@retry(
    retry=retry_if_exception(_is_locked),
    wait=wait_random(0.01, 0.2),
    stop=stop_after_delay(BUSY_TIMEOUT_S),
    reraise=True,
)
def _prepare_file(connection: Connection) -> None:
    mode = connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar()
    if mode != "wal":
        log.warning("The store's file system does not allow SQLite's WAL mode (%s); writing is slower", mode)
    connection.exec_driver_sql("PRAGMA synchronous=FULL")
    connection.exec_driver_sql("PRAGMA foreign_keys=ON")
