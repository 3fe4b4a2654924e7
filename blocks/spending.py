"""A model as a run may use it: the limits and budgets that the run names are put on its block."""

from __future__ import annotations

import logging
from typing import Any

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from blocks.budget import Budget
from blocks.chat.errors import ChatError
from blocks.chat.listing import list_models
from blocks.chat.prices import Price
from blocks.chat_model import ChatModel
from blocks.saved import saved
from blocks.settings import settings
from blocks.specs import Spending

log = logging.getLogger(__name__)


async def limited(block: ChatModel, spending: Spending) -> ChatModel:
    """The block with what a run names in place of its own; caps of the run are added to those of a budget.

    Where money is capped and the block has no price, the provider's list is asked for one.

    Raises:
        UserError: No Budget block of that name is saved.
        ChatError: The list is needed, and key or address are unusable.
    """
    named: dict[str, Any] = {
        "requests_per_minute": spending.requests_per_minute,
        "tokens_per_minute": spending.tokens_per_minute,
        "budget": None if spending.budget is None else await saved(Budget, spending.budget),
    }
    chosen = block.model_copy(update={key: it for key, it in named.items() if it is not None})
    if spending.run_caps:
        budget = chosen.budget or Budget()
        run = budget.run.tightened(spending.run_caps)
        chosen = chosen.model_copy(update={"budget": budget.model_copy(update={"run": run})})
    return await _priced(chosen)


async def _priced(block: ChatModel) -> ChatModel:
    if block.price is not None or block.budget is None:
        return block
    address = block.address()
    if not block.budget.plan().has_money(address.model):
        return block
    try:
        listed = {model.id: model for model in await list_models(address.endpoint, trust_proxy=settings().trust_proxy)}
    except ChatError as error:
        # Whoever makes the client says what follows from it: no price, no budget of money.
        log.info("no price of %s: %s", address.model, error)
        return block
    found = listed.get(address.model)
    if found is None or found.input_usd_per_mtok is None or found.output_usd_per_mtok is None:
        return block
    price = Price(input_usd_per_mtok=found.input_usd_per_mtok, output_usd_per_mtok=found.output_usd_per_mtok)
    return block.model_copy(update={"price": price})
