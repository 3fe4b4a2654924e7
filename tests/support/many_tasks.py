"""A flow of many tasks that do nothing: `python -m tests.support.many_tasks COUNT`; writes the id of its run."""

from __future__ import annotations

import asyncio
import sys

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect import flow, task
from prefect.runtime import flow_run

AT_ONCE = 100


@task(name="nothing")
async def nothing(number: int) -> int:
    """Does nothing."""
    return number


@flow(name="many-tasks")
async def many_tasks(count: int) -> str:
    """Runs the tasks, some at once."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with places:
            await nothing(number)

    await asyncio.gather(*(one(number) for number in range(count)))
    return str(flow_run.id)


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(many_tasks(int(sys.argv[1]))) + "\n")
