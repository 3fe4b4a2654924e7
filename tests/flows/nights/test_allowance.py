"""What a night has left: no question more than allowed, none lost while somebody could still ask it."""

from __future__ import annotations

import asyncio

from flows.nights.allowance import Allowance


async def test_shares_never_add_up_to_more_than_the_budget() -> None:
    allowance = Allowance(10, 3600)
    given = [await allowance.grant(4), await allowance.grant(4), await allowance.grant(4)]
    assert given == [4, 4, 2]


async def test_what_was_not_asked_goes_to_who_waits() -> None:
    allowance = Allowance(4, 3600)
    assert await allowance.grant(9) == 4
    waiting = asyncio.create_task(allowance.grant(2))
    await asyncio.sleep(0)
    assert not waiting.done(), "somebody may still give some back"
    await allowance.settle(4, 1)
    assert await waiting == 2
    await allowance.settle(2, 2)
    assert await allowance.grant(5) == 1


async def test_nothing_is_granted_once_all_is_asked() -> None:
    allowance = Allowance(3, 3600)
    assert await allowance.grant(3) == 3
    waiting = asyncio.create_task(allowance.grant(1))
    await asyncio.sleep(0)
    await allowance.settle(3, 3)
    assert await waiting == 0


async def test_more_than_granted_is_not_given_back_as_less_than_nothing() -> None:
    allowance = Allowance(5, 3600)
    await allowance.grant(2)
    await allowance.settle(2, 4)
    assert await allowance.grant(9) == 3


def test_the_window_closes() -> None:
    now = 100.0
    allowance = Allowance(1, 60, clock=lambda: now)
    assert not allowance.over
    now = 160.0
    assert allowance.over
