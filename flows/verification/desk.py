"""Where a dataset's questions are worked on: sandbox profiled, questions keyed, the finished found."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from blocks.chat.models import ChatClient
from blocks.sandboxes.models import Incident, LoadedDataset, SandboxInfo, SandboxLimits
from flows.questions.records import Question
from flows.tables.dataset import Dataset
from flows.tables.profiling import profile_dataset
from flows.verification.batch import plan_questions
from flows.verification.prompts import Task
from flows.verification.records import DatasetRef, Episode
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
class Desk:
    """A dataset's questions, sorted.

    Attributes:
        finished: Episodes that earlier runs have finished.
        work: What is to be done, in the order asked.
    """

    finished: list[Episode]
    work: list[QuestionWork]


async def set_up_desk(
    sandbox: OpenSandbox,
    dataset: Dataset,
    questions: Sequence[Question],
    config: SolveConfig,
    *,
    client: ChatClient,
    endpoint: str,
    store: EpisodeStore,
    log: logging.Logger,
    step: Callable[[str, str], None],
) -> Desk:
    """Sort a dataset's questions into finished ones and work.

    Args:
        sandbox: The dataset's sandbox.
        dataset: The dataset.
        questions: What is asked of it.
        config: How.
        client: The model.
        endpoint: Where the model is, as the client names it.
        store: The dataset's episodes.
        log: The dataset's log.
        step: Told what a question is doing.

    Raises:
        DatasetError: The profile could not be taken.
        SandboxError: The sandbox failed.
    """
    plans = plan_questions(questions, dataset, config, endpoint=endpoint, image_digest=sandbox.info.image_digest)
    finished = [episode for _, plan in plans if store.finished(plan.key) and (episode := store.get(plan.key))]
    todo = [(question, plan) for question, plan in plans if not store.finished(plan.key)]
    if not todo:
        return Desk(finished, [])
    sessions = Sessions(sandbox, sandbox.limits.max_sessions)
    async with sessions.open() as session:
        profile = await profile_dataset(session)

    def incidents() -> tuple[str, ...]:
        return tuple(f"{incident.kind}: {incident.reason}" for incident in sandbox.incidents)

    shop = Shop(
        client=client,
        sessions=sessions,
        task_of=lambda question: Task(question, dataset, profile),
        config=config,
        dataset=DatasetRef.of(dataset, sandbox.dataset),
        sandbox=sandbox.info,
        incidents=incidents,
        log=log,
        step=step,
    )
    return Desk(finished, [QuestionWork(question, plan, shop) for question, plan in todo])


async def keep(store: EpisodeStore, lock: asyncio.Lock, episode: Episode) -> None:
    """Append an episode unless the store has it; one at a time, off the event loop."""
    async with lock:
        if not store.finished(episode.episode_id):
            await asyncio.shield(asyncio.to_thread(store.append, episode))
