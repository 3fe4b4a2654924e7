"""One row asked: composed, checked against the model's window, sent, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from blocks.chat.errors import (
    BudgetSpent,
    ChatError,
    JournalError,
    MissingKey,
    ModelAway,
    ModelNotFound,
    PaymentRequired,
    UnknownModelName,
    UnknownPrice,
    WrongEndpoint,
    WrongKey,
)
from blocks.chat.models import ChatReply
from blocks.errors import TrigpointError, UserError
from flows.matrix.absences import Absences, Place
from flows.matrix.drafting import Draft, Drafter
from flows.matrix.estimating import estimated_tokens
from flows.matrix.options import ExperimentOptions
from flows.matrix.records import Result
from flows.matrix.sheet import Row
from flows.matrix.store import RowStore

WARN_SHARE = 0.8
"""Share of the window from which a row is warned of."""
HOPELESS = (
    MissingKey, WrongKey, PaymentRequired, ModelNotFound, WrongEndpoint, UnknownModelName, UnknownPrice, BudgetSpent
)  # fmt: skip
"""The next call to the same model will fail alike."""


class Asker:
    """Asks the rows of an experiment.

    Args:
        drafter: Makes them ready.
        options: How it is run.
        store: Keeps results.
        ended: Given the result of each row that ended; None: an earlier run had finished it.
        warn: Given what people may want to know at once.
        log: Keeps the traceback of what nobody foresaw, and gives the sentence on it.
    """

    def __init__(
        self,
        drafter: Drafter,
        options: ExperimentOptions,
        store: RowStore,
        ended: Callable[[Result | None], Awaitable[None]],
        warn: Callable[[str], None],
        log: Callable[[Exception], str],
    ) -> None:
        self._log = log
        self._drafter, self._options, self._store, self._ended, self._warn = drafter, options, store, ended, warn
        self._hopeless: dict[Place, str] = {}
        self._absences = Absences()

    async def ask(self, row: Row, *, again: bool) -> float | None:
        """See to it that a row has a result; whatever is wrong with it is its result.

        Args:
            row: The row.
            again: Whether it was put aside before: then there is nothing left that could be done meanwhile.

        Returns:
            None: it has one. Else its model is away, and for how many seconds there is no use in asking it.

        Raises:
            JournalError: The journal cannot be used.
            UserError: The result could not be kept.
        """
        try:
            draft = await self._drafter.draft(row)
        except JournalError:
            raise
        except Exception as error:  # One bad row never stops the others.
            await self._keep(_failed(row, self._foreseen(error)))
            return None
        if await self._known(draft):
            await self._ended(None)
            return None
        result = await self._answered_unless_away(draft)
        if isinstance(result, ModelAway):
            patient = result.probe_s <= draft.seat.patience_s
            if patient or not again:
                # Where it is away for too long the next round says so, when all others have been asked.
                return result.probe_s if patient else 0.0
            result = _unsent(draft, result)
        await self._keep(result)
        return None

    async def _answered_unless_away(self, draft: Draft) -> Result | ModelAway:
        place = (draft.row.provider, draft.row.model)
        if away := self._absences.away(place):
            return away
        trying = self._absences.known(place)
        try:
            result = await self._answered(draft)
        except ModelAway as error:
            if self._absences.met(place, error):
                self._warn(f"{error.message} Its rows are put aside, the others go on.")
            return error
        # What was under way before it was known to be away says nothing of now.
        if trying and self._absences.over(place):
            self._warn(f"{'/'.join(place)} is asked again.")
        return result

    async def _known(self, draft: Draft) -> bool:
        """Whether an earlier run has finished this call; its result is the row's, under the row's own variables."""
        row, found = draft.row, self._store.find(draft.key)
        if found is None:
            return False
        own = {"provider": row.provider, "model": row.model, "variables": row.variables}
        if any(getattr(found, name) != value for name, value in own.items()):
            await self._store.add(found.model_copy(update={**own, "row": row.number}))
        else:
            self._store.take(row.number, draft.key)
        return True

    async def _answered(self, draft: Draft) -> Result:
        place = (draft.row.provider, draft.row.model)
        estimate, window = estimated_tokens(draft.prompt), None
        try:
            if place in self._hopeless:
                raise UserError(f"Not sent, as an earlier row of this model failed: {self._hopeless[place]}")
            client = await draft.seat.client()
            window = await draft.seat.window() if self._options.check_context else None
            warnings = [*_missing(draft.missing), *window_warnings(estimate, window, self._options.context_share)]
            reply = await client.complete(draft.request)
        except (JournalError, ModelAway):
            raise
        except TrigpointError as error:
            if isinstance(error, ChatError) and (away := self._absences.failed(place, error)):
                raise away from error
            if isinstance(error, HOPELESS):
                self._hopeless.setdefault(place, str(error))
            return _unsent(draft, error, window or getattr(error, "window", None))
        except Exception as error:
            return _unsent(draft, self._foreseen(error), window)
        return _result(draft, reply, [*warnings, *_reply(reply)], estimate, window)

    def _foreseen(self, error: Exception) -> TrigpointError:
        return error if isinstance(error, TrigpointError) else TrigpointError(self._log(error))

    async def _keep(self, result: Result) -> None:
        await self._store.add(result)
        await self._ended(result)


def _result(draft: Draft, reply: ChatReply, warnings: list[str], estimate: int, window: int | None) -> Result:
    usage, answered = reply.usage, reply.answered_at
    return Result(
        row=draft.row.number,
        call_key=reply.key,
        provider=draft.row.provider,
        model=draft.row.model,
        variables=draft.row.variables,
        status="warning" if warnings else "ok",
        input_tokens=estimate,
        context_window=window,
        output_tokens=estimated_tokens(reply.message.content),
        output=reply.message.content,
        error_message="; ".join(warnings),
        latency_s=reply.latency_s,
        finish_reason=reply.finish_reason,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cost_usd=usage.cost_usd,
        attempts=usage.requests,
        started_at=answered - timedelta(seconds=reply.latency_s) if answered else None,
    )


def _unsent(draft: Draft, error: TrigpointError, window: int | None = None) -> Result:
    estimate = estimated_tokens(draft.prompt)
    return _failed(draft.row, error, call_key=draft.key, input_tokens=estimate, context_window=window)


def _failed(row: Row, error: TrigpointError, **known: Any) -> Result:
    attempts = error.requests if isinstance(error, ChatError) else 0
    return Result(
        row=row.number,
        provider=row.provider,
        model=row.model,
        variables=row.variables,
        status="error",
        error_message=" ".join(str(error).split()),
        attempts=attempts,
        **known,
    )


def _missing(names: tuple[str, ...]) -> list[str]:
    return [f"No column is called {', '.join(names)}: left in the prompt as it is."] if names else []


def window_warnings(estimate: int, window: int | None, share: float) -> list[str]:
    """A warning where the prompt takes most of the window.

    Raises:
        UserError: It takes more than may be sent.
    """
    if window is None or estimate <= WARN_SHARE * window:
        return []
    told = f"The prompt takes about {estimate} tokens (an estimate) of the model's {window}"
    if estimate > share * window:
        raise UserError(f"{told}, more than {share:.0%}: not sent.", "Shorten it, or raise --context-share.")
    return [f"{told}."]


def _reply(reply: ChatReply) -> list[str]:
    if reply.finish_reason == "length":
        return ["The answer was cut off at its most tokens (finish_reason length)."]
    return [] if reply.message.content.strip() else ["The answer is empty."]
