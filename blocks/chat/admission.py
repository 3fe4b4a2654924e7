"""The way out: each HTTP request passes it, so that limits, budget and breaker hold and what it took is counted.

A request first waits for room in this process (`adaptive`), then for the store's word (`sending`), and is settled when
it comes back. Requests that ask together are answered together by one job of the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection

from blocks.chat.adaptive import Adaptive, adaptive_of
from blocks.chat.breaker import BreakerObserver
from blocks.chat.budget import BudgetPlan, dearest
from blocks.chat.database import finished
from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import BreakerOpen, BudgetSpent, ChatError, RateLimited, Unbounded, UnknownPrice
from blocks.chat.journal import Journal
from blocks.chat.limits import ANSWER_TOKENS, LATEST_S, Limits, learnt, worst_case
from blocks.chat.models import ChatRequest, Usage
from blocks.chat.orders import NOBODY, Batch, Broken, Decision, Desk, Go, Order, Origin, Return, Spent, Wait
from blocks.chat.prices import Price, priced
from blocks.chat.retry import RetryPolicy
from blocks.chat.sending import handle
from blocks.chat.waits import exhausted_s

CALM_S = 1.0
"""How long a look at the breakers is good for: another process may open one meanwhile."""
TIDY_S = 10.0
"""How often requests of the dead are looked for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """What the calls of a client keep to.

    Attributes:
        limits: Requests and tokens per minute of the account; those the server tells count as well.
        plan: What may be spent.
        origin: Who asks, for the ledger.
        observer: Told when a breaker opens or closes.
    """

    limits: Limits = field(default_factory=Limits)
    plan: BudgetPlan = field(default_factory=BudgetPlan)
    origin: Origin = NOBODY
    observer: BreakerObserver | None = None


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
    """

    def __init__(self, journal: Journal, desk: Desk, limits: Limits, observer: BreakerObserver | None) -> None:
        self._journal, self._desk, self._observer = journal, desk, observer
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


class Leg:
    """One HTTP request on its way."""

    def __init__(self, order: Order, day: str, asked: float, late: Callable[[str], None]) -> None:
        self._order, self._day, self._asked, self._late = order, day, asked, late
        self.left = False
        self.usage: Usage | None = None
        """What the answer says it took."""
        self.headers: Mapping[str, str] = {}

    def leaves(self) -> None:
        """Its first byte is about to be written."""
        self.left = True

    def has_left(self) -> None:
        """Its last byte has been written."""
        if time.monotonic() - self._asked > LATEST_S:
            self._late(self._order.id)

    def back(self, error: BaseException | None) -> Return:
        """What became of it."""
        order, usage = self._order, self.usage
        back = Return(order.id, order.model, self._day, _outcome(error), requests=int(self.left))
        if not self.left:
            return back._replace(outcome=back.outcome if isinstance(error, ChatError) else "unsent")
        if isinstance(error, ChatError) and (error.status or 0) >= 300:
            return back
        if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
            # Nobody says what it took, and it may be billed: the most it could be.
            return back._replace(tokens=order.tokens, nanodollars=order.nanodollars, unreported=1)
        cost = usage.cost_usd
        return back._replace(
            tokens=usage.prompt_tokens + usage.completion_tokens,
            nanodollars=order.nanodollars if cost is None else round(cost * 1_000_000_000),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=cost or 0.0,
        )


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    return error.kind if isinstance(error, ChatError) else "cancelled"


class Traffic:
    """The way out of one client.

    Args:
        journal: Whose store.
        endpoint: Where requests go.
        rules: What they keep to.
        retry: How long they would wait.
        prices: By model.
    """

    def __init__(
        self, journal: Journal, endpoint: Endpoint, rules: Rules, retry: RetryPolicy, prices: Mapping[str, Price]
    ) -> None:
        self._journal, self._endpoint, self._rules, self._retry, self._prices = journal, endpoint, rules, retry, prices
        self._gate: Gate | None = None
        self._adaptive: Adaptive | None = None

    def trip(self, request: ChatRequest, key: str) -> Trip:
        """The way of one call, with all its attempts.

        Raises:
            UnknownPrice: Its price is unknown, and money is capped.
            Unbounded: Nobody knows how long its answer may be, and tokens or money are limited; or it never fits.
        """
        if self._gate is None or self._adaptive is None:
            desk = Desk(
                self._endpoint.account, self._endpoint.id, self._journal.owner, self._rules.origin, self._rules.plan
            )
            self._gate = Gate(self._journal, desk, self._rules.limits, self._rules.observer)
            self._adaptive = adaptive_of(self._endpoint.account)
        order = Order("", key, request.model, *self._most(request), self._retry.max_breaker_wait_s)
        return Trip(self, order, self._gate, self._adaptive)

    def _most(self, request: ChatRequest) -> tuple[int, int]:
        """Tokens and billionths of a dollar that a request takes at most."""
        plan, limit = self._rules.plan, self._rules.limits.tokens_per_minute
        check_price(plan, request.model, self._prices)
        prompt, answer = worst_case(request)
        if answer is None:
            if limit is not None or any(caps.measured for caps, _ in plan.caps(request.model)):
                raise Unbounded(
                    f"Tokens are limited, and how long an answer of {request.model} may be is not.", "Give max_tokens."
                )
            answer = ANSWER_TOKENS
        if limit is not None and prompt + answer > limit:
            raise Unbounded(
                f"A call to {request.model} may take {prompt + answer} tokens, the limit is {limit} a minute.",
                "Lower max_tokens, or raise tokens_per_minute.",
            )
        return prompt + answer, dearest(prompt, answer, self._prices.get(request.model))

    def learn(self, headers: Mapping[str, str]) -> None:
        """Heeds what a reply says of the account's limits."""
        assert self._gate is not None
        assert self._adaptive is not None
        told = learnt(headers)
        if told:
            self._gate.limits = self._rules.limits.tightened(told)
        wait = exhausted_s(headers)
        if wait:
            self._adaptive.close(wait)

    async def close(self) -> None:
        """Returns when all that came back is entered."""
        if self._gate is not None and not self._journal.closed:
            await finished(self._journal.soon(lambda _: None))

    def cost(self, usage: Usage, model: str) -> Usage:
        """With what it cost."""
        return priced(usage, self._prices.get(model))[0]

    @property
    def endpoint(self) -> str:
        """Where requests go."""
        return self._endpoint.id

    @property
    def patience_s(self) -> float:
        """How long a request waits for the server's own reset."""
        return self._retry.max_server_wait_s


def check_price(plan: BudgetPlan, model: str, prices: Mapping[str, Price]) -> None:
    """Checks that a budget of money can be kept.

    Raises:
        UnknownPrice: It cannot.
    """
    if plan.has_money(model) and model not in prices:
        raise UnknownPrice(
            f"The budget caps US dollars, and the price of {model} is unknown.",
            "Give the Chat Model block a price, or cap requests or tokens.",
        )


class Trip:
    """The way of one call, with all its attempts.

    Attributes:
        requests: HTTP requests sent so far.
    """

    def __init__(self, traffic: Traffic, order: Order, gate: Gate, adaptive: Adaptive) -> None:
        self._traffic, self._order, self._gate, self._adaptive = traffic, order, gate, adaptive
        self._served = -float("inf")
        self.requests = 0

    @asynccontextmanager
    async def leg(self) -> AsyncIterator[Leg]:
        """Lets one HTTP request out, and settles it at the end of the `with` block, whatever that is.

        Raises:
            BudgetSpent: It does not fit into the budget.
            BreakerOpen: Its model's breaker is open for longer than it would wait.
            RateLimited: The server has asked everybody to wait for longer than it would.
        """
        adaptive = self._adaptive
        closed = adaptive.closed_s()
        if closed > self._traffic.patience_s and adaptive.closed_until > self._served:
            raise RateLimited(
                f"{self._traffic.endpoint} has asked to send nothing for {closed:.0f} s.",
                "Run again later: what was answered is kept.",
                retry_after_s=closed,
            )
        place = await adaptive.enter(self._served)
        leg: Leg | None = None
        error: BaseException | None = None
        try:
            leg = await self._let_out()
            yield leg
        except BaseException as caught:
            error = caught
            raise
        finally:
            if leg is not None:
                self.requests += leg.left
                if leg.usage is not None:
                    leg.usage = self._traffic.cost(leg.usage, self._order.model)
                self._gate.settle(leg.back(error))
                self._traffic.learn(leg.headers)
            if isinstance(error, RateLimited):
                adaptive.turned_away(place, error.retry_after_s or 0.0)
            else:
                if isinstance(error, ChatError) and error.retry_after_s:
                    adaptive.close(error.retry_after_s)
                adaptive.leave(place, answered=error is None)
            self._served = adaptive.closed_until

    async def _let_out(self) -> Leg:
        while True:
            order = self._order._replace(id=uuid.uuid4().hex)
            decision, asked = await self._gate.ask(order)
            if isinstance(decision, Spent):
                raise _spent(decision)
            if isinstance(decision, Broken):
                raise _broken(decision, order.model, self._traffic.endpoint)
            assert isinstance(decision, Go)
            if time.monotonic() - asked <= LATEST_S:
                return Leg(order, decision.day, asked, self._gate.late)
            self._gate.settle(Return(order.id, order.model, decision.day, "unsent"))


def _spent(it: Spent) -> BudgetSpent:
    what = {"run": "this run", "day": "today (UTC)", "model": "this model today (UTC)"}[it.scope]
    dollars = f", US$ {it.spent.nanodollars / 1e9:,.4f}" if it.spent.nanodollars else ""
    return BudgetSpent(
        f"The budget of {what} is spent: the next call might pass {it.cap}"
        f" (spent: {it.spent.requests:,} requests, {it.spent.tokens:,} tokens{dollars}).",
        "Raise the budget, or run again tomorrow: what was answered is kept.",
    )


def _broken(it: Broken, model: str, endpoint: str) -> BreakerOpen:
    return BreakerOpen(
        f"{model} at {endpoint} is not asked for now: {it.reason}; the next try is in {it.seconds:.0f} s.",
        "Run again then: what was answered is kept.",
        probe_s=it.seconds,
    )
