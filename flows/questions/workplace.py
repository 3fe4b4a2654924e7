"""Where candidates are proven: a dataset opened in a sandbox and profiled; and the first questions of a dataset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from blocks.sandboxes import Sandbox, Session
from flows.questions.generating import Recipe, Workplace, generate
from flows.questions.shelf import Shelf, SourceReport
from flows.tables.dataset import Dataset
from flows.tables.profiling import profile_dataset

FIRST_QUESTIONS = 20
"""Template questions made for a dataset of which nothing is asked."""
_PARALLEL = 4


class Sandboxes(Protocol):
    """What is needed of a pool."""

    def open(self, dataset: Path) -> AbstractAsyncContextManager[Sandbox]:
        """Open a sandbox on a dataset."""
        ...


@asynccontextmanager
async def open_workplace(
    sandboxes: Sandboxes, record: Dataset, *, parallel: int = _PARALLEL, advance: Callable[[int], None] = lambda _: None
) -> AsyncIterator[Workplace]:
    """Open a dataset's sandbox and profile it, for the length of the body.

    Args:
        sandboxes: The pool.
        record: The dataset.
        parallel: Candidates proven at once; each needs one session at a time.
        advance: Told of each decided candidate, with how many there are.

    Raises:
        DatasetError: The file is no table that can be loaded or profiled.
        SandboxError: The sandbox failed.
        SandboxUnavailable: The runtime cannot be used here.
    """
    async with sandboxes.open(record.path) as sandbox:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Session]:
            async with await sandbox.session() as session:
                yield session

        async with opened() as session:
            profile = await profile_dataset(session)
        yield Workplace(profile, record.key, opened, parallel, advance)


async def make_first_questions(sandboxes: Sandboxes, image_digest: str, record: Dataset, home: Path) -> SourceReport:
    """Put template questions on the shelf of a dataset of which nothing is asked; once for each state of it.

    Raises:
        TrigpointError: As `open_workplace`; or the question file is there and cannot be used.
    """
    recipe = Recipe(source="template", most=FIRST_QUESTIONS)
    key = recipe.key(record.key, image_digest, None)
    shelf = Shelf(home / "questions", record.slug, record.key)
    done = await asyncio.to_thread(shelf.done, key)
    if done is not None:
        return done
    async with open_workplace(sandboxes, record) as place:
        batch = await generate(recipe, place, key)
    return await asyncio.to_thread(shelf.put, batch)
