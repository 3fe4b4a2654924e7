"""The store's side of model traffic, driven by a clock of the test's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from blocks.chat.backends import Place, backend_of
from blocks.chat.budget import BudgetPlan
from blocks.chat.limits import Limits
from blocks.chat.orders import Batch, Broken, Decision, Desk, Go, Order, Origin, Return, Wait
from blocks.chat.owners import new_owner
from blocks.chat.schema import migrate
from blocks.chat.sending import handle

START = 1_800_000_000.0


class Road:
    """One client's requests. Several on one store are several clients.

    Args:
        connection: To the store.
        limits: Of the account.
        plan: The budget.
        run: The flow run.
        owner: Who holds the requests; None: this process.
        account: Whose limits.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        limits: Limits | None = None,
        plan: BudgetPlan | None = None,
        run: str = "run",
        owner: str | None = None,
        account: str = "account",
    ) -> None:
        self._connection = connection
        self._limits = limits or Limits()
        origin = Origin(run, "flow")
        self.desk = Desk(account, "endpoint", owner or str(new_owner()), origin, plan or BudgetPlan())
        self._numbers = itertools.count()
        self.last: Batch | None = None

    def orders(self, count: int, *, tokens: int = 1, model: str = "m") -> list[Order]:
        """Requests that want to go, each of a call of its own."""
        names = [f"{self.desk.owner}{next(self._numbers)}" for _ in range(count)]
        return [Order(name, name, model, tokens, 0, 0.0) for name in names]

    def handle(
        self,
        now: float,
        orders: Sequence[Order] = (),
        returns: Sequence[Return] = (),
        *,
        again: bool = False,
        late: Sequence[str] = (),
    ) -> list[Decision]:
        """One job of the store."""
        batch = Batch(list(orders), list(returns), list(late), self._limits, tidy=True)
        self._connection.exec_driver_sql("BEGIN")
        handle(self._connection, self.desk, batch, again=again, now=now)
        self._connection.exec_driver_sql("COMMIT")
        self.last = batch
        return batch.decisions

    def send(self, now: float, orders: Sequence[Order]) -> list[tuple[Order, str]]:
        """Those that may go, with their day."""
        decisions = self.handle(now, orders)
        return [(order, it.day) for order, it in zip(orders, decisions, strict=True) if isinstance(it, Go)]

    def back(self, now: float, order: Order, day: str, outcome: str = "ok", *, tokens: int = 0) -> None:
        """A request comes back."""
        self.handle(now, returns=[Return(order.id, order.model, day, outcome, requests=1, tokens=tokens)])


def waits(decisions: Sequence[Decision]) -> list[float]:
    """The seconds of those that must wait."""
    return [it.seconds for it in decisions if isinstance(it, Wait | Broken)]


@contextmanager
def store_at(place: Place | Path) -> Iterator[Connection]:
    """A connection to a store whose tables are there."""
    connection = backend_of(place).connect()
    try:
        migrate(connection)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA synchronous=OFF")
        yield connection
    finally:
        connection.close()
        connection.engine.dispose()
