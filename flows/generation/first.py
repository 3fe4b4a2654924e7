"""The questions of an episode run: those the user named or, where there is none, the first ones made from templates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from blocks.errors import UserError
from blocks.held import when_free
from flows.generation.generating import generate
from flows.generation.recipes import Recipe
from flows.generation.shelf import Shelf, SourceReport
from flows.generation.workplace import Sandboxes, open_workplace
from flows.tables.dataset import Dataset
from flows.verification.batch import Asked, gather_questions

FIRST_QUESTIONS = 20
"""Template questions made for a dataset of which nothing is asked."""


async def gather_or_make(
    dataset: Dataset, questions: str | None, ask: Sequence[str], home: Path, sandboxes: Sandboxes, image_digest: str,
    tell: Callable[[str], None],
) -> Asked:  # fmt: skip
    """The questions named by the user; where there is none, template questions are made of the dataset first.

    Args:
        dataset: The dataset.
        questions: A question file, if one was named.
        ask: Questions in plain words.
        home: TRIGPOINT_HOME.
        sandboxes: Where the templates' programs run.
        image_digest: What those sandboxes are made of.
        tell: Told where another run makes questions about the dataset, which is waited for.

    Raises:
        UserError: A file cannot be used at all, or the dataset gives no template question.
        TrigpointError: The sandbox failed while questions were made.
    """
    file = Path(questions) if questions else None
    asked = gather_questions(dataset, file, ask, home)
    if asked.questions or file is not None:
        return asked
    shelf = Shelf(home / "questions", dataset.slug, dataset.key)
    async with when_free(shelf.alone, shelf.path, tell):
        made = await _make(sandboxes, image_digest, dataset, shelf)
    if not made.questions:
        why = f"; of {made.proposed} that were tried none has an answer worth asking for" if made.proposed else ""
        raise UserError(
            f"There is no question for {dataset.path}, and no template fits it{why}.",
            'Give --questions FILE or --ask "…".',
        )
    return gather_questions(dataset, None, (), home)


async def _make(sandboxes: Sandboxes, image_digest: str, record: Dataset, shelf: Shelf) -> SourceReport:
    """Put template questions on the shelf of a dataset of which nothing is asked; once for each state of it.

    Raises:
        TrigpointError: As `open_workplace`; or the question file is there and cannot be used.
    """
    recipe = Recipe(source="template", most=FIRST_QUESTIONS)
    key = recipe.key(record.key, image_digest, None)
    done = await asyncio.to_thread(shelf.done, key)
    if done is not None:
        return done
    async with open_workplace(sandboxes, record) as place:
        batch = await generate(recipe, place, key)
    return await asyncio.to_thread(shelf.put, batch)
