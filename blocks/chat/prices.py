"""What a call costs: the provider's own figure, else a price the user set, else unknown. Never a guess."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from blocks.chat.models import Usage
from blocks.frozen import Frozen


class Price(Frozen):
    """Price of a model in US dollars per million tokens."""

    input_usd_per_mtok: Annotated[float, Field(ge=0, description="prompt tokens, US$ per million")]
    output_usd_per_mtok: Annotated[float, Field(ge=0, description="answer tokens, US$ per million")]
    cached_usd_per_mtok: Annotated[
        float | None,
        Field(ge=0, description="prompt tokens from the provider's cache; empty: like other prompt tokens"),
    ] = None

    def cost(self, usage: Usage) -> float | None:
        """US dollars for the tokens, or None when the provider did not count them."""
        if usage.prompt_tokens is None or usage.completion_tokens is None:
            return None
        cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
        cached_price = self.input_usd_per_mtok if self.cached_usd_per_mtok is None else self.cached_usd_per_mtok
        dollars = (
            (usage.prompt_tokens - cached) * self.input_usd_per_mtok
            + cached * cached_price
            + usage.completion_tokens * self.output_usd_per_mtok
        )
        return dollars / 1_000_000


def priced(usage: Usage, price: Price | None) -> tuple[Usage, Price | None]:
    """The usage with its cost, and the price it was worked out with (None: the provider's own figure, or unknown)."""
    if usage.cost_usd is not None or price is None:
        return usage, None
    return usage.model_copy(update={"cost_usd": price.cost(usage)}), price
