"""Requests under way, in the store: who may go now, what came back, and what it adds up to.

Every function runs inside a job of `Database`, where one writer at a time is let in: what is looked at and then written
holds for all processes and hosts. The clock is the store's.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    case,
    delete,
    distinct,
    func,
    insert,
    select,
    text,
    update,
)

from blocks.chat import server_waits
from blocks.chat.backends import insert_into
from blocks.chat.breaker import FAILURES, SPEAKS_NOT, Breaker, BreakerChange, Seen
from blocks.chat.budget import Amount, Caps
from blocks.chat.limits import WINDOW_S, Limits, Used
from blocks.chat.orders import Batch, Broken, Decision, Desk, Go, Order, Origin, Return, Spent, Wait
from blocks.chat.owners import life, present
from blocks.chat.schema import ATTEMPT_SUMS, attempts, breakers, sends

KEPT_S = 2 * WINDOW_S
"""How long a request that has come back stays in `sends`."""
ABSENT_S = 60.0
STALE_S = 3600.0
"""After so long a request of an owner of whom nothing is known counts as lost; one without a connection, after less."""
SETTLING_S = 0.25
"""Pause before a look at whether what is reserved has been given back."""

_NOW = text("SELECT CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)")
_WINDOW = select(func.count(), func.coalesce(func.sum(sends.c.tokens), 0), func.min(sends.c.at)).where(
    sends.c.account == bindparam("of_account"), sends.c.at > bindparam("since")
)
_BREAKERS = select(breakers).where(breakers.c.endpoint == bindparam("of_endpoint"))
_STATES = select(sends.c.id, sends.c.outcome, sends.c.at).where(sends.c.id.in_(bindparam("ids", expanding=True)))
_FORGET = delete(sends).where(sends.c.id.in_(bindparam("ids", expanding=True)))
_ADD = insert(sends)
_MARK = (
    update(sends)
    .where(sends.c.id == bindparam("of_id"))
    .values(outcome=bindparam("new_outcome"), tokens=bindparam("new_tokens"), back_at=bindparam("now"))
)
_LATE = update(sends).where(sends.c.id.in_(bindparam("ids", expanding=True))).values(at=bindparam("now"))
_CLEAR = delete(sends).where(sends.c.outcome != "", sends.c.back_at < bindparam("before"))
_LOSE = (
    update(sends)
    .where(sends.c.id == bindparam("of_id"))
    .values(outcome="lost", at=bindparam("now"), back_at=bindparam("now"))
)
_RECENT = select(
    func.count(),
    func.coalesce(func.sum(case((sends.c.outcome.in_(sorted(FAILURES)), 1), else_=0)), 0),
    func.count(distinct(sends.c.key)),
).where(
    sends.c.endpoint == bindparam("of_endpoint"),
    sends.c.asked_model == bindparam("of_model"),
    sends.c.outcome.not_in(("", *sorted(SPEAKS_NOT))),
    sends.c.back_at >= bindparam("since"),
)

_SCOPES: Mapping[str, tuple[str, ...]] = {"run": ("run",), "day": ("day",), "model": ("day", "asked_model")}
"""The columns that say what counts against a cap."""


def _of(table: Table, scope: str) -> list[ColumnElement[bool]]:
    return [table.c[name] == bindparam(f"of_{name}") for name in _SCOPES[scope]]


def _sum(column: Any) -> Any:
    return func.coalesce(func.sum(column), 0)


_SPENT = {
    scope: select(
        _sum(attempts.c.requests), _sum(attempts.c.charged_tokens), _sum(attempts.c.charged_nanodollars)
    ).where(*_of(attempts, scope))
    for scope in _SCOPES
}
_RESERVED = {
    scope: select(func.count(), _sum(sends.c.tokens), _sum(sends.c.nanodollars)).where(
        sends.c.outcome == "", *_of(sends, scope)
    )
    for scope in _SCOPES
}
_KEY = ("day", "run", "flow", "endpoint", "asked_model", "outcome")


@cache
def _entry(dialect: str) -> Any:
    entry = insert_into(attempts, dialect)
    added = {name: attempts.c[name] + entry.excluded[name] for name in ATTEMPT_SUMS}
    return entry.on_conflict_do_update(index_elements=list(_KEY), set_=added)


@cache
def _put(dialect: str) -> Any:
    entry = insert_into(breakers, dialect)
    return entry.on_conflict_do_update(
        index_elements=["endpoint", "asked_model"], set_={name: entry.excluded[name] for name in Breaker._fields}
    )


def handle(connection: Connection, desk: Desk, batch: Batch, *, again: bool, now: float | None = None) -> None:
    """Enter what came back, then decide who may go.

    Args:
        connection: In a transaction.
        desk: Whose requests.
        batch: The requests; told the decisions.
        again: The same batch may have been handled before, in a transaction of which nobody knows whether it counts.
        now: Seconds since 1970; None: the store's clock.
    """
    now = clock(connection) if now is None else now
    batch.decisions, batch.changes = [], []
    if again and (batch.orders or batch.gone):
        ids = [order.id for order in (*batch.orders, *(order for order, _ in batch.gone))]
        connection.execute(_FORGET, {"ids": ids})
    if batch.gone:
        connection.execute(_ADD, [_row(order, desk, day, now) for order, day in batch.gone])
    if batch.late:
        connection.execute(_LATE, {"ids": batch.late, "now": now})
    known = _known_breakers(connection, desk)
    if batch.tidy:
        for lost in _bury(connection, desk, now):
            # Who died with a probe in his hands keeps nobody waiting for it.
            _tell_breaker(connection, desk, batch, known, lost, now)
        connection.execute(_CLEAR, {"before": now - KEPT_S})
    if batch.returns:
        _settle(connection, desk, batch, known, now)
    if batch.orders:
        batch.decisions = _decide(connection, desk, batch, known, now)
    batch.calm = all(breaker.state == "closed" for breaker in known.values())


def clock(connection: Connection) -> float:
    """Seconds since 1970, by the clock that all users of the store share."""
    return float(connection.execute(_NOW).scalar_one()) if connection.dialect.name == "postgresql" else time.time()


def _known_breakers(connection: Connection, desk: Desk) -> dict[str, Breaker]:
    rows = connection.execute(_BREAKERS, {"of_endpoint": desk.endpoint})
    return {row.asked_model: Breaker.of(row) for row in rows}


def _decide(connection: Connection, desk: Desk, batch: Batch, known: dict[str, Breaker], now: float) -> list[Decision]:
    day = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
    window = _Window(connection, desk, batch.limits, now)
    purse = _Purse(connection, desk, day)
    decisions: list[Decision] = []
    for order in batch.orders:
        breaker = known.get(order.model, Breaker())
        if wait := breaker.wait_s(now):
            slow = wait > order.patience_s
            decisions.append(Broken(wait, breaker.reason) if slow else Wait(wait))
            continue
        refusal = purse.refusal(order) or window.refusal(order)
        decisions.append(refusal or Go(day))
        if refusal is None:
            purse.take(order)
            window.take(order)
            if breaker.state != "closed":
                known[order.model] = breaker.probed(order.id, now)
                _keep(connection, desk, order.model, known[order.model])
    going = [order for order, decision in zip(batch.orders, decisions, strict=True) if isinstance(decision, Go)]
    if going:
        connection.execute(_ADD, [_row(order, desk, day, now) for order in going])
    return decisions


def _row(order: Order, desk: Desk, day: str, now: float) -> dict[str, Any]:
    return {
        "id": order.id,
        "account": desk.account,
        "owner": desk.owner,
        "at": now,
        "outcome": "",
        "back_at": 0.0,
        "day": day,
        "run": desk.origin.run,
        "flow": desk.origin.flow,
        "endpoint": desk.endpoint,
        "asked_model": order.model,
        "key": order.key,
        "tokens": order.tokens,
        "nanodollars": order.nanodollars,
    }


class _Window:
    """The account's last minute; once something does not fit, nothing behind it goes first."""

    def __init__(self, connection: Connection, desk: Desk, limits: Limits, now: float) -> None:
        self._limits = limits
        self._wait: Wait | None = None
        if limits:
            count, tokens, oldest = connection.execute(
                _WINDOW, {"of_account": desk.account, "since": now - WINDOW_S}
            ).one()
            self._used = Used(count, int(tokens))
            self._frees = (oldest or now) + WINDOW_S - now

    def refusal(self, order: Order) -> Wait | None:
        if self._limits and self._wait is None and not self._used.fits(self._limits, order.tokens):
            self._wait = Wait(max(0.02, self._frees))
        return self._wait

    def take(self, order: Order) -> None:
        if self._limits:
            self._used = self._used.plus(order.tokens)


class _Purse:
    """What run, day and model have spent and reserved."""

    def __init__(self, connection: Connection, desk: Desk, day: str) -> None:
        self._connection, self._plan = connection, desk.plan
        self._names = {"run": desk.origin.run, "day": day}
        self._known: dict[tuple[str, str], tuple[Amount, Amount]] = {}

    def refusal(self, order: Order) -> Spent | Wait | None:
        wait: Wait | None = None
        for caps, scope in self._plan.caps(order.model):
            spent, reserved = self._amounts(scope, order.model)
            need = Amount(1, order.tokens, order.nanodollars)
            if cap := caps.passed(spent.plus(need)):
                return Spent(cap, scope, spent)
            wait = wait or self._until_settled(caps, spent.plus(reserved).plus(need))
        return wait

    def take(self, order: Order) -> None:
        for _, scope in self._plan.caps(order.model):
            spent, reserved = self._amounts(scope, order.model)
            taken = reserved.plus(Amount(1, order.tokens, order.nanodollars))
            self._known[self._name(scope, order.model)] = (spent, taken)

    @staticmethod
    def _until_settled(caps: Caps, amount: Amount) -> Wait | None:
        return Wait(SETTLING_S) if caps.passed(amount) else None

    @staticmethod
    def _name(scope: str, model: str) -> tuple[str, str]:
        return scope, model if scope == "model" else ""

    def _amounts(self, scope: str, model: str) -> tuple[Amount, Amount]:
        name = self._name(scope, model)
        if name not in self._known:
            names = {**self._names, "asked_model": model}
            named = {f"of_{column}": names[column] for column in _SCOPES[scope]}
            self._known[name] = (
                Amount(*map(int, self._connection.execute(_SPENT[scope], named).one())),
                Amount(*map(int, self._connection.execute(_RESERVED[scope], named).one())),
            )
        return self._known[name]


def _settle(connection: Connection, desk: Desk, batch: Batch, known: dict[str, Breaker], now: float) -> None:
    rows = connection.execute(_STATES, {"ids": [each.id for each in batch.returns]})
    sent = {row.id: row for row in rows}
    states = {id: row.outcome for id, row in sent.items()}
    # One that was given up for lost has been counted; what it took has not. One that is entered already stays as it is.
    open_ = [each for each in batch.returns if states.get(each.id) in ("", "lost")]
    unsent = [each.id for each in open_ if each.outcome == "unsent"]
    if unsent:
        connection.execute(_FORGET, {"ids": unsent})
    marks = [
        {"of_id": each.id, "new_outcome": each.outcome, "new_tokens": each.tokens, "now": now}
        for each in open_
        if each.outcome != "unsent"
    ]
    if marks:
        connection.execute(_MARK, marks)
    counted = [each._replace(requests=0) if states[each.id] == "lost" else each for each in open_]
    _enter(connection, desk.endpoint, desk.origin, [each for each in counted if each.outcome != "unsent"])
    server_waits.enter(connection, desk, ((each, sent[each.id].at) for each in open_), now)
    for each in open_:
        _tell_breaker(connection, desk, batch, known, each, now)


def _enter(connection: Connection, endpoint: str, origin: Origin, found: Iterable[Return]) -> None:
    """Adds what came back to the ledger."""
    sums: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0] * len(ATTEMPT_SUMS))
    for each in found:
        key = (each.day, origin.run, origin.flow, endpoint, each.model, each.outcome)
        took = {
            "requests": each.requests,
            "prompt_tokens": each.prompt_tokens,
            "completion_tokens": each.completion_tokens,
            "cost_usd": each.cost_usd,
            "unreported": each.unreported,
            "charged_tokens": each.tokens,
            "charged_nanodollars": each.nanodollars,
        }
        for index, name in enumerate(ATTEMPT_SUMS):
            sums[key][index] += took[name]
    rows = [dict(zip((*_KEY, *ATTEMPT_SUMS), (*key, *values), strict=True)) for key, values in sums.items()]
    if rows:
        connection.execute(_entry(connection.dialect.name), rows)


def _tell_breaker(
    connection: Connection, desk: Desk, batch: Batch, known: dict[str, Breaker], each: Return, now: float
) -> None:
    before = known.get(each.model, Breaker())

    def recent(since: float) -> Seen:
        named = {"of_endpoint": desk.endpoint, "of_model": each.model, "since": since}
        return Seen(*map(int, connection.execute(_RECENT, named).one()))

    after = before.told(each.id, each.outcome, now, recent)
    if after == before:
        return
    known[each.model] = after
    _keep(connection, desk, each.model, after)
    if after.trips > before.trips or (after.state == "closed") != (before.state == "closed"):
        reason = after.reason or "a probe was answered"
        batch.changes.append(BreakerChange(desk.endpoint, each.model, after.state, reason, after.wait_s(now)))


def _keep(connection: Connection, desk: Desk, model: str, breaker: Breaker) -> None:
    row: Mapping[str, Any] = {"endpoint": desk.endpoint, "asked_model": model, **breaker._asdict()}
    connection.execute(_put(connection.dialect.name), dict(row))


def _bury(connection: Connection, desk: Desk, now: float) -> list[Return]:
    """Gives back what the dead had reserved. Their requests stay counted: they may have reached the server.

    Returns:
        The lost requests to this endpoint.
    """
    rows = connection.execute(select(sends).where(sends.c.outcome == "", sends.c.owner != desk.owner)).all()
    patience = {owner: _patience_s(connection, owner) for owner in {row.owner for row in rows}}
    mine: list[Return] = []
    for row in rows:
        if now - row.at > patience[row.owner]:
            connection.execute(_LOSE, {"of_id": row.id, "now": now})
            lost = Return(row.id, row.asked_model, row.day, "lost", unreported=1)
            _enter(connection, row.endpoint, Origin(row.run, row.flow), [lost])
            mine += [lost] if row.endpoint == desk.endpoint else []
    return mine


def _patience_s(connection: Connection, owner: str) -> float:
    """Seconds after which a request of another owner counts as lost."""
    known = life(owner)
    if known != "unknown":
        return -1.0 if known == "dead" else float("inf")
    return STALE_S if present(connection, owner) else ABSENT_S
