"""The ChatModel block: which model, where, with which key, sampling and limits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from blocks.chat.client import ModelClient
from blocks.chat.endpoints import ModelAddress, parse_model
from blocks.chat.journal import Journal, Replies
from blocks.chat.models import Sampling
from blocks.chat.prices import Price
from blocks.chat.retry import RetryPolicy
from blocks.settings import settings

__all__ = ["ChatModel", "parse_model"]


class ChatModel(Block):
    """A chat model behind an OpenAI-compatible API or Ollama.

    Attributes:
        model: `openrouter/<vendor>/<model>`, `openai/<model>`, `ollama/<model>`, or the server's own name for it
            beside a base URL.
        base_url: Address of the API when the name has no provider.
        provider: Overrides what name and address say.
        api_key: The key; empty: OPENROUTER_API_KEY, OPENAI_API_KEY or, with a base URL, TRIGPOINT_API_KEY.
        sampling: Sampling of calls that say nothing else.
        extra: Parameters sent with every call.
        price: For providers that do not say what a call cost.
        timeout_s: Seconds for one request.
        max_in_flight: Calls under way at once.
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
        Literal["openrouter", "openai", "ollama", "compatible"] | None,
        Field(title="Provider", description="overrides what the model's name and the base URL say"),
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
    max_in_flight: Annotated[int, Field(ge=1, title="Calls in flight", description="calls under way at once")] = 8
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
        """
        address = self.address(offline=offline)
        path = self.journal or settings().store
        own = journal is None and not (offline and not path.exists())
        return ModelClient(
            address.endpoint,
            journal=Journal(path) if own else journal,
            replay=replay,
            offline=offline,
            retry=self.retry,
            timeout_s=self.timeout_s,
            max_in_flight=self.max_in_flight,
            prices={address.model: self.price} if self.price else None,
            extra=self.extra,
            trust_proxy=settings().trust_proxy,
            owns_journal=own,
        )
