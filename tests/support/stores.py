"""A look into a store past the journal, as another program would take it; and places as words of a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import inspect

from blocks.chat.backends import Place, backend_of


def look(place: Place, statement: str) -> list[tuple[Any, ...]]:
    """Runs a statement on a connection of its own, which sees what is committed; gives the rows there are."""
    connection = backend_of(place).connect()
    try:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        connection.close()
        connection.engine.dispose()


def has_table(place: Place, name: str) -> bool:
    """Whether the store has a table."""
    connection = backend_of(place).connect()
    try:
        return inspect(connection).has_table(name)
    finally:
        connection.close()
        connection.engine.dispose()


def stored_keys(place: Place) -> set[str]:
    """Keys of the calls that the journal has; none where nobody has made it yet."""
    if not has_table(place, "journal_calls"):
        return set()
    return {key for (key,) in look(place, "SELECT key FROM journal_calls")}


def written(place: Place) -> str:
    """A place as an argument of a command."""
    return str(place) if isinstance(place, Path) else place.get_secret_value()


def place_of(text: str) -> Place:
    """The place that `written` wrote."""
    return SecretStr(text) if "://" in text else Path(text)
