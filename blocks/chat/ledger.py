"""The ledger: what the calls in a journal took and cost, by model."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from blocks.chat.journal import Journal
from blocks.chat.schema import calls
from blocks.frozen import Frozen


class ModelTotals(Frozen):
    """Totals of one model at one endpoint. What the provider did not report is not in the sums."""

    endpoint: str
    model: str
    """The model asked for."""
    calls: int
    requests: int
    """HTTP requests those calls took, retries included."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: float
    """US dollars of the calls whose cost is known."""
    calls_of_unknown_cost: int
    seconds: float
    """Sum of the calls' latencies."""


async def totals(
    journal: Journal, *, since: datetime | None = None, until: datetime | None = None
) -> tuple[ModelTotals, ...]:
    """What the calls answered from `since` (included) to `until` (not included) took, by endpoint and model.

    Args:
        journal: The journal.
        since: An aware time; None: from the start.
        until: An aware time; None: to the end.
    """
    return await journal.query(lambda connection: _totals(connection, since, until))


def _totals(connection: Connection, since: datetime | None, until: datetime | None) -> tuple[ModelTotals, ...]:
    sums = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cost_usd")
    query = (
        select(
            calls.c.endpoint,
            calls.c.asked_model.label("model"),
            func.count().label("calls"),
            *(func.coalesce(func.sum(calls.c[name]), 0).label(name) for name in sums),
            func.sum(calls.c.latency_s).label("seconds"),
            (func.count() - func.count(calls.c.cost_usd)).label("calls_of_unknown_cost"),
        )
        .group_by(calls.c.endpoint, calls.c.asked_model)
        .order_by(calls.c.endpoint, calls.c.asked_model)
    )
    if since is not None:
        query = query.where(calls.c.created_at >= _text(since))
    if until is not None:
        query = query.where(calls.c.created_at < _text(until))
    return tuple(ModelTotals.model_validate(dict(row._mapping)) for row in connection.execute(query))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
