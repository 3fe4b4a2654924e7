"""Room for requests in one process, event by event: how the limit grows, falls and opens again, and who goes first."""

from __future__ import annotations

import asyncio
import gc

import pytest

from blocks.chat.adaptive import (
    FIRST,
    NEVER,
    QUIET_S,
    Adaptive,
    ClosedForLong,
    Leave,
    give_back_adaptive,
    share_adaptive,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def filled(adaptive: Adaptive) -> list[Leave]:
    """Enters as many as are let in."""
    return [await adaptive.enter() for _ in range(adaptive.limit - adaptive.in_flight)]


async def grown(clock: Clock, limit: int) -> Adaptive:
    """One that has grown to a limit, with nothing under way."""
    adaptive = Adaptive(clock)
    while adaptive.limit < limit:
        leaves = await filled(adaptive)
        adaptive.leave(leaves[0], answered=True)
        for leave in leaves[1:]:
            adaptive.leave(leave, answered=False)
    assert (adaptive.limit, adaptive.in_flight) == (limit, 0)
    return adaptive


# The limit


@pytest.mark.parametrize(
    ("under_way", "turned_away", "left"),
    [
        # What the server did take, but at most 85 % and at least a quarter of what was under way.
        (16, 1, 13), (16, 2, 13), (16, 3, 13), (16, 4, 12), (16, 6, 10), (16, 11, 5), (16, 12, 4), (16, 16, 4),
        (20, 1, 17), (20, 20, 5), (7, 7, 1), (4, 1, 3), (4, 4, 1),
    ],
)  # fmt: skip
async def test_a_burst_leaves_what_was_taken_between_two_shares(
    clock: Clock, under_way: int, turned_away: int, left: int
) -> None:
    adaptive = await grown(clock, under_way)
    leaves = await filled(adaptive)
    for leave in leaves[:turned_away]:
        adaptive.turned_away(leave, 0.0)
    assert adaptive.limit == left
    assert adaptive.in_flight == under_way - turned_away


async def test_the_limit_never_falls_below_one(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    for _ in range(5):
        adaptive.turned_away((await filled(adaptive))[0], 0.0)
        while adaptive.in_flight:
            adaptive.leave(Leave(-1), answered=False)
    assert adaptive.limit == 1


async def test_each_episode_lets_it_fall_again_and_one_of_the_last_episode_does_not(clock: Clock) -> None:
    adaptive = await grown(clock, 16)
    leaves = await filled(adaptive)
    adaptive.turned_away(leaves[0], 0.0)
    assert adaptive.limit == 13
    for leave in leaves[2:]:
        adaptive.leave(leave, answered=False)
    fresh = await filled(adaptive)
    adaptive.turned_away(fresh[0], 0.0)
    limit = adaptive.limit
    assert limit < 13
    # A straggler of the first burst is late news.
    adaptive.turned_away(leaves[1], 0.0)
    assert adaptive.limit == limit


async def test_it_grows_with_answers_only_and_only_while_full(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    leaves = await filled(adaptive)
    adaptive.leave(leaves[0], answered=False)
    assert adaptive.limit == FIRST
    adaptive.leave(leaves[1], answered=True)
    assert adaptive.limit == FIRST, "there was room"
    leaves = [*leaves[2:], *(await filled(adaptive))]
    adaptive.leave(leaves[0], answered=True)
    assert adaptive.limit == FIRST + 1


async def rounds(adaptive: Adaptive, answers: int) -> int:
    """The limit after so many answers while it is used to the full."""
    for _ in range(answers):
        leaves = await filled(adaptive)
        adaptive.leave(leaves[0], answered=True)
        for leave in leaves[1:]:
            adaptive.leave(leave, answered=False)
    return adaptive.limit


async def test_after_an_episode_it_grows_by_one_a_round_up_to_below_what_was_turned_away(clock: Clock) -> None:
    adaptive = await grown(clock, 12)
    leaves = await filled(adaptive)
    for leave in leaves[:4]:
        adaptive.turned_away(leave, 0.0)
    for leave in leaves[4:]:
        adaptive.leave(leave, answered=True)
    # Eight were taken, the ninth was turned away: eight it stays, for as long as the episode is fresh.
    assert adaptive.limit == 8
    assert await rounds(adaptive, 200) == 8
    clock.now += QUIET_S - 1
    assert await rounds(adaptive, 200) == 8
    clock.now += 1
    assert await rounds(adaptive, 8) == 9
    # From then on a round of answers brings one more.
    assert await rounds(adaptive, 8) == 9
    assert await rounds(adaptive, 1) == 10


async def test_it_grows_back_to_just_below_the_level_that_was_turned_away(clock: Clock) -> None:
    adaptive = await grown(clock, 16)
    leaves = await filled(adaptive)
    adaptive.turned_away(leaves[0], 0.0)
    for leave in leaves[1:]:
        adaptive.leave(leave, answered=False)
    # Fifteen were taken, the sixteenth was not: from thirteen it grows to fifteen and stays.
    assert adaptive.limit == 13
    assert await rounds(adaptive, 12) == 13
    assert await rounds(adaptive, 1) == 14
    assert await rounds(adaptive, 14) == 15
    assert await rounds(adaptive, 100) == 15


# Closed times


async def test_nothing_is_sent_until_the_longest_wait_is_over(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    assert adaptive.close(10, "first") == clock.now + 10
    assert adaptive.close(3, "shorter") == clock.now + 3
    assert (adaptive.closed_s(), adaptive.said, adaptive.is_closed()) == (10, "first", True)
    adaptive.close(20, "longer")
    assert (adaptive.closed_s(), adaptive.said) == (20, "longer")
    clock.now += 19.5
    assert (adaptive.closed_s(), adaptive.is_closed()) == (0.5, True)
    clock.now += 0.5
    assert (adaptive.closed_s(), adaptive.is_closed()) == (0, False)
    clock.now += 5
    assert adaptive.closed_s() == 0


async def test_a_wait_of_nothing_closes_nothing(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    assert adaptive.close(0, "nothing") == clock.now
    assert (adaptive.closed_until, adaptive.said) == (NEVER, "")


async def test_a_rejection_closes_with_the_server_s_words(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    leave = await adaptive.enter()
    assert adaptive.turned_away(leave, 7, "slow down") == clock.now + 7
    assert (adaptive.closed_s(), adaptive.said) == (7, "slow down")


async def test_who_has_waited_out_a_closed_time_goes_though_others_still_wait(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    end = adaptive.close(10)
    assert adaptive.is_closed(end - 1)
    assert not adaptive.is_closed(end)
    await adaptive.enter(served_s=end)
    assert adaptive.in_flight == 1


async def test_a_wait_longer_than_the_patience_is_refused_at_once(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    end = adaptive.close(10)
    with pytest.raises(ClosedForLong):
        await adaptive.enter(patience_s=9.9)
    await adaptive.enter(end, 9.9)
    waiting = asyncio.ensure_future(adaptive.enter(patience_s=10))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert adaptive.in_flight == 1
    waiting.cancel()


async def test_those_with_too_little_patience_end_when_the_wait_becomes_longer(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    await filled(adaptive)
    waits = [asyncio.ensure_future(adaptive.enter(patience_s=patience)) for patience in (5, 50, 10, 500)]
    await asyncio.sleep(0)
    adaptive.close(10)
    await asyncio.sleep(0)
    assert [each.done() for each in waits] == [True, False, False, False]
    adaptive.close(60)
    await asyncio.sleep(0)
    assert [each.done() for each in waits] == [True, True, True, False]
    assert all(isinstance(each.exception(), ClosedForLong) for each in waits[:3])
    assert adaptive.in_flight == FIRST
    waits[3].cancel()


class Watcher:
    def __init__(self) -> None:
        self.told = 0

    def closed_for_longer(self) -> None:
        self.told += 1


async def test_those_who_share_it_are_told_of_each_longer_time_and_of_no_shorter_one(clock: Clock) -> None:
    adaptive, watcher = Adaptive(clock), Watcher()
    adaptive.watchers.add(watcher)
    for wait_s, told in ((0, 0), (5, 1), (3, 1), (8, 2)):
        adaptive.close(wait_s)
        assert watcher.told == told


async def test_it_opens_by_itself_when_the_time_is_over() -> None:
    adaptive = Adaptive(asyncio.get_running_loop().time)
    adaptive.close(0.05)
    await asyncio.wait_for(asyncio.gather(*(adaptive.enter() for _ in range(FIRST))), 60)
    assert adaptive.in_flight == FIRST
    assert not adaptive.is_closed()
    # And once more, with another timer.
    for _ in range(FIRST):
        adaptive.leave(Leave(-1), answered=False)
    adaptive.close(0.05)
    await asyncio.wait_for(adaptive.enter(), 60)


# Who goes first


async def test_the_first_to_come_goes_first_and_who_was_turned_away_before_all(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    leaves = await filled(adaptive)
    order: list[str] = []

    async def come(name: str, served_s: float = NEVER) -> None:
        await adaptive.enter(served_s)
        order.append(name)

    tasks = [asyncio.ensure_future(come(name)) for name in ("first", "second")]
    await asyncio.sleep(0)
    tasks.append(asyncio.ensure_future(come("again", clock.now - 1)))
    await asyncio.sleep(0)
    for leave in leaves[:3]:
        adaptive.leave(leave, answered=False)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert order == ["again", "first", "second"]
    assert adaptive.in_flight == FIRST
    await asyncio.gather(*tasks)


async def test_nobody_overtakes_who_waits_though_there_is_room_again(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    end = adaptive.close(10)
    waiting = asyncio.ensure_future(adaptive.enter())
    await asyncio.sleep(0)
    late = asyncio.ensure_future(adaptive.enter(end))
    await asyncio.sleep(0)
    assert not late.done()
    waiting.cancel()
    late.cancel()
    await asyncio.gather(waiting, late, return_exceptions=True)
    assert adaptive.in_flight == 0


async def test_who_is_let_in_belongs_to_the_episode_of_that_moment(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    leaves = await filled(adaptive)
    assert {leave.episode for leave in leaves} == {0}
    waiting = asyncio.ensure_future(adaptive.enter())
    await asyncio.sleep(0)
    adaptive.turned_away(leaves[0], 0.0)
    adaptive.leave(leaves[1], answered=False)
    assert (await waiting).episode == 1
    adaptive.leave(leaves[2], answered=False)
    assert (await adaptive.enter()).episode == 1


async def test_a_cancelled_waiter_gives_its_room_to_the_next(clock: Clock) -> None:
    adaptive = Adaptive(clock)
    leaves = await filled(adaptive)
    waits = [asyncio.ensure_future(adaptive.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    waits[0].cancel()
    await asyncio.sleep(0)
    adaptive.leave(leaves[0], answered=False)
    waits[1].cancel()
    await asyncio.sleep(0)
    await asyncio.wait_for(waits[2], 60)
    assert adaptive.in_flight == FIRST
    # Told that it is closed for long, and cancelled before it could go on: it never had any room.
    ended = asyncio.ensure_future(adaptive.enter(patience_s=1))
    await asyncio.sleep(0)
    adaptive.close(60)
    ended.cancel()
    await asyncio.gather(ended, return_exceptions=True)
    assert adaptive.in_flight == FIRST


# Sharing


async def test_clients_of_one_account_and_model_share_one_limit_until_the_last_is_gone() -> None:
    one, other = Watcher(), Watcher()
    shared = share_adaptive("account", "m", one)
    assert share_adaptive("account", "m", other) is shared
    elsewhere = [share_adaptive("account", "n", one), share_adaptive("another", "m", one)]
    assert shared not in elsewhere
    assert elsewhere[0] is not elsewhere[1]
    shared.close(60, "closed")
    assert (one.told, other.told) == (1, 1)
    give_back_adaptive("account", "m", one)
    shared.close(600)
    assert (one.told, other.told) == (1, 2)
    assert share_adaptive("account", "m", one) is shared
    give_back_adaptive("account", "m", one)
    give_back_adaptive("account", "m", other)
    fresh = share_adaptive("account", "m", one)
    assert fresh is not shared
    assert not fresh.is_closed()
    for account, model in (("account", "m"), ("account", "n"), ("another", "m"), ("nobody", "m")):
        give_back_adaptive(account, model, one)
    gc.collect()


def test_another_event_loop_finds_out_for_itself() -> None:
    async def closed() -> Adaptive:
        found = share_adaptive("account", "m", watcher)
        assert not found.is_closed()
        found.close(60)
        return found

    watcher = Watcher()
    assert asyncio.run(closed()) is not asyncio.run(closed())
