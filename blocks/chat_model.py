"""The ChatModel block: which model, where, with which key, sampling and limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.blocks.core import Block
from prefect.context import FlowRunContext
from pydantic import Field, SecretStr

from blocks.breaker_events import breaker_observer
from blocks.budget import Budget
from blocks.chat.admission import Rules, check_price
from blocks.chat.budget import BudgetPlan
from blocks.chat.client import ModelClient
from blocks.chat.endpoints import ModelAddress, Provider, parse_model
from blocks.chat.journal import Journal, Replies
from blocks.chat.limits import Limits
from blocks.chat.models import Sampling
from blocks.chat.orders import Origin
from blocks.chat.prices import Price
from blocks.chat.retry import RetryPolicy
from blocks.settings import settings
from blocks.store import installed_store

__all__ = ["ChatModel", "parse_model"]


class ChatModel(Block):
    """A chat model behind an OpenAI-compatible API or Ollama.

    Attributes:
        model: `openrouter/<vendor>/<model>`, `openai/<model>`, `ollama/<model>`, `mock/<model>`, or the server's own
            name for it beside a base URL.
        base_url: Address of the API when the name has no provider.
        provider: Overrides what name and address say.
        api_key: The key; empty: OPENROUTER_API_KEY, OPENAI_API_KEY or, with a base URL, TRIGPOINT_API_KEY.
        sampling: Sampling of calls that say nothing else.
        extra: Parameters sent with every call.
        price: For providers that do not say what a call cost.
        timeout_s: Seconds for one request.
        max_in_flight: Calls under way at once, at most.
        requests_per_minute: Of the account, for all processes with this store together; empty: as the server says.
        tokens_per_minute: The same of tokens.
        budget: What may be spent.
        fallback_models: Asked in turn where the law forbids the model to answer (HTTP 451); named as the provider does.
        retry: When a failed call is sent again.
        journal: The journal's file; empty: the store.

    Example:
        ```python
        from blocks.chat_model import ChatModel

        async with ChatModel.load("default").get_client() as client:
            reply = await client.complete(request)
        ```
    """

    _block_type_name: ClassVar[str | None] = "Chat Model"
    _block_type_slug: ClassVar[str | None] = "trigpoint-chat-model"
    _description: ClassVar[str | None] = "A chat model: provider, key, sampling, limits and price."

    model: Annotated[
        str,
        Field(
            min_length=1,
            title="Model",
            description="openrouter/<vendor>/<model>, openai/<model>, ollama/<model>, or a plain name with a base URL",
        ),
    ]
    base_url: Annotated[
        str | None, Field(title="Base URL", description="address of an OpenAI-compatible API, with its /v1")
    ] = None
    provider: Annotated[
        Provider | None, Field(title="Provider", description="overrides what the model's name and the base URL say")
    ] = None
    api_key: Annotated[
        SecretStr | None, Field(title="API key", description="empty: from the environment variable of the provider")
    ] = None
    sampling: Annotated[Sampling, Field(title="Sampling", description="defaults of a call")] = Sampling()
    extra: Annotated[
        dict[str, Any], Field(title="Extra parameters", description="sent with every call, part of the journal key")
    ] = Field(default_factory=dict)
    price: Annotated[
        Price | None, Field(title="Price", description="for providers that do not say what a call cost")
    ] = None
    timeout_s: Annotated[float, Field(gt=0, title="Timeout", description="seconds for one request")] = 300.0
    max_in_flight: Annotated[
        int, Field(ge=1, title="Calls in flight", description="calls under way at once, at most")
    ] = 8
    requests_per_minute: Annotated[
        int | None, Field(ge=1, title="Requests a minute", description="of the account; empty: as the server says")
    ] = None
    tokens_per_minute: Annotated[
        int | None, Field(ge=1, title="Tokens a minute", description="of the account; empty: as the server says")
    ] = None
    budget: Annotated[Budget | None, Field(title="Budget", description="what may be spent; empty: no cap")] = None
    fallback_models: Annotated[
        list[str],
        Field(
            title="Fallback models", description="asked in turn where the law forbids the model to answer (HTTP 451)"
        ),
    ] = Field(default_factory=list)
    retry: Annotated[RetryPolicy, Field(title="Retries", description="when a failed call is sent again")] = (
        RetryPolicy()
    )
    journal: Annotated[Path | None, Field(title="Journal", description="SQLite file; empty: the store")] = None

    def address(self, *, offline: bool = False) -> ModelAddress:
        """Model, address and key. `address().model` is what a `ChatRequest` must name.

        Args:
            offline: No key is needed.

        Raises:
            UnknownModelName: The name and the base URL say no provider.
            MissingKey: The provider needs a key and none is set.
            WrongKey: The key holds characters no key has.
        """
        return parse_model(self.model, self.base_url, provider=self.provider, api_key=self.api_key, offline=offline)

    def get_client(
        self, *, offline: bool = False, replay: Sequence[Replies] = (), journal: Journal | None = None
    ) -> ModelClient:
        """A client for this model, to be used in one event loop and closed.

        Args:
            offline: Answer from journals only; the installation's own store is then used only if it is there.
            replay: Recorded journals that may answer as well.
            journal: An open journal to share; None: the client opens its own and closes it.

        Raises:
            ChatError: See `address`.
            JournalError: The journal cannot be opened.
            UnknownPrice: The budget caps money, and the block has no price.
            UserError: The client opens the store, and its address is in a block that is not there.
        """
        address = self.address(offline=offline)
        rules = self._rules()
        prices = {address.model: self.price} if self.price else {}
        if not offline:
            for model in (address.model, *self.fallback_models):
                check_price(rules.plan, model, prices)
        own = None if journal is not None else self._own_journal(only_if_there=offline)
        return ModelClient(
            address.endpoint,
            journal=own or journal,
            replay=replay,
            offline=offline,
            retry=self.retry,
            timeout_s=self.timeout_s,
            max_in_flight=self.max_in_flight,
            prices=prices,
            rules=rules,
            fallback=self.fallback_models,
            extra=self.extra,
            trust_proxy=settings().trust_proxy,
            owns_journal=own is not None,
        )

    def _own_journal(self, *, only_if_there: bool) -> Journal | None:
        place = self.journal or installed_store()
        return None if only_if_there and isinstance(place, Path) and not place.exists() else Journal(place)

    def _rules(self) -> Rules:
        return Rules(
            limits=Limits(requests_per_minute=self.requests_per_minute, tokens_per_minute=self.tokens_per_minute),
            plan=self.budget.plan() if self.budget is not None else BudgetPlan(),
            origin=_origin(),
            observer=breaker_observer(),
        )


def _origin() -> Origin:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return Origin()
    return Origin(str(context.flow_run.id), context.flow.name if context.flow else "")
