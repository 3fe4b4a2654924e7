"""The first questions about a dataset of which the user asks nothing: made from templates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from blocks.errors import UserError
from blocks.held import when_free
from flows.generation.generating import generate
from flows.generation.recipes import Recipe
from flows.generation.shelf import Shelf, SourceReport
from flows.generation.workplace import workplace_at
from flows.tables.opening import Table
from flows.verification.batch import Asked, gather_questions

FIRST_QUESTIONS = 20
"""Template questions made for a dataset of which nothing is asked."""


async def make_first_questions(table: Table, home: Path, tell: Callable[[str], None]) -> Asked:
    """Template questions about a table of which nothing is asked; made once for each state of it.

    Args:
        table: The table; its sandbox is opened where questions are to be made.
        home: TRIGPOINT_HOME.
        tell: Told where another run makes questions about the dataset, which is waited for.

    Raises:
        UserError: The dataset gives no template question.
        TrigpointError: The sandbox failed while questions were made, or the question file cannot be used.
    """
    dataset = table.dataset
    shelf = Shelf.of(home, dataset)
    async with when_free(shelf.alone, shelf.path, tell):
        made = await _make(table, shelf)
    if not made.questions:
        why = f"; of {made.proposed} that were tried none has an answer worth asking for" if made.proposed else ""
        raise UserError(
            f"There is no question for {dataset.path}, and no template fits it{why}.",
            'Give --questions FILE or --ask "…".',
        )
    return gather_questions(dataset, None, (), home)


async def _make(table: Table, shelf: Shelf) -> SourceReport:
    recipe = Recipe(source="template", most=FIRST_QUESTIONS)
    key = recipe.key(table.dataset.content, table.image_digest, None)
    done = await asyncio.to_thread(shelf.done, key)
    if done is not None:
        return done
    batch = await generate(recipe, await workplace_at(table), key)
    return await asyncio.to_thread(shelf.put, batch)
