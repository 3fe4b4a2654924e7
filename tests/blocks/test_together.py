"""Work done together: results in order, the first failure as it is, nothing left running."""

from __future__ import annotations

import asyncio

import pytest

from blocks.errors import SandboxError
from blocks.together import together


async def test_results_come_in_the_order_asked() -> None:
    async def late(value: int) -> int:
        await asyncio.sleep(0.01 * (3 - value))
        return value

    assert await together(late(value) for value in range(3)) == [0, 1, 2]
    assert await together([]) == []


async def test_a_failure_is_raised_bare_and_ends_the_others() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    async def fails() -> None:
        await asyncio.sleep(0)
        raise SandboxError("gone")

    with pytest.raises(SandboxError, match="gone"):
        await together([waits(), fails(), waits()])
    assert ended == ["cancelled", "cancelled"]
