"""The questions of an episode run: those the user named or, where there is none, the first ones made from templates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from blocks.errors import UserError
from blocks.held import when_free
from blocks.sandboxes import SandboxPool
from flows.generation.generating import generate
from flows.generation.recipes import Recipe
from flows.generation.shelf import Shelf, SourceReport
from flows.generation.workplace import workplace_at
from flows.tables.dataset import Dataset
from flows.tables.opening import table_of
from flows.verification.batch import Asked, gather_questions

FIRST_QUESTIONS = 20
"""Template questions made for a dataset of which nothing is asked."""


async def gather_or_make(
    dataset: Dataset, questions: str | None, ask: Sequence[str], home: Path, sandboxes: SandboxPool,
    tell: Callable[[str], None],
) -> Asked:  # fmt: skip
    """The questions named by the user; where there is none, template questions are made of the dataset first.

    Args:
        dataset: The dataset.
        questions: A question file, if one was named.
        ask: Questions in plain words.
        home: TRIGPOINT_HOME.
        sandboxes: Where the templates' programs run.
        tell: Told where another run makes questions about the dataset, which is waited for.

    Raises:
        UserError: A file cannot be used at all, or the dataset gives no template question.
        TrigpointError: The sandbox failed while questions were made.
    """
    file = Path(questions) if questions else None
    asked = gather_questions(dataset, file, ask, home)
    if asked.questions or file is not None:
        return asked
    shelf = Shelf.of(home, dataset)
    async with when_free(shelf.alone, shelf.path, tell):
        made = await _make(sandboxes, dataset, home, shelf)
    if not made.questions:
        why = f"; of {made.proposed} that were tried none has an answer worth asking for" if made.proposed else ""
        raise UserError(
            f"There is no question for {dataset.path}, and no template fits it{why}.",
            'Give --questions FILE or --ask "…".',
        )
    return gather_questions(dataset, None, (), home)


async def _make(sandboxes: SandboxPool, record: Dataset, home: Path, shelf: Shelf) -> SourceReport:
    """Put template questions on the shelf of a dataset of which nothing is asked; once for each state of it.

    Raises:
        TrigpointError: As `workplace_at`; or the question file is there and cannot be used.
    """
    recipe = Recipe(source="template", most=FIRST_QUESTIONS)
    key = recipe.key(record.content, await sandboxes.runtime.identity(), None)
    done = await asyncio.to_thread(shelf.done, key)
    if done is not None:
        return done
    async with table_of(sandboxes, record, home) as table:
        batch = await generate(recipe, await workplace_at(table), key)
    return await asyncio.to_thread(shelf.put, batch)
