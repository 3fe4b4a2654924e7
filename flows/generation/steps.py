"""The sources of a dataset's questions: what each is keyed by, how it is made, and how it comes onto the shelf."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from flows.generation.generating import generate
from flows.generation.recipes import Asking, Batch, Recipe, Workplace, told_digest
from flows.generation.rewording import reword, rewording_key
from flows.generation.shelf import Shelf, SourceReport
from flows.questions.contamination import Benchmarks
from flows.questions.records import Question
from flows.tables.opening import Table


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
        told: `told_digest` of what a model is told, where one is asked.
    """

    recipe: Recipe
    key: str
    asking: Asking | None
    benchmarks: Benchmarks | None
    others: tuple[Question, ...]
    told: str

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        table: Table,
        shelf: Shelf,
        *,
        benchmarks: Benchmarks | None,
        wording: Asking | None,
    ) -> Step:
        """The step of a recipe, as the shelf stands when its turn comes.

        Args:
            recipe: The source, and how.
            table: Of which dataset.
            shelf: Where its questions are kept.
            benchmarks: Questions that none may repeat.
            wording: How a model is to put template and program questions into its words; None: not at all.
        """
        by_model = recipe.source == "llm"
        others = tuple(each for each in shelf.questions() if each.source != "llm") if by_model else ()
        asked = recipe.asking if by_model else wording
        told = told_digest(asked, table.dataset, table.profile, table.limits) if asked is not None else ""
        key = recipe.key(table.dataset.content, table.image_digest, benchmarks, others, told if by_model else "")
        return cls(recipe, key, None if by_model else wording, benchmarks, others, told)

    @property
    def outcome_key(self) -> str:
        """Identity of what will be on the shelf in the end."""
        return self.key if self.asking is None else rewording_key(self.key, self.asking, self.told)

    async def make(self, name: str, place: Workplace, through: MakeBatch) -> Batch:
        """Make the questions, in plain words as yet; `place` is told how far it is."""

        async def work(key: str) -> Batch:
            return await generate(self.recipe, place, key, self.benchmarks, self.others)

        return await through(name, self.key, work)

    async def word(self, name: str, batch: Batch, place: Workplace, through: MakeBatch) -> Batch:
        """Put questions into the model's words; `place` is told how far it is."""
        assert self.asking is not None
        return await through(name, self.outcome_key, partial(reword, batch, self.asking, self.benchmarks, place))


@dataclass
class Sources:
    """The sources of one dataset at work: first what needs no model, so that one that is down keeps none of it.

    Attributes:
        slug: The dataset's short name.
        shelf: Where questions go; those in plain words too, should the model fail.
        step_of: A recipe's step, as the shelf stands.
        open_place: Opens the dataset in its sandbox; called when there is something to do.
        through: Makes each batch, or finds it made.
        advance: Told of each candidate or question that is decided: the batch's name, and how many there are.
        ended: Told of each source that is done, and whether by an earlier run.
    """

    slug: str
    shelf: Shelf
    step_of: Callable[[Recipe], Step]
    open_place: Callable[[], Awaitable[Workplace]]
    through: MakeBatch
    advance: Callable[[str, int], None]
    ended: Callable[[SourceReport, bool], Awaitable[None]]
    _place: Workplace | None = None

    async def make(self, recipes: Sequence[Recipe]) -> None:
        """Make what is not on the shelf yet."""
        plain = [await self._make(recipe) for recipe in recipes if recipe.source != "llm"]
        for step, batch in filter(None, plain):
            name = f"{self.slug}/{batch.source}/wording"
            await self._put(await step.word(name, batch, await self._at(name), self.through))
        for recipe in recipes:
            if recipe.source == "llm":
                await self._make(recipe)

    async def _make(self, recipe: Recipe) -> tuple[Step, Batch] | None:
        """A source's questions that are to be put into other words yet."""
        step = self.step_of(recipe)
        if (done := self.shelf.done(step.outcome_key)) is not None:
            await self.ended(done, True)
            return None
        name = f"{self.slug}/{recipe.source}"
        batch = await step.make(name, await self._at(name), self.through)
        if step.asking is None:
            await self._put(batch)
            return None
        await asyncio.to_thread(self.shelf.put, batch)
        return step, batch

    async def _put(self, batch: Batch) -> None:
        await self.ended(await asyncio.to_thread(self.shelf.put, batch), False)

    async def _at(self, name: str) -> Workplace:
        if self._place is None:
            self._place = await self.open_place()
        return self._place._replace(advance=partial(self.advance, name))
