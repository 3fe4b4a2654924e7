"""A run's share in the storage: what is taken when work on a dataset begins, and given as it is finished."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from blocks.held import Busy
from blocks.objects import ObjectStore, StorageError
from flows.generation.shelf import Shelf
from flows.questions.files import QuestionFileError
from flows.sharing.datasets import SharedDatasets, take_named
from flows.sharing.episodes import SharedEpisodes
from flows.sharing.questions import SharedQuestions
from flows.tables.dataset import Dataset
from flows.verification.former import open_episodes
from flows.verification.records import Episode
from flows.verification.store import EpisodeStore

Warn = Callable[[str], None]


class HomeShare:
    """A home's datasets; without a storage nothing is taken or given.

    Args:
        objects: The storage.
        home: TRIGPOINT_HOME.
    """

    def __init__(self, objects: ObjectStore | None, home: Path) -> None:
        self._objects, self._home = objects, home

    async def take_named(self, paths: Sequence[str] | None, warn: Warn) -> None:
        """Bring home the datasets that a run names by their place in the home, where they are missing there.

        Args:
            paths: What the run was given.
            warn: Told of what could not be used.

        Raises:
            StorageError: The storage did not answer.
        """
        if self._objects is not None:
            for problem in await take_named(self._objects, self._home, paths or ()):
                warn(problem)

    async def exchange_datasets(self, warn: Warn) -> None:
        """Bring home the datasets it lacks, and let the storage have those it lacks.

        Raises:
            StorageError: The storage did not answer.
        """
        if self._objects is not None:
            for problem in await SharedDatasets(self._objects, self._home).exchange():
                warn(problem)

    async def give_dataset(self, slug: str) -> None:
        """Let the storage have a dataset of the home.

        Raises:
            StorageError: The storage did not answer.
        """
        if self._objects is not None:
            await SharedDatasets(self._objects, self._home).give(slug)

    def of(self, dataset: Dataset) -> DatasetShare:
        """The share in one dataset."""
        return DatasetShare(self._objects, self._home, dataset)

    async def take_work(self, dataset: Dataset) -> None:
        """Bring home what other hosts have done about a dataset, unless a run here is at it, which has done so.

        Raises:
            StorageError: The storage did not answer.
            TrigpointError: The home's own files cannot be used.
        """
        if self._objects is None:
            return
        try:
            with open_episodes(self._home, dataset) as store:
                await self.of(dataset).take(store)
        except Busy:
            return


class DatasetShare:
    """The work on one dataset; without a storage nothing is taken or given.

    Attributes:
        trouble: Why the storage no longer gets what is made here; empty while it does.
    """

    def __init__(self, objects: ObjectStore | None, home: Path, dataset: Dataset) -> None:
        self.trouble = ""
        self._episodes = SharedEpisodes(objects, dataset.content) if objects is not None else None
        self._questions = None
        if objects is not None:
            self._questions = SharedQuestions(objects, Shelf.of(home, dataset), dataset.content)

    async def exchange_questions(self, warn: Warn) -> None:
        """Bring home the questions it lacks, and let the storage have those it lacks.

        Raises:
            StorageError: The storage did not answer.
        """
        if self._questions is not None:
            for problem in await self._questions.take():
                warn(problem)
            await self.give_questions()

    async def take(self, store: EpisodeStore) -> tuple[str, ...]:
        """Bring home the questions it lacks, and let home and storage both hold the episodes of either.

        Returns:
            What could not be used, in sentences.

        Raises:
            StorageError: The storage did not answer.
            StoreError: An episode could not be written here.
        """
        if self._questions is None or self._episodes is None:
            return ()
        return (*await self._questions.take(), *await self._episodes.merge(store))

    async def give_questions(self) -> None:
        """Let the storage have the home's questions; a file that cannot be used is told of where it is to be used.

        Raises:
            StorageError: The storage did not answer.
        """
        if self._questions is not None:
            with contextlib.suppress(QuestionFileError):
                await self._questions.give(datetime.now(UTC))

    async def give_episode(self, episode: Episode) -> None:
        """Let the storage have an episode that is on disk here; an outage becomes `trouble`, and nothing is lost."""
        if self._episodes is None or self.trouble:
            return
        try:
            await asyncio.shield(self._episodes.put(episode))
        except StorageError as error:
            self.trouble = str(error)
