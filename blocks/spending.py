"""A model as a run may use it: the limits and budgets that the run names are put on its block."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from blocks.budget import Budget
from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import ChatError
from blocks.chat.listing import list_models
from blocks.chat.models import ListedModel
from blocks.chat.prices import Price
from blocks.chat_model import ChatModel
from blocks.saved import saved
from blocks.settings import settings
from blocks.specs import Spending

Listing: TypeAlias = Callable[[Endpoint], Awaitable[Mapping[str, ListedModel]]]
"""The models that an endpoint lists, by name; may raise a `ChatError`."""

log = logging.getLogger(__name__)


async def listed_models(endpoint: Endpoint) -> Mapping[str, ListedModel]:
    """The models that an endpoint lists, by name.

    Raises:
        ChatError: It cannot be asked, or answers with no list of models.
    """
    return {model.id: model for model in await list_models(endpoint, trust_proxy=settings().trust_proxy)}


async def limited(block: ChatModel, spending: Spending, listing: Listing = listed_models) -> ChatModel:
    """The block with what a run names in place of its own; caps of the run are added to those of a budget.

    Args:
        block: The block.
        spending: What the run names.
        listing: Asked for a price where money is capped and the block has none.

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
    return await _priced(chosen, listing)


async def _priced(block: ChatModel, listing: Listing) -> ChatModel:
    if block.price is not None or block.budget is None:
        return block
    address = block.address()
    if not block.budget.plan().has_money(address.model):
        return block
    try:
        found = (await listing(address.endpoint)).get(address.model)
    except ChatError as error:
        # Whoever makes the client says what follows from it: no price, no budget of money.
        log.info("no price of %s: %s", address.model, error)
        return block
    if found is None or found.input_usd_per_mtok is None or found.output_usd_per_mtok is None:
        return block
    price = Price(input_usd_per_mtok=found.input_usd_per_mtok, output_usd_per_mtok=found.output_usd_per_mtok)
    return block.model_copy(update={"price": price})
