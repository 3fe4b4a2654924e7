"""When a model call is sent again, and after how long: the one place that decides it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay

from blocks.chat.errors import ChatError, ModelAway
from blocks.chat.patience import too_long

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


class RetryPolicy(BaseModel):
    """How hard a call is tried. Waits the server asks for are kept to, if they fit under the caps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_attempts: Annotated[int, Field(ge=1, description="HTTP requests per call at most")] = 8
    max_total_s: Annotated[float, Field(gt=0, description="no attempt starts later than this, seconds")] = 900.0
    first_wait_s: Annotated[float, Field(ge=0, description="wait after the first failure, seconds, doubling")] = 1.0
    max_wait_s: Annotated[float, Field(ge=0, description="longest wait of our own choosing, seconds")] = 60.0
    max_server_wait_s: Annotated[
        float, Field(ge=0, description="longest wait the server may ask for before the call gives up, seconds")
    ] = 300.0
    max_breaker_wait_s: Annotated[
        float, Field(ge=0, description="longest wait for a model that is not asked because it kept failing, seconds")
    ] = 300.0


async def persist(
    attempt: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    *,
    sleep: Sleep = asyncio.sleep,
    before_sleep: Callable[[ChatError, int, float], None] | None = None,
) -> T:
    """Runs `attempt` until it succeeds, fails for good, or the policy's caps are reached.

    Args:
        attempt: One HTTP request and the reading of its reply.
        policy: The caps.
        sleep: How to wait; tests replace it.
        before_sleep: Told of each failure that is tried again: the error, attempts so far, seconds to wait.

    Raises:
        ServerWait: The server asks to wait for longer than the policy allows.
        ChatError: The last attempt's error; its `requests` says how many were sent.
    """
    retrying = AsyncRetrying(
        sleep=sleep,
        wait=lambda state: _wait(state, policy),
        stop=lambda state: _given_up(state, policy) or stop_before_delay(policy.max_total_s)(state),
        retry=retry_if_exception(lambda error: isinstance(error, ChatError) and error.retryable),
        before_sleep=lambda state: _tell(state, before_sleep),
        reraise=True,
    )
    attempts = 0

    async def counted() -> T:
        nonlocal attempts
        attempts += 1
        return await attempt()

    try:
        return await retrying(counted)
    except ChatError as error:
        error.requests = attempts
        wait = error.retry_after_s or 0.0
        if wait <= policy.max_server_wait_s or isinstance(error, ModelAway):
            raise
        long = too_long(error, wait, policy.max_server_wait_s)
        long.requests = attempts
        raise long from error


def _error(state: RetryCallState) -> ChatError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, ChatError)
    return error


def _wait(state: RetryCallState, policy: RetryPolicy) -> float:
    if state.outcome is None or not state.outcome.failed:
        return 0.0
    asked = _error(state).retry_after_s
    if asked is not None:
        # Whoever was turned away together would come back together.
        return asked + random.uniform(0, min(1.0, 0.1 * asked + 0.05))
    ceiling: float = min(policy.max_wait_s, policy.first_wait_s * 2 ** (state.attempt_number - 1))
    return random.uniform(ceiling / 2, ceiling)


def _given_up(state: RetryCallState, policy: RetryPolicy) -> bool:
    error = _error(state)
    allowed = min(policy.max_attempts, error.max_attempts or policy.max_attempts)
    return state.attempt_number >= allowed or (error.retry_after_s or 0.0) > policy.max_server_wait_s


def _tell(state: RetryCallState, told: Callable[[ChatError, int, float], None] | None) -> None:
    if told is not None:
        told(_error(state), state.attempt_number, state.upcoming_sleep)
