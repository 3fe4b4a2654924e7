"""What may be spent: caps on requests, tokens and money, and the arithmetic of reserving and settling.

Money is counted in whole billionths of a dollar, so that sums are exact and do not depend on their order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import Field

from blocks.chat.models import Usage
from blocks.chat.prices import Price
from blocks.frozen import Frozen
from blocks.plurals import several

NANO = 1_000_000_000


class Amount(NamedTuple):
    """Requests, tokens and billionths of a dollar."""

    requests: int = 0
    tokens: int = 0
    nanodollars: int = 0

    def plus(self, other: Amount) -> Amount:
        """The sum."""
        return Amount(self.requests + other.requests, self.tokens + other.tokens, self.nanodollars + other.nanodollars)


class Caps(Frozen):
    """The most that may be spent; empty: as much as one likes."""

    requests: Annotated[int | None, Field(ge=0, title="Requests", description="HTTP requests, retries included")] = None
    tokens: Annotated[int | None, Field(ge=0, title="Tokens", description="of prompts and answers")] = None
    usd: Annotated[float | None, Field(ge=0, title="US dollars", description="needs the model's price")] = None

    def passed(self, spent: Amount) -> str:
        """The first cap that an amount passes, in words; empty: none."""
        if self.requests is not None and spent.requests > self.requests:
            return several(self.requests, "request")
        if self.tokens is not None and spent.tokens > self.tokens:
            return several(self.tokens, "token")
        if self.usd is not None and spent.nanodollars > nanodollars(self.usd):
            return f"US$ {self.usd:,g}"
        return ""

    def tightened(self, other: Caps) -> Caps:
        """The lower of each."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in type(self).model_fields}
        return Caps(**{name: min((it for it in pair if it is not None), default=None) for name, pair in pairs.items()})

    @property
    def measured(self) -> bool:
        """Whether anything is capped whose worst case depends on the length of an answer."""
        return self.tokens is not None or self.usd is not None

    def __bool__(self) -> bool:
        return self != NO_CAPS


NO_CAPS = Caps()


class BudgetPlan(Frozen):
    """Caps by what they are about."""

    run: Caps = NO_CAPS
    day: Caps = NO_CAPS
    """Of all runs of a UTC day together."""
    models: Mapping[str, Caps] = Field(default_factory=dict)
    """Of a UTC day, by model."""

    def caps(self, model: str) -> tuple[tuple[Caps, str], ...]:
        """The caps that a call to a model counts against, with what they are about."""
        named = (
            (self.run, "run"),
            (self.day, "day"),
            (self.models.get(model, NO_CAPS), "model"),
        )
        return tuple((caps, scope) for caps, scope in named if caps)

    def has_money(self, model: str) -> bool:
        """Whether a call to the model is capped by money."""
        return any(caps.usd is not None for caps, _ in self.caps(model))

    def __bool__(self) -> bool:
        return bool(self.run or self.day or any(self.models.values()))


def nanodollars(usd: float) -> int:
    """Dollars in whole billionths, rounded up: rather too much is counted than too little."""
    return math.ceil(round(usd * NANO, 3))


def dearest(prompt: int, answer: int, price: Price | None) -> int:
    """Billionths of a dollar that so many tokens cost at most; 0 where no price is known."""
    if price is None:
        return 0
    cost = price.cost(Usage(prompt_tokens=prompt, completion_tokens=answer))
    return nanodollars(cost or 0.0)
