"""Rows at work: a fixed number of workers for each provider, each taking the next row when it can begin at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from blocks.together import together
from flows.matrix.options import PROVIDERS, ExperimentOptions
from flows.matrix.sheet import Row, Sheet

Work = Callable[[Row], Awaitable[None]]


async def work_through(sheet: Sheet, options: ExperimentOptions, work: Work) -> None:
    """Do the work of every row.

    A provider's rows are a lane with a cursor of its own, so a slow provider's rows keep nobody else's waiting, and a
    worker takes its place under the common limit before it takes a row: no row waits with a place in its hands.

    Args:
        sheet: The rows.
        options: How many at once.
        work: Done with each row; what it raises ends all.
    """
    if options.sequential:
        for row in sheet.rows():
            await work(row)
        return
    free = asyncio.Semaphore(options.max_concurrent)

    async def worker(rows: Iterator[Row]) -> None:
        while True:
            async with free:
                row = next(rows, None)
                if row is None:
                    return
                await work(row)
                # A row that is done already waits for nothing, and thousands of them must not keep calls waiting.
                await asyncio.sleep(0)

    lanes = [(sheet.rows(provider.__eq__), _workers(sheet, options, provider)) for provider in PROVIDERS]
    # Rows of no known provider only say so.
    lanes.append((sheet.rows(lambda provider: provider not in PROVIDERS), 1))
    await together(worker(rows) for rows, count in lanes for _ in range(count))


def _workers(sheet: Sheet, options: ExperimentOptions, provider: str) -> int:
    return min(options.concurrency(provider), options.max_concurrent, sheet.providers[provider])
