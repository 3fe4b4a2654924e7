"""Requests at the way out, as records: who wants to go, what was decided, what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from blocks.chat.breaker import BreakerChange
from blocks.chat.budget import Amount, BudgetPlan
from blocks.chat.limits import Limits


class Origin(NamedTuple):
    """Who asks: the flow run and its flow; empty outside of any."""

    run: str = ""
    flow: str = ""


NOBODY = Origin()


@dataclass(frozen=True)
class Desk:
    """What all requests of one client have in common."""

    account: str
    endpoint: str
    owner: str
    origin: Origin
    plan: BudgetPlan


class Order(NamedTuple):
    """A request that wants to go."""

    id: str
    key: str
    """Of the call."""
    model: str
    tokens: int
    """At most."""
    nanodollars: int
    """At most."""
    patience_s: float
    """How long it would wait for a model whose breaker is open."""


class Closing(NamedTuple):
    """A wait that a server has asked for."""

    seconds: float
    said: str
    """Its words."""


class Return(NamedTuple):
    """What became of a request that was let go."""

    id: str
    model: str
    day: str
    outcome: str
    requests: int = 1
    tokens: int = 0
    """What counts against limits and budgets: what it took, or could have taken where nobody says."""
    nanodollars: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    unreported: int = 0
    closing: Closing | None = None
    """A wait that is longer than calls have patience for, if the server asked for one."""


class Go(NamedTuple):
    """It may go now."""

    day: str


class Wait(NamedTuple):
    """Not yet; ask again in so many seconds."""

    seconds: float


class Spent(NamedTuple):
    """It does not fit into the budget any more."""

    cap: str
    scope: str
    spent: Amount


class Broken(NamedTuple):
    """The breaker of its model is open for longer than it would wait."""

    seconds: float
    reason: str


Decision = Go | Wait | Spent | Broken


@dataclass
class Batch:
    """What has come together since the last look, and what was made of it."""

    orders: list[Order]
    returns: list[Return]
    late: list[str]
    limits: Limits
    tidy: bool
    gone: list[tuple[Order, str]] = field(default_factory=list)
    """Requests that nothing could hold back, with their day: they have been let go already."""
    decisions: list[Decision] = field(default_factory=list)
    changes: list[BreakerChange] = field(default_factory=list)
    calm: bool = False
    """Told: whether no breaker is open."""
