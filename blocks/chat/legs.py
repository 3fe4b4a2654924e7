"""One HTTP request on its way: when it left, what came back, what it took, and how long the reply asks to wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from blocks.chat.errors import ChatError
from blocks.chat.limits import LATEST_S
from blocks.chat.models import Usage
from blocks.chat.orders import Closing, Order, Return
from blocks.chat.waits import used_up


class Leg:
    """One HTTP request on its way."""

    def __init__(self, order: Order, day: str, asked: float, late: Callable[[str], None]) -> None:
        self._order, self._day, self._asked, self._late = order, day, asked, late
        self.left = False
        self.usage: Usage | None = None
        """What the answer says it took."""
        self.headers: Mapping[str, str] = {}

    def leaves(self) -> None:
        """Its first byte is about to be written."""
        self.left = True

    def has_left(self) -> None:
        """Its last byte has been written."""
        if self.late_s() > LATEST_S:
            self._late(self._order.id)

    def late_s(self) -> float:
        """Seconds since the store let it go."""
        return time.monotonic() - self._asked

    def closing(self, error: BaseException | None) -> Closing:
        """For how long the reply asks to send nothing, be it an error or an answer that used up a limit."""
        wait, name = used_up(self.headers)
        if isinstance(error, ChatError) and (error.retry_after_s or 0.0) >= wait:
            return Closing(error.retry_after_s or 0.0, error.detail or error.message)
        return Closing(wait, f"the limit of {name} is used up")

    def back(self, error: BaseException | None, closing: Closing | None) -> Return:
        """What became of it.

        Args:
            error: How it ended, if not well.
            closing: What the store is to know of the wait that the server asks for.
        """
        order, usage = self._order, self.usage
        back = Return(order.id, order.model, self._day, _outcome(error), requests=int(self.left), closing=closing)
        if not self.left:
            return back._replace(outcome=back.outcome if isinstance(error, ChatError) else "unsent")
        if isinstance(error, ChatError) and (error.status or 0) >= 300:
            return back
        if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
            # Nobody says what it took, and it may be billed: the most it could be.
            return back._replace(tokens=order.tokens, nanodollars=order.nanodollars, unreported=1)
        cost = usage.cost_usd
        return back._replace(
            tokens=usage.prompt_tokens + usage.completion_tokens,
            nanodollars=order.nanodollars if cost is None else round(cost * 1_000_000_000),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cost_usd=cost or 0.0,
        )


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    return error.kind if isinstance(error, ChatError) else "cancelled"
