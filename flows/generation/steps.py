"""One source's part in a dataset's questions: what it is keyed by, how it is made, and how it comes onto the shelf."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol

from flows.generation.generating import generate
from flows.generation.recipes import Asking, Batch, Recipe, Workplace
from flows.generation.rewording import reword, rewording_key
from flows.generation.shelf import Shelf, SourceReport
from flows.questions.contamination import Benchmarks
from flows.questions.records import Question
from flows.tables.dataset import Dataset


class MakeBatch(Protocol):
    """Makes a batch under a name, or takes the one that an earlier run made by the same key."""

    async def __call__(self, name: str, key: str, make: Callable[[str], Awaitable[Batch]]) -> Batch:
        """The batch of a key."""
        ...


class Step(NamedTuple):
    """A source's questions, to be made or found.

    Attributes:
        recipe: The source, and how.
        key: Identity of its questions.
        asking: How a model puts them into its words, where it is to.
        benchmarks: Questions that none may repeat.
        others: Questions of other sources that a model's may not repeat.
    """

    recipe: Recipe
    key: str
    asking: Asking | None
    benchmarks: Benchmarks | None
    others: tuple[Question, ...]

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        dataset: Dataset,
        shelf: Shelf,
        *,
        image_digest: str,
        benchmarks: Benchmarks | None,
        wording: Asking | None,
    ) -> Step:
        """The step of a recipe, as the shelf stands when its turn comes.

        Args:
            recipe: The source, and how.
            dataset: About which dataset.
            shelf: Where its questions are kept.
            image_digest: What the sandbox is made of.
            benchmarks: Questions that none may repeat.
            wording: How a model is to put template and program questions into its words; None: not at all.
        """
        by_model = recipe.source == "llm"
        others = tuple(each for each in shelf.questions() if each.source != "llm") if by_model else ()
        key = recipe.key(dataset.key, image_digest, benchmarks, others)
        return cls(recipe, key, None if by_model else wording, benchmarks, others)

    @property
    def outcome_key(self) -> str:
        """Identity of what will be on the shelf in the end."""
        return self.key if self.asking is None else rewording_key(self.key, self.asking)

    async def make(
        self, name: str, place: Workplace, shelf: Shelf, through: MakeBatch, advance: Callable[[str, int], None]
    ) -> SourceReport:
        """Make the questions and put them on the shelf; the plain words first, should the model fail.

        Args:
            name: Dataset and source.
            place: The dataset in its sandbox.
            shelf: Where they go.
            through: Makes each batch, or finds it made.
            advance: Told of each candidate or question that is decided: the batch's name, and how many there are.
        """
        batch = await through(name, self.key, partial(self._generate, place._replace(advance=partial(advance, name))))
        entry = await asyncio.to_thread(shelf.put, batch)
        if self.asking is None:
            return entry
        name = f"{name}/wording"
        place = place._replace(advance=partial(advance, name))
        work = partial(reword, batch, self.asking, self.benchmarks, place)
        return await asyncio.to_thread(shelf.put, await through(name, self.outcome_key, work))

    async def _generate(self, place: Workplace, key: str) -> Batch:
        return await generate(self.recipe, place, key, self.benchmarks, self.others)
