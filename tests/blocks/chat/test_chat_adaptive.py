"""How many calls go at once: found out from the server's rejections, with few of them and no work lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from blocks.chat.adaptive import FIRST, QUIET_S, Adaptive, Leave
from blocks.chat.errors import RateLimited
from tests.support.chat import ask, opened
from tests.support.model_answers import Answer, Ask, error, in_turn
from tests.support.model_server import ModelProcess, ModelServer, Tally

CROWDED = """
from tests.support.model_answers import Answer, error

def behave(ask):
    # At first each takes so long that more than ten are under way at once however slowly they are sent.
    good = Answer(delay_s=1.0 if ask.total <= 60 else 0.1)
    return good if ask.in_flight <= 10 else error(429, headers={"Retry-After": "1"})
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def _fill(adaptive: Adaptive) -> list[Leave]:
    """Enters as many as are let in."""
    leaves = []
    while adaptive.in_flight < adaptive.limit:
        leaves.append(await adaptive.enter())
    return leaves


async def _grown(adaptive: Adaptive, limit: int) -> None:
    """Answers until the limit is reached."""
    while adaptive.limit < limit:
        for leave in await _fill(adaptive):
            if adaptive.limit < limit:
                adaptive.leave(leave, answered=True)
            else:
                adaptive.leave(leave, answered=False)


async def test_it_doubles_a_round_while_used_to_the_full(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    for leave in await _fill(adaptive):
        adaptive.leave(leave, answered=True)
        await adaptive.enter()
        if adaptive.in_flight < adaptive.limit:
            await adaptive.enter()
    assert adaptive.limit == 2 * FIRST


async def test_it_does_not_grow_while_there_is_room(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    for _ in range(100):
        adaptive.leave(await adaptive.enter(), answered=True)
    assert adaptive.limit == FIRST


async def test_a_burst_of_rejections_is_one_episode(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    await _grown(adaptive, 16)
    leaves = await _fill(adaptive)
    for leave in leaves[:6]:
        adaptive.turned_away(leave, 1.0)
    assert adaptive.limit == 10, "what the server did take"
    for leave in leaves[6:]:
        adaptive.leave(leave, answered=True)
    assert adaptive.limit == 10, "answers to requests from before the episode say nothing about the level after it"


async def test_all_turned_away_leaves_a_quarter(clock: Clock) -> None:
    """As by a limit of requests per minute, which says nothing about how many may be under way."""
    adaptive = Adaptive(clock)
    await _grown(adaptive, 16)
    for leave in await _fill(adaptive):
        adaptive.turned_away(leave, 1.0)
    assert adaptive.limit == 4


async def test_the_level_that_was_turned_away_is_tried_again_only_after_a_while(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    await _grown(adaptive, 12)
    for number, leave in enumerate(await _fill(adaptive)):
        if number < 2:
            adaptive.turned_away(leave, 0.0)
        else:
            adaptive.leave(leave, answered=True)

    async def rounds() -> None:
        for _ in range(20):
            for leave in await _fill(adaptive):
                adaptive.leave(leave, answered=True)
                await adaptive.enter()
            while adaptive.in_flight:
                adaptive.leave(Leave(-1), answered=False)

    await rounds()
    assert adaptive.limit == 10
    clock.now += QUIET_S
    await rounds()
    assert adaptive.limit > 10


async def test_300_calls_to_a_server_that_takes_ten_at_once(tmp_path: Path) -> None:
    """Few are turned away, and each call is answered once."""
    script = tmp_path / "behave.py"
    script.write_text(CROWDED)
    log = tmp_path / "calls.jsonl"
    with ModelProcess(log, script) as server:
        async with opened(server.base_url, tmp_path / "store.db", max_in_flight=100, sleep=asyncio.sleep) as client:
            replies = await asyncio.gather(*(client.complete(ask(f"question {number}")) for number in range(300)))
    # It notes an answer after sending it: only once it has ended are all noted.
    tally = Tally.read(log)
    assert len({reply.key for reply in replies}) == tally.answered.total() == 300
    assert sum(reply.usage.requests for reply in replies) == tally.asked.total()
    assert 0 < tally.asked.total() - 300 <= 30


async def test_nobody_is_sent_while_one_waits_out_what_it_was_told(tmp_path: Path) -> None:
    came_s: list[float] = []

    def behave(it: Ask) -> Answer:
        came_s.append(time.monotonic())
        return error(429, headers={"Retry-After": "2"}) if it.total == 1 else Answer(delay_s=0.5)

    with ModelServer(behave) as server:
        async with opened(server, tmp_path / "store.db", max_in_flight=50, sleep=asyncio.sleep) as client:
            await asyncio.gather(*(client.complete(ask(f"question {number}")) for number in range(30)))
        turned_away = server.asks[0].key
        again = next(place for place, it in enumerate(server.asks) if it.key == turned_away and it.number == 2)
    assert sum(came < came_s[0] + 2 for came in came_s) <= FIRST, "only those on their way when it was told"
    assert max(it.in_flight for it in server.asks[:again]) <= FIRST


async def test_all_calls_wait_out_what_one_was_asked_to(tmp_path: Path) -> None:
    """A wait longer than any call would take ends those too that have not been sent."""
    with ModelServer(in_turn(error(429, headers={"Retry-After": "3600"}))) as server:
        async with opened(server, tmp_path / "store.db") as client:
            with pytest.raises(RateLimited):
                await client.complete(ask("first"))
            with pytest.raises(RateLimited, match=r"to send nothing for 3\d{3} s") as caught:
                await client.complete(ask("second"))
        assert caught.value.requests == 0
        assert server.tally.asked.total() == 1


async def test_a_limit_that_is_used_up_is_heeded_before_anything_is_turned_away(tmp_path: Path) -> None:
    told = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h0m0s"}
    with ModelServer(in_turn(Answer(headers=told))) as server:
        async with opened(server, tmp_path / "store.db") as client:
            await client.complete(ask("first"))
            with pytest.raises(RateLimited, match="to send nothing for"):
                await client.complete(ask("second"))
        assert server.tally.asked.total() == 1


async def test_cancelled_waiters_leave_no_room_taken(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    leaves = await _fill(adaptive)
    waiting = [asyncio.ensure_future(adaptive.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    adaptive.leave(leaves[0], answered=False)
    # Let in and cancelled before it could go on.
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert waiting[2].done()
    assert not waiting[2].cancelled()
    assert adaptive.in_flight == FIRST
