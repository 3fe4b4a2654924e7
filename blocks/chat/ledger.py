"""The ledger: what the calls in a journal took and cost, and every HTTP request there was, answered or not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, func, select, union_all

from blocks.chat.journal import Journal
from blocks.chat.schema import ATTEMPT_SUMS, attempts, calls, spent
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


class Spending(Frozen):
    """What HTTP requests took. Names that were not asked for are empty."""

    day: str = ""
    """UTC."""
    run: str = ""
    """The flow run's id; empty outside of any."""
    flow: str = ""
    endpoint: str = ""
    model: str = ""
    """The model asked for."""
    outcome: str = ""
    """ok, the kind of the error, cancelled, or lost with its process."""
    requests: int
    """That left, retries included."""
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    """US dollars where the cost is known."""
    unreported: int
    """Requests that may have been billed and of which nobody says what they took."""
    charged_tokens: int
    """What budgets count: of the unreported, the most it could be."""
    charged_nanodollars: int


By = Literal["day", "run", "flow", "endpoint", "model", "outcome"]


async def spending(
    journal: Journal,
    *,
    by: Sequence[By] = ("model",),
    since: str | None = None,
    until: str | None = None,
    run: str | None = None,
    flow: str | None = None,
    model: str | None = None,
) -> tuple[Spending, ...]:
    """What all requests took: counted when they were sent, none estimated, those of failed calls included.

    Args:
        journal: The journal.
        by: What is told apart.
        since: Only those of this day (UTC), as 2026-01-31, and later.
        until: Only those of this day and earlier.
        run: Only those of a flow run.
        flow: Only those of a flow.
        model: Only those of a model.
    """
    wanted = {"run": run, "flow": flow, "asked_model": model}
    names = [attempts.c["asked_model" if name == "model" else name].label(name) for name in by]
    sums = [func.sum(attempts.c[name]).label(name) for name in ATTEMPT_SUMS]
    query = select(*names, *sums).group_by(*names).order_by(*names)
    for name, value in wanted.items():
        query = query if value is None else query.where(attempts.c[name] == value)
    query = query if since is None else query.where(attempts.c.day >= since)
    query = query if until is None else query.where(attempts.c.day <= until)
    return await journal.query(
        lambda connection: tuple(Spending.model_validate(dict(row._mapping)) for row in connection.execute(query))
    )


async def totals(
    journal: Journal, *, since: datetime | None = None, until: datetime | None = None
) -> tuple[ModelTotals, ...]:
    """What the calls answered from `since` (included) to `until` (not included) took, by endpoint and model.

    Calls that are no longer kept (`trimming`) are known by the day: where `since` or `until` is not midnight UTC, those
    of that day are not counted for `since` and counted for `until`.

    Args:
        journal: The journal.
        since: An aware time; None: from the start.
        until: An aware time; None: to the end.
    """
    return await journal.query(lambda connection: _totals(connection, since, until))


SUMS = (
    "calls", "requests", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cost_usd",
    "seconds", "calls_of_unknown_cost",
)  # fmt: skip
"""What the ledger adds up; columns of `daily` and of the table of what is no longer kept."""


def daily() -> Select[Any]:
    """The calls that are kept, summed by day (UTC), endpoint and model asked for."""
    reported = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cost_usd")
    day = func.substr(calls.c.created_at, 1, 10).label("day")
    return select(
        day,
        calls.c.endpoint,
        calls.c.asked_model,
        func.count().label("calls"),
        *(func.coalesce(func.sum(calls.c[name]), 0).label(name) for name in reported),
        func.sum(calls.c.latency_s).label("seconds"),
        (func.count() - func.count(calls.c.cost_usd)).label("calls_of_unknown_cost"),
    ).group_by(day, calls.c.endpoint, calls.c.asked_model)


def _totals(connection: Connection, since: datetime | None, until: datetime | None) -> tuple[ModelTotals, ...]:
    kept, gone = daily(), select(spent)
    if since is not None:
        kept, gone = kept.where(calls.c.created_at >= _text(since)), gone.where(spent.c.day >= _text(since)[:10])
    if until is not None:
        kept, gone = kept.where(calls.c.created_at < _text(until)), gone.where(spent.c.day < _text(until)[:10])
    both = union_all(kept.with_only_columns(*_columns(kept)), gone.with_only_columns(*_columns(gone))).subquery()
    query = (
        select(
            both.c.endpoint, both.c.asked_model.label("model"), *(func.sum(both.c[name]).label(name) for name in SUMS)
        )
        .group_by(both.c.endpoint, both.c.asked_model)
        .order_by(both.c.endpoint, both.c.asked_model)
    )
    return tuple(ModelTotals.model_validate(dict(row._mapping)) for row in connection.execute(query))


def _columns(query: Select[Any]) -> list[ColumnElement[Any]]:
    """In one order, whatever the table's: a union goes by position."""
    return [query.selected_columns[name] for name in ("day", "endpoint", "asked_model", *SUMS)]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
