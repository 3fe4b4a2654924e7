"""What a model call costs on our side, journal, limits and budget included, against a bare httpx loop; and 429s."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from blocks.chat.admission import Rules
from blocks.chat.budget import BudgetPlan, Caps
from blocks.chat.dialects import dialect_for
from blocks.chat.limits import Limits
from blocks.chat.models import ChatRequest, Message
from tests.benchmarks.report import Row, print_table
from tests.benchmarks.sizes import size
from tests.support.chat import ask, opened
from tests.support.model_server import ModelProcess

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

IN_FLIGHT = 100
CALLS = size(500, 20)
ROUNDS = size(3, 1)
CROWD = size(300, 20)
SCRIPT = """
from tests.support.model_answers import Answer
def behave(ask):
    return Answer(content="x" * 1000, delay_s=0.1)
"""


RULES = Rules(
    Limits(requests_per_minute=10**6, tokens_per_minute=10**9), BudgetPlan(day=Caps(requests=10**6, tokens=10**9))
)
CROWDED = """
from tests.support.model_answers import Answer, error
def behave(ask):
    return Answer(delay_s=0.1) if ask.in_flight <= 10 else error(429, headers={"Retry-After": "1"})
"""


class Cost(NamedTuple):
    """Of one round of `CALLS` calls."""

    cpu_ms: float
    per_s: float


def _request(sample: int) -> ChatRequest:
    """A conversation of twelve messages, 20 KB."""
    turns = tuple(
        Message(role="assistant" if turn % 2 else "user", content=f"turn {turn} ".ljust(1_700, "x"))
        for turn in range(12)
    )
    return ask(messages=turns, sample=sample)


async def _measure(call: Callable[[int], Awaitable[object]], first: int) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(call(number) for number in range(first, first + CALLS)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Cost(1000 * cpu / CALLS, CALLS / wall)


async def test_cost_of_a_call(tmp_path: Path) -> None:
    script = tmp_path / "behave.py"
    script.write_text(SCRIPT)
    with ModelProcess(tmp_path / "calls.jsonl", script) as server:
        async with (
            opened(server.base_url, tmp_path / "store.db", max_in_flight=IN_FLIGHT, rules=RULES) as client,
            httpx.AsyncClient(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=None)) as bare,
        ):
            slots = asyncio.Semaphore(IN_FLIGHT)
            dialect = dialect_for("compatible")

            async def ours(number: int) -> object:
                return await client.complete(_request(number))

            async def theirs(number: int) -> object:
                async with slots:
                    body = dialect.body(_request(number), {})
                    return (await bare.post(f"{server.base_url}/chat/completions", json=body)).json()

            rounds = range(CALLS, CALLS * (ROUNDS + 1), CALLS)
            await _measure(ours, 0)
            await _measure(theirs, 0)
            costs = [(await _measure(ours, first), await _measure(theirs, first)) for first in rounds]
            replayed = await _measure(ours, CALLS)
    our_cpu, bare_cpu = (statistics.median(pair[side].cpu_ms for pair in costs) for side in (0, 1))
    our_rate, bare_rate = (statistics.median(pair[side].per_s for pair in costs) for side in (0, 1))
    print_table(
        f"{CALLS} calls of 20 KB, {IN_FLIGHT} in flight, 100 ms latency; medians of {ROUNDS} rounds",
        [
            Row("CPU of a call, journal, limits and budget included", f"{our_cpu:.2f} ms", "5 ms", our_cpu <= 5),
            Row("CPU of a call, bare httpx loop", f"{bare_cpu:.2f} ms"),
            Row("calls a second", f"{our_rate:.0f}"),
            Row("calls a second, bare httpx loop", f"{bare_rate:.0f}"),
            Row("ours : bare", f"{our_rate / bare_rate:.0%}", "90 %", our_rate >= 0.9 * bare_rate),
            Row("CPU of a call that the journal answers", f"{replayed.cpu_ms:.2f} ms"),
        ],
    )


async def test_a_crowd_of_calls_to_a_server_that_takes_ten_at_once(tmp_path: Path) -> None:
    script = tmp_path / "behave.py"
    script.write_text(CROWDED)
    seconds, rejections = [], []
    with ModelProcess(tmp_path / "calls.jsonl", script) as server:
        for number in range(ROUNDS):
            before = server.tally.asked.total()
            store = tmp_path / f"{number}.db"
            # Another account each time, so that nothing is known of the server.
            async with opened(
                server.base_url, store, max_in_flight=100, sleep=asyncio.sleep, key=f"sk-round-{number}"
            ) as client:
                started = time.perf_counter()
                await asyncio.gather(
                    *(client.complete(ask(f"round {number} question {each}")) for each in range(CROWD))
                )
                seconds.append(time.perf_counter() - started)
            rejections.append(server.tally.asked.total() - before - CROWD)
    print_table(
        f"{CROWD} calls, 100 ms each, ten at once else 429 and Retry-After: 1; {ROUNDS} rounds",
        [
            Row(
                f"seconds, median (ideal {CROWD / 100:.1f})",
                f"{statistics.median(seconds):.1f}",
                "5",
                statistics.median(seconds) <= 5,
            ),
            Row("calls turned away, most", f"{max(rejections)}", "30", max(rejections) <= 30),
        ],
    )
