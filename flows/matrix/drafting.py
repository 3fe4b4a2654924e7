"""A row made ready to be sent: where to, the prompt, the sampling, and the key its answer is known by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from blocks.chat.keys import call_key, sendable
from blocks.chat.models import ChatClient, ChatRequest, Message, Sampling
from blocks.errors import UserError
from flows.matrix.composing import Composer
from flows.matrix.options import PROVIDERS, ExperimentOptions
from flows.matrix.outputs import Output
from flows.matrix.sampling import Asked, asked_sampling
from flows.matrix.sheet import Row


class Seat(Protocol):
    """A model that can be asked."""

    @property
    def model(self) -> str:
        """As the endpoint knows it."""
        ...

    @property
    def endpoint(self) -> str:
        """The endpoint's id, for keys."""
        ...

    @property
    def patience_s(self) -> float:
        """Seconds it is worth waiting for, where it is out of order."""
        ...

    async def client(self) -> ChatClient:
        """What asks it.

        Raises:
            ChatError: Key or address are unusable.
        """
        ...

    async def window(self) -> int | None:
        """Tokens its context holds, as its provider lists it; None: unknown."""
        ...


SeatOf = Callable[[str, str, dict[str, Any]], Awaitable[Seat]]
"""The seat of a provider's model, with extra parameters."""


class Draft:
    """A row as it will be sent."""

    def __init__(self, row: Row, seat: Seat, request: ChatRequest, asked: Asked, missing: tuple[str, ...]) -> None:
        self.row, self.seat, self.request, self.missing = row, seat, request, missing
        self.key = call_key(seat.endpoint, request, asked.extra)

    @property
    def prompt(self) -> str:
        """What the model is told."""
        return self.request.messages[0].content


class Drafter:
    """Drafts the rows of an experiment.

    Args:
        composer: Makes prompts.
        output: Where results go; a row that has no place there is not sent.
        options: How it is run.
        seat_of: Finds models.
    """

    def __init__(self, composer: Composer, output: Output, options: ExperimentOptions, seat_of: SeatOf) -> None:
        self._composer, self._output, self._options, self._seat_of = composer, output, options, seat_of
        self._defaults = Sampling(temperature=options.temperature, max_tokens=options.max_tokens)

    async def draft(self, row: Row) -> Draft:
        """A row, ready to be sent.

        Raises:
            TrigpointError: It cannot be sent.
        """
        if row.provider not in PROVIDERS:
            said = f"{row.provider!r} is no provider" if row.provider else "the row names no provider"
            raise UserError(f"Unknown provider: {said}.", f"There are {', '.join(PROVIDERS)}.")
        if not row.model:
            raise UserError("The row names no model.")
        self._output.path_of(row.values)
        composed = self._composer.compose(row.values)
        if not composed.text.strip():
            raise UserError("The prompt is empty.")
        asked = asked_sampling(row.provider, row.variables, defaults=self._defaults, plain=self._options.plain)
        seat = await self._seat_of(row.provider, row.model, asked.extra)
        request = ChatRequest(
            model=seat.model,
            messages=(Message(role="user", content=composed.text),),
            sampling=asked.sampling,
            sample_index=self._options.sample + row.repeat,
        )
        return Draft(row, seat, sendable(request), asked, composed.missing)
