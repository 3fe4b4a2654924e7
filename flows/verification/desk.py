"""Where a dataset's questions are worked on: questions sorted into finished and to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from blocks.chat.models import ChatClient
from blocks.sandboxes.models import Incident, LoadedDataset, SandboxInfo, SandboxLimits
from flows.questions.records import Question
from flows.sharing.share import DatasetShare
from flows.tables.opening import Table
from flows.verification.batch import plan_questions
from flows.verification.prompts import Task
from flows.verification.records import DatasetRef, Episode, EpisodePlan
from flows.verification.solving import SolveConfig
from flows.verification.store import EpisodeStore
from flows.verification.work import QuestionWork, SandboxLike, Sessions, Shop


class OpenSandbox(SandboxLike, Protocol):
    """A sandbox with a dataset in it."""

    info: SandboxInfo
    dataset: LoadedDataset
    limits: SandboxLimits
    incidents: list[Incident]


@dataclass(frozen=True)
class Agenda:
    """A dataset's questions, sorted before anything is started.

    Attributes:
        finished: Episodes that earlier runs have finished.
        todo: Questions without one, with their plans, in the order asked.
        left: Questions whose episode cannot be read here, as a newer Trigpoint wrote it; each with the sentence on it.
    """

    finished: list[Episode]
    todo: list[tuple[Question, EpisodePlan]]
    left: list[tuple[Question, str]]

    @property
    def settled(self) -> int:
        """Questions that need not, or cannot, be asked."""
        return len(self.finished) + len(self.left)


def sort_questions(
    questions: Sequence[Question],
    table: Table,
    config: SolveConfig,
    store: EpisodeStore,
    *,
    endpoint: str,
) -> Agenda:
    """Find what is already done, by key, in the dataset's own store.

    Args:
        questions: What is asked.
        table: Of which dataset.
        config: How.
        store: The dataset's episodes.
        endpoint: Where the model is, as the client names it.
    """
    finished: list[Episode] = []
    todo: list[tuple[Question, EpisodePlan]] = []
    left: list[tuple[Question, str]] = []
    for question, plan in plan_questions(questions, table, config, endpoint=endpoint):
        episode = store.get(plan.key) if store.finished(plan.key) else None
        if episode is not None:
            finished.append(episode)
        elif why := store.newer.get(plan.key):
            left.append((question, why))
        else:
            todo.append((question, plan))
    return Agenda(finished, todo, left)


async def set_out(
    table: Table,
    todo: Sequence[tuple[Question, EpisodePlan]],
    config: SolveConfig,
    *,
    client: ChatClient,
    log: logging.Logger,
    step: Callable[[str, str, str], None],
) -> list[QuestionWork]:
    """Make work of questions.

    Args:
        table: The dataset's table; its sandbox is opened.
        todo: Questions and plans.
        config: How they are answered.
        client: The model.
        log: The dataset's log.
        step: Told the dataset, a question of it, and what that is doing.

    Raises:
        DatasetError: The file is no table that can be loaded.
        SandboxError: The sandbox failed.
    """
    sandbox = await table.sandbox()
    sessions = Sessions(sandbox, sandbox.limits.max_sessions)
    shop = Shop(
        client=client,
        sessions=sessions,
        task_of=lambda question: Task(question, table.dataset, table.profile),
        config=config,
        dataset=DatasetRef.of(table.dataset, sandbox.dataset),
        sandbox=sandbox.info,
        incidents=partial(incidents_of, sandbox),
        log=log,
        step=partial(step, table.dataset.slug),
    )
    return [QuestionWork(question, plan, shop) for question, plan in todo]


def incidents_of(sandbox: OpenSandbox) -> tuple[str, ...]:
    """The sandbox's incidents so far, in words."""
    return tuple(f"{incident.kind}: {incident.reason}" for incident in sandbox.incidents)


class Keeper:
    """Keeps episodes as they are finished: on disk here, then in the storage that hosts share.

    Args:
        store: The dataset's episodes.
        share: The run's share in the storage.
    """

    def __init__(self, store: EpisodeStore, share: DatasetShare) -> None:
        self._store, self._share = store, share
        self._writing = asyncio.Lock()

    def obstacle(self, work: QuestionWork) -> str:
        """What has come up with a question that is reason not to ask others; empty where nothing has."""
        obstacle = work.run_wide_obstacle
        why = self._share.trouble or (obstacle.sentences if obstacle is not None else "")
        return f"not asked: {why}" if why else ""

    async def keep(self, episode: Episode) -> None:
        """Append an episode unless the store has it; one at a time, off the event loop."""
        async with self._writing:
            if not self._store.finished(episode.episode_id):
                await asyncio.shield(asyncio.to_thread(self._store.append, episode))
        await self._share.give_episode(episode)
