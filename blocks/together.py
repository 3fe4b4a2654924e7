"""Several pieces of work at once, of which the first failure ends the others and is raised as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results, in order.

    `asyncio.gather` would leave the others running after a failure, a task group would wrap the failure so that no
    caller's `except` finds it.

    Args:
        work: Coroutines, all started at once.

    Raises:
        Exception: The first that any of them raised; the others are cancelled and awaited before.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
