"""One question as a unit of work: solved when asked, made into an episode, shown as a row."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from blocks.chat.models import ChatClient
from blocks.errors import TrigpointError, words_of
from blocks.sandboxes.models import SandboxInfo
from flows.display.rows import QuestionRow, RowState
from flows.questions.records import Question
from flows.verification.attempts import Role, Trace, TraceError, Turn
from flows.verification.prompts import Task
from flows.verification.records import DatasetRef, Episode, EpisodePlan, make_episode
from flows.verification.solving import LASTING_KINDS, RUN_WIDE_KINDS, Solution, SolveConfig, Solver
from flows.verification.trace_loop import SessionLike


class CutOff(TrigpointError):
    """A question was cut off by model or sandbox.

    Args:
        message: By what.
        again: Whether another try now may end otherwise.
    """

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again

    def __reduce__(self) -> tuple[Any, ...]:
        """Prefect keeps the exceptions of tasks by pickling them."""
        return _cut_off, (self.message, self.again)


def _cut_off(message: str, again: bool) -> CutOff:
    return CutOff(message, again=again)


class ClosableSession(SessionLike, Protocol):
    """A session that is given back after use."""

    async def close(self) -> None:
        """End it."""
        ...


class SandboxLike(Protocol):
    """What the work needs of a sandbox."""

    async def session(self) -> ClosableSession:
        """Fork a session."""
        ...


class Sessions:
    """Opens sessions of one sandbox, at most so many at once; further ones wait."""

    def __init__(self, sandbox: SandboxLike, most: int) -> None:
        self._sandbox = sandbox
        self._free = asyncio.Semaphore(most)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SessionLike]:
        """A session for the length of the body."""
        async with self._free:
            session = await self._sandbox.session()
            try:
                yield session
            finally:
                await asyncio.shield(session.close())


@dataclass(frozen=True)
class Shop:
    """What all questions of a dataset share.

    Attributes:
        client: The model.
        sessions: The dataset's sandbox.
        task_of: The task of a question.
        config: How questions are answered.
        dataset: The dataset as an episode names it.
        sandbox: What the sandbox is made of.
        incidents: The sandbox's incidents so far, in words.
        log: The dataset's log.
        step: Told what a question is doing.
    """

    client: ChatClient
    sessions: Sessions
    task_of: Callable[[Question], Task]
    config: SolveConfig
    dataset: DatasetRef
    sandbox: SandboxInfo
    incidents: Callable[[], tuple[str, ...]]
    log: logging.Logger
    step: Callable[[str, str], None]


class QuestionWork:
    """One question of a dataset. A plain object, so that Prefect passes it to the task as it is.

    Args:
        question: The question.
        plan: Its plan; gives the episode its key.
        shop: What it shares with the dataset's other questions.
    """

    def __init__(self, question: Question, plan: EpisodePlan, shop: Shop) -> None:
        self.question = question
        self.plan = plan
        self.solution: Solution | None = None
        self._shop = shop
        self._turns = 0

    def unforeseen(self, error: Exception) -> str:
        """What is said of an error that nobody foresaw; the dataset's log gets its traceback."""
        self._shop.log.error("%s: an error that nobody foresaw", self.question.id, exc_info=error)
        return words_of(error)

    async def episode(self) -> Episode:
        """Solve the question and make its episode.

        Raises:
            CutOff: Model or sandbox cut it off.
        """
        started = datetime.now(UTC)
        before = self._shop.incidents()
        self._turns = 0
        self._shop.step(self.question.id, "starting")
        task = self._shop.task_of(self.question)
        solver = Solver(self._shop.client, self._shop.sessions.open, task, self._shop.config, self._watch)
        self.solution = solution = await solver.solve()
        verdict = solution.verdict
        self._shop.log.info("%s: %s. %s", self.question.id, verdict.verdict, verdict.explanation)
        if solution.finished:
            return make_episode(
                self.plan,
                self.question,
                self._shop.dataset,
                solution.traces,
                verdict,
                sandbox=self._shop.sandbox,
                incidents=self._shop.incidents()[len(before) :],
                started=started,
            )
        obstacle = solution.obstacle
        worth = obstacle is not None and not obstacle.users and obstacle.kind not in LASTING_KINDS
        raise CutOff(verdict.explanation, again=worth)

    @property
    def run_wide_obstacle(self) -> TraceError | None:
        """What would cut off every other question as well, if something did."""
        obstacle = self.solution.obstacle if self.solution is not None else None
        return obstacle if obstacle is not None and obstacle.kind in RUN_WIDE_KINDS else None

    def _watch(self, role: Role, index: int, turn: Turn | None, trace: Trace | None) -> None:
        name = role if role != "independent" else f"trace {index}"
        if turn is not None:
            self._turns += 1
            self._shop.step(self.question.id, f"{name}, turn {turn.index}")
            status = turn.cell.status if turn.cell is not None else f"rejected ({turn.rejected})"
            self._shop.log.info("%s: %s turn %d: %s", self.question.id, name, turn.index, status)
            self._log_failure(turn)
        if trace is not None:
            detail = f" ({trace.error.sentences})" if trace.error is not None else ""
            self._shop.log.info("%s: %s ended: %s%s", self.question.id, name, trace.outcome, detail)

    def _log_failure(self, turn: Turn) -> None:
        cell = turn.cell
        if cell is not None and cell.status != "ok":
            what = f"{cell.error.name}: {cell.error.message}" if cell.error is not None else cell.reason
            self._shop.log.info("%s:   %s", self.question.id, what[:500])


def row_of(episode: Episode, *, cached: bool) -> QuestionRow:
    """An episode as a row of the table."""
    return _row(
        episode.dataset.slug,
        episode.question.id,
        Solution(episode.verdict, episode.attempts),
        seconds=(episode.ended - episode.started).total_seconds(),
        cached=cached,
    )


def settled_rows(
    dataset: str, finished: Sequence[Episode], left: Sequence[tuple[Question, str]]
) -> Iterator[QuestionRow]:
    """The rows of questions that are not asked: earlier runs have finished them, or their episode cannot be read."""
    yield from (row_of(episode, cached=True) for episode in finished)
    yield from (unfinished_row(dataset, question.id, None, why) for question, why in left)


def unfinished_row(dataset: str, question: str, solution: Solution | None, why: str = "") -> QuestionRow:
    """The row of a question whose verdict does not stand."""
    if solution is None:
        return QuestionRow(
            dataset=dataset, question=question, verdict="not run", state="unfinished", votes="", turns=0, cells=0,
            calls=0, replayed=0, traces_saved=0, seconds=0.0, cached=False, explanation=why,
        )  # fmt: skip
    ends = [trace.ended for trace in solution.traces]
    starts = [trace.started for trace in solution.traces]
    seconds = (max(ends) - min(starts)).total_seconds() if ends else 0.0
    return _row(dataset, question, solution, seconds=seconds, cached=False, why=why)


def _row(
    dataset: str, question: str, solution: Solution, *, seconds: float, cached: bool, why: str = ""
) -> QuestionRow:
    verdict, traces = solution.verdict, solution.traces
    state: RowState = "verified" if verdict.verified else "other" if solution.finished else "unfinished"
    obstacle = solution.obstacle
    name = obstacle.kind if state == "unfinished" and obstacle is not None else verdict.verdict
    votes = verdict.votes
    return QuestionRow(
        dataset=dataset,
        question=question,
        verdict=name,
        state=state,
        votes=f"{votes.agree}/{votes.launched}" if votes.launched else "",
        turns=sum(len(trace.turns) for trace in traces),
        cells=sum(len(trace.cells) for trace in traces),
        calls=sum(trace.usage.calls for trace in traces),
        replayed=sum(trace.usage.replayed for trace in traces),
        traces_saved=verdict.traces_saved if solution.finished else 0,
        calls_saved=solution.calls_saved if solution.finished else 0,
        cut_by_length=sum(trace.cut_by_length for trace in traces),
        seconds=seconds,
        cached=cached,
        explanation=why
        or (obstacle.sentences if name != verdict.verdict and obstacle is not None else verdict.explanation),
    )
