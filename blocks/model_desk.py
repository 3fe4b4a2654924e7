"""The models of one run, many at once: a client for each when it is first asked, one journal, windows as listed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from blocks.chat.client import ModelClient
from blocks.chat.endpoints import Endpoint, ModelAddress
from blocks.chat.errors import ChatError, UnknownModelName
from blocks.chat.journal import Journal
from blocks.chat.listing import list_models, ollama_window
from blocks.chat.models import ListedModel, Sampling
from blocks.chat_model import ChatModel
from blocks.saved import saved
from blocks.settings import settings
from blocks.specs import NO_LIMIT, Spending
from blocks.spending import limited, listed_models
from blocks.store import installed_store


@dataclass
class ModelSeat:
    """One model that can be asked, with its extra parameters."""

    desk: ModelDesk
    block: ChatModel
    address: ModelAddress
    """Without its key: that is looked for when the model is asked."""
    _client: ModelClient | None = field(default=None, init=False)

    @property
    def model(self) -> str:
        """As the endpoint knows it."""
        return self.address.model

    @property
    def endpoint(self) -> str:
        """The endpoint's id, for keys."""
        return self.address.endpoint.id

    @property
    def patience_s(self) -> float:
        """Seconds it is worth waiting for, where it is out of order; its client does not wait."""
        return self.block.retry.max_breaker_wait_s

    async def client(self) -> ModelClient:
        """What asks it.

        Raises:
            ChatError: Key or address are unusable.
        """
        if self._client is None:
            # Who has other models to ask need not wait for one that is out of order.
            retry = self.block.retry.model_copy(update={"max_breaker_wait_s": 0.0})
            self._client = self.block.model_copy(update={"retry": retry}).get_client(journal=self.desk.journal)
        return self._client

    async def window(self) -> int | None:
        """Tokens its context holds, as its provider lists it; None: unknown."""
        return await self.desk.window(self.block.address().endpoint, self.model)

    async def aclose(self) -> None:
        """Give back what the client holds."""
        if self._client is not None:
            await self._client.aclose()


class ModelDesk:
    """Finds models by provider and name.

    Args:
        journal: Every client's.
        base_url: Where the models of the provider `compatible` are.
        timeout_s: Seconds for one request.
        in_flight: Calls of a provider under way at once.
        spending: What the calls may send and spend, all models together.
        warn: Told once of each endpoint that does not list its models.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        base_url: str | None,
        timeout_s: float,
        in_flight: Callable[[str], int],
        spending: Spending,
        warn: Callable[[str], None],
    ) -> None:
        self.journal = journal
        self._base_url, self._timeout_s, self._in_flight, self._warn = base_url, timeout_s, in_flight, warn
        self._spending = spending
        self._seats: dict[tuple[str, str, str], ModelSeat] = {}
        self._lists: dict[str, asyncio.Task[Mapping[str, ListedModel]]] = {}
        self._shown: dict[tuple[str, str], asyncio.Task[int | None]] = {}

    async def seat(self, provider: str, model: str, extra: dict[str, Any]) -> ModelSeat:
        """A model's seat, the same for the same model.

        Args:
            provider: As in `blocks.chat.endpoints.Provider`, or `block` for a saved Chat Model.
            model: Its name there, or the block's.
            extra: Parameters sent with every call.

        Raises:
            ChatError: The name says no model.
            UserError: No block of that name is saved.
        """
        key = (provider, model, json.dumps(extra, sort_keys=True))
        if key not in self._seats:
            block = await limited(await self._block(provider, model), self._spending, self._listing)
            block = block.model_copy(update={"extra": {**block.extra, **extra}})
            self._seats.setdefault(key, ModelSeat(self, block, block.address(offline=True)))
        return self._seats[key]

    async def window(self, endpoint: Endpoint, model: str) -> int | None:
        """Tokens a model's context holds, as its provider lists it; None: unknown."""
        if endpoint.provider == "ollama":
            place = (endpoint.id, model)
            if place not in self._shown:
                self._shown[place] = asyncio.create_task(self._show(endpoint, model))
            return await asyncio.shield(self._shown[place])
        listed = (await self._listing(endpoint)).get(model)
        return listed.window if listed else None

    async def listed(self, provider: str, model: str) -> bool | None:
        """Whether the provider's list has the model; None where it gives no list.

        Raises:
            ChatError: Name, key or address are unusable.
        """
        block = (await self.seat(provider, model, {})).block
        address = block.address()
        if address.endpoint.provider == "mock":
            return True
        found = await self._listing(address.endpoint)
        return (address.model in found or f"{address.model}:latest" in found) if found else None

    async def aclose(self) -> None:
        """Give back all that clients hold."""
        for task in (*self._lists.values(), *self._shown.values()):
            task.cancel()
        await asyncio.gather(*self._lists.values(), *self._shown.values(), return_exceptions=True)
        for seat in self._seats.values():
            await seat.aclose()

    async def _listing(self, endpoint: Endpoint) -> Mapping[str, ListedModel]:
        """An endpoint's list, asked once; empty where it gives none."""
        # By account: with another key the same address may answer.
        if endpoint.account not in self._lists:
            self._lists[endpoint.account] = asyncio.create_task(self._list(endpoint))
        return await asyncio.shield(self._lists[endpoint.account])

    async def _list(self, endpoint: Endpoint) -> Mapping[str, ListedModel]:
        try:
            return await listed_models(endpoint)
        except ChatError as error:
            self._warn(f"{endpoint.id} lists no models, so sizes and prices there are unknown: {error.message}")
            return {}

    async def _show(self, endpoint: Endpoint, model: str) -> int | None:
        try:
            return await ollama_window(endpoint, model, trust_proxy=settings().trust_proxy)
        except ChatError as error:
            self._warn(f"The context of {model} is unknown and not checked: {error.message}")
            return None

    async def _block(self, provider: str, model: str) -> ChatModel:
        # Said by each row, so the block's own defaults are none.
        given: dict[str, Any] = {"timeout_s": self._timeout_s, "max_in_flight": self._in_flight(provider)}
        if provider == "block":
            return (await saved(ChatModel, model)).model_copy(update=given)
        given["sampling"] = Sampling(temperature=None, max_tokens=None)
        if provider == "compatible":
            if not self._base_url:
                raise UnknownModelName(
                    f"The model {model} of the provider compatible has no address.", "Give --base-url http://HOST/v1."
                )
            return ChatModel(model=model, base_url=self._base_url, provider="compatible", **given)
        return ChatModel(model=f"{provider}/{model}", **given)


@asynccontextmanager
async def model_desk(
    *,
    base_url: str | None,
    timeout_s: float,
    in_flight: Callable[[str], int],
    warn: Callable[[str], None],
    spending: Spending = NO_LIMIT,
) -> AsyncIterator[ModelDesk]:
    """A desk with the installation's journal, for the length of the body; see `ModelDesk`.

    Raises:
        JournalError: The journal cannot be opened.
    """
    place = await asyncio.to_thread(installed_store)
    with await asyncio.to_thread(Journal, place) as journal:
        desk = ModelDesk(
            journal, base_url=base_url, timeout_s=timeout_s, in_flight=in_flight, spending=spending, warn=warn
        )
        try:
            yield desk
        finally:
            await desk.aclose()


async def models_of(provider: str, base_url: str | None) -> list[ListedModel]:
    """The models of a provider, as it lists them.

    Args:
        provider: openrouter, openai, ollama, mock, compatible.
        base_url: Of `compatible`; of another provider it names another address, as for a model.

    Raises:
        ChatError: The provider is none, wants a key, or lists nothing.
    """
    if provider == "compatible":
        if not base_url:
            raise UnknownModelName("The provider compatible has no address.", "Give --base-url http://HOST/v1.")
        block = ChatModel(model="any", base_url=base_url, provider="compatible")
    else:
        ollama = provider == "ollama"
        block = ChatModel(model=f"{provider}/any", base_url=base_url if ollama else None)
    # Some give their list to anybody; who does not says so.
    endpoint = block.address(offline=True).endpoint
    found = await list_models(endpoint, trust_proxy=settings().trust_proxy)
    if endpoint.provider != "ollama":
        return found
    windows = [await ollama_window(endpoint, model.id, trust_proxy=settings().trust_proxy) for model in found]
    return [model.model_copy(update={"window": size}) for model, size in zip(found, windows, strict=True)]
