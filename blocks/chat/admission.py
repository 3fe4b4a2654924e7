"""The way out: each HTTP request passes it, so that limits, budget and breaker hold and what it took is counted.

A request first waits for room in this process (`adaptive`), then for the store's word (`sending`), and is settled when
it comes back. Requests that ask together are answered together by one job of the store.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from blocks.chat.adaptive import Adaptive, ClosedForLong, Leave, give_back_adaptive, share_adaptive
from blocks.chat.breaker import BreakerObserver
from blocks.chat.budget import BudgetPlan, dearest
from blocks.chat.database import finished
from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import (
    BreakerOpen,
    BudgetSpent,
    ChatError,
    RateLimited,
    ServerWait,
    Unbounded,
    UnknownPrice,
)
from blocks.chat.gate import Gate
from blocks.chat.journal import Journal
from blocks.chat.legs import Leg
from blocks.chat.limits import ANSWER_TOKENS, LATEST_S, Limits, learnt, worst_case
from blocks.chat.models import ChatRequest, Usage
from blocks.chat.orders import NOBODY, Broken, Desk, Go, Order, Origin, Return, Spent
from blocks.chat.patience import asked, because, closed
from blocks.chat.prices import Price, priced
from blocks.chat.retry import RetryPolicy
from blocks.plurals import several

log = logging.getLogger(__name__)

NOTABLE_S = 10.0
"""A longer wait that a server asks for is told: nobody should wonder why nothing goes on."""


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
        self._adaptives: dict[str, Adaptive] = {}

    def trip(self, request: ChatRequest, key: str) -> Trip:
        """The way of one call, with all its attempts.

        Raises:
            UnknownPrice: Its price is unknown, and money is capped.
            Unbounded: Nobody knows how long its answer may be, and tokens or money are limited; or it never fits.
        """
        if self._gate is None:
            desk = Desk(
                self._endpoint.account, self._endpoint.id, self._journal.owner, self._rules.origin, self._rules.plan
            )
            self._gate = Gate(self._journal, desk, self._rules.limits, self._rules.observer, self._too_long)
        adaptive = self._adaptives.get(request.model)
        if adaptive is None:
            adaptive = self._adaptives[request.model] = share_adaptive(self._endpoint.account, request.model, self)
        order = Order("", key, request.model, *self._most(request), self._retry.max_breaker_wait_s)
        return Trip(self, order, self._gate, adaptive)

    def closed_for_longer(self) -> None:
        """A server has asked for a longer wait: who waits for the store's word may have to be told."""
        if self._gate is not None:
            self._gate.review()

    def _too_long(self, order: Order) -> ServerWait | None:
        return self.closed(order.model) if self._adaptives[order.model].closed_s() > self.patience_s else None

    def closed(self, model: str) -> ServerWait:
        """How a call ends for which nothing is sent for too long."""
        adaptive = self._adaptives[model]
        return closed(model, self._endpoint.id, adaptive.closed_s(), self.patience_s, adaptive.said)

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
        told = learnt(headers)
        if told:
            self._gate.limits = self._rules.limits.tightened(told)

    async def close(self) -> None:
        """Returns when all that came back is entered; may be called again."""
        if self._gate is not None and not self._journal.closed:
            await finished(self._journal.soon(lambda _: None))
        # They are kept here for calls that outlive the client.
        for model in self._adaptives:
            give_back_adaptive(self._endpoint.account, model, self)

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
            ServerWait: The server has asked everybody to wait for longer than it would.
        """
        place, leg = await self._set_out()
        error: BaseException | None = None
        try:
            yield leg
        except BaseException as caught:
            error = caught
            raise
        finally:
            self.requests += leg.left
            if leg.usage is not None:
                leg.usage = self._traffic.cost(leg.usage, self._order.model)
            self._come_back(place, leg, error)

    async def _set_out(self) -> tuple[Leave, Leg]:
        """A place in this process and the store's word, and nothing closed by the time both are there."""
        adaptive, patience = self._adaptive, self._traffic.patience_s
        while True:
            try:
                place = await adaptive.enter(self._served, patience)
            except ClosedForLong:
                raise self._traffic.closed(self._order.model) from None
            try:
                leg = await self._let_out()
            except BaseException:
                adaptive.leave(place, answered=False)
                raise
            if leg is not None:
                return place, leg
            adaptive.leave(place, answered=False)

    def _come_back(self, place: Leave, leg: Leg, error: BaseException | None) -> None:
        adaptive, closing = self._adaptive, leg.closing(error)
        long = closing.seconds > self._traffic.patience_s
        self._gate.settle(leg.back(error, closing if long else None))
        self._traffic.learn(leg.headers)
        # Once for all the calls that are turned away together, and again where the wait becomes one of hours.
        notable = self._traffic.patience_s if long else NOTABLE_S
        if closing.seconds > notable and adaptive.closed_s() <= notable:
            model, endpoint = self._order.model, self._traffic.endpoint
            log.warning("%s at %s has asked %s%s.", model, endpoint, asked(closing.seconds), because(closing.said))
        if isinstance(error, RateLimited):
            end = adaptive.turned_away(place, closing.seconds, closing.said)
        else:
            end = adaptive.close(closing.seconds, closing.said)
            adaptive.leave(place, answered=error is None)
        # It sleeps out what it was asked to itself; what others were asked to it has to wait for like anybody.
        own = error.retry_after_s or 0.0 if isinstance(error, ChatError) else 0.0
        self._served = end if own >= closing.seconds else end - closing.seconds + own

    async def _let_out(self) -> Leg | None:
        """The request, let go by the store; None: meanwhile the server has asked to send nothing."""
        while True:
            order = self._order._replace(id=uuid.uuid4().hex)
            decision, asked_at = await self._gate.ask(order)
            if isinstance(decision, Spent):
                raise _spent(decision)
            if isinstance(decision, Broken):
                raise _broken(decision, order.model, self._traffic.endpoint)
            assert isinstance(decision, Go)
            leg = Leg(order, decision.day, asked_at, self._gate.late)
            closed = self._adaptive.is_closed(self._served)
            if not closed and leg.late_s() <= LATEST_S:
                return leg
            self._gate.settle(Return(order.id, order.model, decision.day, "unsent"))
            if closed:
                return None


def _spent(it: Spent) -> BudgetSpent:
    what = {"run": "this run", "day": "today (UTC)", "model": "this model today (UTC)"}[it.scope]
    dollars = f", US$ {it.spent.nanodollars / 1e9:,.4f}" if it.spent.nanodollars else ""
    return BudgetSpent(
        f"The budget of {what} is spent: the next call might pass {it.cap}"
        f" (spent: {several(it.spent.requests, 'request')}, {several(it.spent.tokens, 'token')}{dollars}).",
        "Raise the budget, or run again tomorrow: what was answered is kept.",
    )


def _broken(it: Broken, model: str, endpoint: str) -> BreakerOpen:
    return BreakerOpen(
        f"{model} at {endpoint} is not asked for now: {it.reason}; the next try is in {it.seconds:.0f} s.",
        "Run again then: what was answered is kept.",
        probe_s=it.seconds,
    )
