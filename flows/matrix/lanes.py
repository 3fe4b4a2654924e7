"""Rows at work: a fixed number of workers for each provider, each taking the next row when it can begin at once."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from blocks.together import together
from flows.matrix.options import PROVIDERS, ExperimentOptions
from flows.matrix.sheet import Row, Sheet


class Work(Protocol):
    """What is done with each row; what it raises ends all."""

    async def __call__(self, row: Row, *, again: bool) -> float | None:
        """Do it; seconds put the row aside, to be taken up not before they are over.

        Args:
            row: The row.
            again: Whether it was put aside before.
        """
        ...


class _Aside:
    """Rows that were put aside in one round."""

    def __init__(self) -> None:
        self.numbers = array("Q")
        self.pause_s = math.inf

    def add(self, row: Row, seconds: float) -> None:
        self.numbers.append(row.number)
        self.pause_s = min(self.pause_s, seconds)


class Lanes:
    """Does the work of every row of an experiment.

    A provider's rows are a lane with a cursor of its own, so a slow provider's rows keep nobody else's waiting, and a
    worker takes its place under the common limit before it takes a row: no row waits with a place in its hands. What
    was put aside, because its model is away, is taken up when the rest of the lane is done: eight bytes a row.

    Args:
        sheet: The rows.
        options: How many at once.
        work: Done with each row.
    """

    def __init__(self, sheet: Sheet, options: ExperimentOptions, work: Work) -> None:
        self._sheet, self._options, self._work = sheet, options, work
        self._free = asyncio.Semaphore(1 if options.sequential else options.max_concurrent)

    async def run(self) -> None:
        """Work through all of them."""
        if self._options.sequential:
            await self._lane(None, 1)
            return
        known = [(provider.__eq__, self._workers(provider)) for provider in PROVIDERS]
        # Rows of no known provider only say so.
        lanes = [*known, (lambda provider: provider not in PROVIDERS, 1)]
        await together(self._lane(of, workers) for of, workers in lanes if workers)

    async def _lane(self, of: Callable[[str], bool] | None, workers: int) -> None:
        rows, again = self._sheet.rows(of), False
        while True:
            aside = _Aside()
            await together(self._worker(rows, again, aside) for _ in range(workers))
            if not aside.numbers:
                return
            await asyncio.sleep(aside.pause_s)
            rows, again = _only(self._sheet.rows(of), aside.numbers), True

    async def _worker(self, rows: Iterator[Row], again: bool, aside: _Aside) -> None:
        while True:
            async with self._free:
                row = next(rows, None)
                if row is None:
                    return
                seconds = await self._work(row, again=again)
                if seconds is not None:
                    aside.add(row, seconds)
                # A row that is done already waits for nothing, and thousands of them must not keep calls waiting.
                await asyncio.sleep(0)

    def _workers(self, provider: str) -> int:
        options = self._options
        return min(options.concurrency(provider), options.max_concurrent, self._sheet.providers[provider])


def _only(rows: Iterator[Row], numbers: array[int]) -> Iterator[Row]:
    """Those of some numbers."""
    wanted = iter(np.sort(np.frombuffer(numbers, dtype=np.uint64)).tolist())
    number = next(wanted, None)
    for row in rows:
        if row.number == number:
            yield row
            number = next(wanted, None)
            if number is None:
                return
