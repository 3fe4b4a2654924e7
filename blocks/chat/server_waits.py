"""Waits of hours that servers have asked for, in the store: entered, taken back when an answer comes, told to people.

They keep nobody from asking: who has bought credit, or runs with another account's key, need not wait for the hour that
was told. A run that asks meets the wait with its first request, and ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from blocks.chat.backends import insert_into
from blocks.chat.orders import Desk, Return
from blocks.chat.schema import waits

_ANSWERED = delete(waits).where(
    waits.c.account == bindparam("of_account"),
    waits.c.asked_model == bindparam("of_model"),
    # An answer to what was sent before says nothing of the wait.
    waits.c.since < bindparam("sent"),
)


class KeptWait(NamedTuple):
    """A wait as it is kept."""

    endpoint: str
    model: str
    since: float
    until: float
    said: str


def enter(connection: Connection, desk: Desk, returns: Iterable[tuple[Return, float]], now: float) -> None:
    """Keeps the waits that replies have asked for, and forgets those of models that have answered since.

    Args:
        connection: In a transaction.
        desk: Whose requests.
        returns: What came back, with the time at which it was sent.
        now: By the store's clock.
    """
    answered: dict[str, float] = {}
    asked: list[dict[str, object]] = []
    for back, sent in returns:
        if back.closing is not None:
            asked.append(
                {
                    "account": desk.account,
                    "asked_model": back.model,
                    "endpoint": desk.endpoint,
                    "since": now,
                    "until": now + back.closing.seconds,
                    "said": back.closing.said,
                }
            )
        elif back.outcome == "ok":
            answered[back.model] = max(sent, answered.get(back.model, sent))
    if answered:
        rows = [{"of_account": desk.account, "of_model": model, "sent": sent} for model, sent in answered.items()]
        connection.execute(_ANSWERED, rows)
    for row in asked:
        connection.execute(_put(connection.dialect.name), row)


def standing_waits(connection: Connection, now: float) -> list[KeptWait]:
    """Those that are not over, by endpoint and model; of several accounts' the longest."""
    query = select(waits).where(waits.c.until > now).order_by(waits.c.until)
    rows = {(row.endpoint, row.asked_model): row for row in connection.execute(query)}
    return [
        KeptWait(endpoint, model, row.since, row.until, row.said) for (endpoint, model), row in sorted(rows.items())
    ]


@cache
def _put(dialect: str) -> Any:
    entry = insert_into(waits, dialect)
    changed = {name: entry.excluded[name] for name in ("endpoint", "since", "until", "said")}
    return entry.on_conflict_do_update(index_elements=["account", "asked_model"], set_=changed)
