"""Asking the store for many requests at once: who may go is decided there, for all processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from blocks.chat.breaker import BreakerObserver
from blocks.chat.errors import ChatError
from blocks.chat.journal import Journal
from blocks.chat.limits import Limits
from blocks.chat.orders import Batch, Decision, Desk, Go, Order, Return, Wait
from blocks.chat.sending import handle

CALM_S = 1.0
"""How long a look at the breakers is good for: another process may open one meanwhile."""
TIDY_S = 10.0
"""How often requests of the dead are looked for."""

log = logging.getLogger(__name__)


@dataclass
class _Ticket:
    order: Order
    future: asyncio.Future[Decision]
    asked: float = 0.0
    not_before: float = 0.0


class Gate:
    """Asks the store for many at once. Used in one event loop; the store's jobs run in its thread.

    Args:
        journal: Whose store.
        desk: What all requests have in common.
        limits: Those of the account.
        observer: Told when a breaker opens or closes.
        obstacle: Why a request that waits need not wait any longer; None: there is no such reason.
    """

    def __init__(
        self,
        journal: Journal,
        desk: Desk,
        limits: Limits,
        observer: BreakerObserver | None,
        obstacle: Callable[[Order], ChatError | None],
    ) -> None:
        self._journal, self._desk, self._observer, self._obstacle = journal, desk, observer, obstacle
        self.limits = limits
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._queued = False
        self._tickets: list[_Ticket] = []
        self._returns: list[Return] = []
        self._late: list[str] = []
        self._gone: list[tuple[Order, str]] = []
        self._calm_until = 0.0
        self._tidied = -TIDY_S
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, order: Order) -> tuple[Decision, float]:
        """The store's word, and when it was asked for; waits as long as it says to.

        Raises:
            JournalError: The store cannot be written.
            ChatError: An obstacle has come up while it waited.
        """
        if not self.limits and not self._desk.plan and time.monotonic() < self._calm_until:
            # Nothing could hold it back, so it need not wait until it is entered.
            gone = Go(f"{datetime.now(UTC):%Y-%m-%d}")
            with self._lock:
                self._gone.append((order, gone.day))
            self._submit()
            return gone, time.monotonic()
        ticket = _Ticket(order, self._loop.create_future())
        with self._lock:
            self._tickets.append(ticket)
        self._submit()
        try:
            return await ticket.future, ticket.asked
        except asyncio.CancelledError:
            with self._lock:
                waiting = ticket in self._tickets
                if waiting:
                    self._tickets.remove(ticket)
            if not waiting:
                self.settle(Return(order.id, order.model, "", "unsent"))
            raise

    def settle(self, back: Return) -> None:
        """Enters what came back; committed before, or with, any reply stored later."""
        if self._journal.closed:
            log.warning("A model call outlived the journal; that it ended as %s is not counted", back.outcome)
            return
        with self._lock:
            self._returns.append(back)
        # What comes back gives back what it had reserved and did not take.
        self._submit(wake=self.limits.tokens_per_minute is not None or bool(self._desk.plan))

    def late(self, send: str) -> None:
        """A request has left later than the limits reckon with: it counts from now."""
        with self._lock:
            self._late.append(send)
        self._submit()

    def review(self) -> None:
        """Ends those who wait and to whom an obstacle has come up."""
        with self._lock:
            self._tickets = [ticket for ticket in self._tickets if not self._ended(ticket)]

    def _ended(self, ticket: _Ticket) -> bool:
        if not ticket.future.done() and (error := self._obstacle(ticket.order)) is not None:
            ticket.future.set_exception(error)
        return ticket.future.done()

    def _submit(self, *, wake: bool = False) -> None:
        with self._lock:
            if wake:
                for ticket in self._tickets:
                    ticket.not_before = 0.0
            if self._queued:
                return
            self._queued = True
        taken: list[tuple[Batch, list[_Ticket]]] = []

        def job(connection: Connection) -> None:
            again = bool(taken)
            if not again:
                taken.append(self._take())
            handle(connection, self._desk, taken[0][0], again=again)

        try:
            future = self._journal.soon(job)
        except BaseException:
            self._queued = False
            raise
        future.add_done_callback(lambda done: self._tell(done, taken))

    def _take(self) -> tuple[Batch, list[_Ticket]]:
        now = time.monotonic()
        tidy = now - self._tidied >= TIDY_S
        self._tidied = now if tidy else self._tidied
        with self._lock:
            self._queued = False
            tickets = [ticket for ticket in self._tickets if ticket.not_before <= now]
            self._tickets = [ticket for ticket in self._tickets if ticket.not_before > now]
            orders = [ticket.order for ticket in tickets]
            batch = Batch(orders, self._returns, self._late, self.limits, tidy, self._gone)
            self._returns, self._late, self._gone = [], [], []
        for ticket in tickets:
            ticket.asked = now
        return batch, tickets

    def _tell(self, done: Future[None], taken: list[tuple[Batch, list[_Ticket]]]) -> None:
        # RuntimeError: the loop has been closed, so nobody waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._told, done, taken)

    def _told(self, done: Future[None], taken: list[tuple[Batch, list[_Ticket]]]) -> None:
        error = done.exception()
        batch, tickets = taken[0] if taken else self._take()
        if error is not None:
            log.warning("What model calls took could not be entered in the store: %s", error)
            for ticket in tickets:
                if not ticket.future.done():
                    ticket.future.set_exception(error)
            return
        self._calm_until = time.monotonic() + CALM_S if batch.calm else 0.0
        for change in batch.changes:
            log.warning("The breaker of %s at %s is %s: %s", change.model, change.endpoint, change.state, change.reason)
            if self._observer is not None:
                self._observer(change)
        self._hand_out(tickets, batch.decisions)

    def _hand_out(self, tickets: list[_Ticket], decisions: list[Decision]) -> None:
        back: list[_Ticket] = []
        for ticket, decision in zip(tickets, decisions, strict=True):
            if ticket.future.done():
                continue
            if isinstance(decision, Wait):
                if self._ended(ticket):
                    continue
                ticket.not_before = time.monotonic() + decision.seconds
                back.append(ticket)
            else:
                ticket.future.set_result(decision)
        with self._lock:
            self._tickets = back + self._tickets
            waiting = [ticket.not_before for ticket in self._tickets]
        if waiting:
            self._wake_at(min(waiting))

    def _wake_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, moment - time.monotonic()) + 0.005, self._submit)
