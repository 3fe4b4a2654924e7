"""When a failed call is sent again: the server's word first, then jittered doubling, under caps that hold."""

from __future__ import annotations

import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from blocks.chat.errors import ChatError, RateLimited, ServerFailure, ServerWait, WrongKey
from blocks.chat.retry import RetryPolicy, persist
from tests.support.chat import Waits, ask, opened
from tests.support.model_answers import Answer, error, in_turn
from tests.support.model_server import ModelServer


async def _waits(tmp_path: Path, *answers: Answer, **policy: Any) -> list[float]:
    """The waits of a call that gets these answers in turn and then a good one."""
    waits = Waits()
    with ModelServer(in_turn(*answers, Answer(content="at last"))) as server:
        async with opened(server, tmp_path / "store.db", sleep=waits, retry=RetryPolicy(**policy)) as client:
            reply = await client.complete(ask())
            assert reply.message.content == "at last"
            assert reply.usage.requests == len(answers) + 1 == server.tally.asked.total()
    return waits.seconds


async def test_retry_after_in_seconds_is_kept_to(tmp_path: Path) -> None:
    (wait,) = await _waits(tmp_path, error(429, headers={"Retry-After": "7"}))
    assert 7 <= wait <= 8


async def test_retry_after_as_a_date_is_kept_to(tmp_path: Path) -> None:
    (wait,) = await _waits(tmp_path, error(503, headers={"Retry-After": formatdate(time.time() + 250, usegmt=True)}))
    assert 80 <= wait <= 251


async def test_a_reset_in_milliseconds_since_1970_is_kept_to(tmp_path: Path) -> None:
    moment = str(int((time.time() + 250) * 1000))
    (wait,) = await _waits(tmp_path, error(429, headers={"X-RateLimit-Reset": moment}))
    assert 80 <= wait <= 251


async def test_a_reset_inside_the_error_body_is_kept_to(tmp_path: Path) -> None:
    """OpenRouter passes the upstream's headers on inside the body."""
    moment = str(int((time.time() + 250) * 1000))
    body = {"error": {"message": "limited", "code": 429, "metadata": {"headers": {"X-RateLimit-Reset": moment}}}}
    (wait,) = await _waits(tmp_path, error(429, body))
    assert 80 <= wait <= 251


async def test_a_span_until_the_reset_is_kept_to(tmp_path: Path) -> None:
    (wait,) = await _waits(tmp_path, error(429, headers={"x-ratelimit-reset-requests": "1m30s"}))
    assert 90 <= wait <= 91


async def test_without_a_word_from_the_server_the_waits_double_with_jitter(tmp_path: Path) -> None:
    waits = await _waits(tmp_path, *[error(500)] * 6, first_wait_s=1, max_wait_s=10)
    ceilings = [1, 2, 4, 8, 10, 10]
    assert all(ceiling / 2 <= wait <= ceiling for wait, ceiling in zip(waits, ceilings, strict=True))
    assert waits != await _waits(tmp_path / "again", *[error(500)] * 6, first_wait_s=1, max_wait_s=10)


async def test_those_turned_away_together_do_not_come_back_together() -> None:
    waits = Waits()

    async def limited() -> None:
        raise RateLimited("slow down", retry_after_s=10)

    for _ in range(20):
        with pytest.raises(RateLimited):
            await persist(limited, RetryPolicy(max_attempts=2), sleep=waits)
    assert len(set(waits.seconds)) == 20


async def test_a_wait_beyond_the_cap_ends_the_call_at_once_and_says_so(tmp_path: Path) -> None:
    waits = Waits()
    with ModelServer(lambda _: error(429, headers={"Retry-After": "3600"})) as server:
        async with opened(server, tmp_path / "store.db", sleep=waits) as client:
            with pytest.raises(RateLimited) as caught:
                await client.complete(ask())
    assert caught.value.retry_after_s == 3600
    assert caught.value.requests == 1
    assert waits.seconds == []


@pytest.mark.parametrize(("asked", "waited"), [(300.0, True), (300.5, False)])
async def test_the_longest_wait_is_waited_and_nothing_above_it(asked: float, waited: bool) -> None:
    waits = Waits()

    async def limited() -> None:
        raise RateLimited("slow down", retry_after_s=asked)

    with pytest.raises(RateLimited) as caught:
        await persist(limited, RetryPolicy(max_attempts=2, max_total_s=1000), sleep=waits)
    assert isinstance(caught.value, ServerWait) is not waited
    assert caught.value.requests == 1 + waited
    assert [asked <= wait <= asked + 1 for wait in waits.seconds] == [True] * waited


async def test_no_attempt_starts_after_the_total_time() -> None:
    """The time is the policy's clock: real seconds, of which a wait of 5 s would use up all."""
    waits = Waits()

    async def failing() -> None:
        raise ServerFailure("down", retry_after_s=5)

    with pytest.raises(ServerFailure) as caught:
        await persist(failing, RetryPolicy(max_total_s=4), sleep=waits)
    assert caught.value.requests == 1
    assert waits.seconds == []


async def test_attempts_are_capped() -> None:
    waits = Waits()

    async def failing() -> None:
        raise ServerFailure("down")

    with pytest.raises(ServerFailure) as caught:
        await persist(failing, RetryPolicy(max_attempts=5), sleep=waits)
    assert (caught.value.requests, len(waits.seconds)) == (5, 4)


async def test_the_last_failure_is_the_one_raised(tmp_path: Path) -> None:
    with ModelServer(in_turn(error(500), error(401))) as server:
        async with opened(server, tmp_path / "store.db") as client:
            with pytest.raises(WrongKey) as caught:
                await client.complete(ask())
    assert caught.value.requests == 2


async def test_each_retry_is_told() -> None:
    told: list[tuple[str, int, float]] = []

    async def failing() -> None:
        raise ServerFailure("down", retry_after_s=1)

    def tell(failure: ChatError, attempts: int, wait_s: float) -> None:
        told.append((failure.kind, attempts, wait_s))

    waits = Waits()
    with pytest.raises(ServerFailure):
        await persist(failing, RetryPolicy(max_attempts=3), sleep=waits, before_sleep=tell)
    assert told == [("server_failure", 1, waits.seconds[0]), ("server_failure", 2, waits.seconds[1])]


async def test_a_bug_is_not_retried() -> None:
    async def broken() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await persist(broken, RetryPolicy(), sleep=Waits())
