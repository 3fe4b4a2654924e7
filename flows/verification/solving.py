"""One question from start to verdict: a gold trace if it has a hint, waves of independent ones, each in its session.

What is launched depends only on how the earlier traces ended, never on which of them was faster: a wave is awaited
whole before the next decision, so a rerun makes the same calls and reaches the same record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, NamedTuple, Protocol

from pydantic import Field

from blocks.chat.models import ChatClient
from blocks.errors import SandboxError, SandboxUnavailable
from blocks.frozen import Frozen
from flows.answers.answers import Answer, parse_answer, parse_reference
from flows.answers.comparator import compare
from flows.answers.nodes import holds_gap
from flows.questions.records import AnswerSpec
from flows.tables.scale import scaled
from flows.verification.attempts import Role, Trace, TraceConfig, TraceError, Turn
from flows.verification.judging import judge_reference
from flows.verification.prompts import Task
from flows.verification.trace_loop import SessionLike, run_program, run_trace, trace_error
from flows.verification.triangulation import Triangulation, TriangulationRule
from flows.verification.verdicts import CUT_BY_LENGTH, Ballot, Verdict

RUN_WIDE_KINDS = frozenset(
    {"unknown_model_name", "missing_key", "wrong_key", "payment_required", "model_not_found", "wrong_endpoint"}
    | {"unreachable", "budget", "unknown_price", "unbounded", "breaker_open", "server_wait", "max_tokens"}
)
"""Model errors that will meet every other question too: there is no sense in asking on."""
LASTING_KINDS = RUN_WIDE_KINDS | {"context_overflow", "request_too_large", "bad_request", "refused"}
"""Model errors that another try at the same question would meet again."""

OpenSession = Callable[[], AbstractAsyncContextManager[SessionLike]]


class SolveConfig(Frozen):
    """How a question is answered and verified; all of it is part of the episode key."""

    trace: TraceConfig
    rule: TriangulationRule = TriangulationRule()
    program_timeout_s: Annotated[float, Field(gt=0, description="wall clock of a reference program, seconds")] = 120.0


class Solution(NamedTuple):
    """A question's verdict and every trace that led to it, in order of role and index."""

    verdict: Verdict
    traces: tuple[Trace, ...]

    @property
    def finished(self) -> bool:
        """Whether the verdict stands; otherwise something outside the question cut it off and a rerun goes on."""
        return self.verdict.verdict != "budget"

    @property
    def obstacle(self) -> TraceError | None:
        """What cut the question off, where something did."""
        return next((trace.error for trace in self.traces if trace.broken_off and trace.error is not None), None)

    @property
    def calls_saved(self) -> int:
        """About how many model calls the traces never launched would have made: as many each as those that ran."""
        ran = [trace for trace in self.traces if trace.role == "independent"] or list(self.traces)
        calls = sum(trace.usage.calls for trace in ran)
        return round(self.verdict.traces_saved * calls / len(ran)) if ran else 0


class Watcher(Protocol):
    """Told of progress while a question is being answered."""

    def __call__(self, role: Role, index: int, turn: Turn | None, trace: Trace | None) -> None:
        """A turn of a trace was finished, or the whole trace."""
        ...


@dataclass
class Solver:
    """Answers one question.

    Attributes:
        client: The model.
        open_session: Opens a session of the dataset's sandbox; may wait for a free one.
        task: Question, dataset and profile.
        config: How.
        watch: Told of progress.
    """

    client: ChatClient
    open_session: OpenSession
    task: Task
    config: SolveConfig
    watch: Watcher

    async def solve(self) -> Solution:
        """Run what the verdict needs, and no more. Failures of model and sandbox are in the record, not raised."""
        if self.task.question.has_ground_truth:
            return await self._against_reference()
        return await self._triangulate()

    @cached_property
    def _spec(self) -> AnswerSpec:
        return scaled(self.task.question.answer, self.task.profile)

    @cached_property
    def _truth(self) -> Answer:
        """The ground truth; an empty answer where there is none."""
        return parse_reference(self.task.question.ground_truth, self._spec)

    @cached_property
    def _others(self) -> tuple[Answer, ...]:
        """Other answers that count as right."""
        return tuple(parse_reference(value, self._spec) for value in self.task.question.alternatives)

    @cached_property
    def _gaps(self) -> bool:
        """Whether a known answer says of some value that it is missing."""
        return any(holds_gap(known.node) for known in (self._truth, *self._others))

    async def _triangulate(self) -> Solution:
        question = self.task.question
        vote = Triangulation.plan(self._spec, question.difficulty, self.config.rule, hinted=question.hinted)
        traces: list[Trace] = []
        if question.hinted:
            traces.append(await self._trace(0, hint=question.hint))
            vote = vote.with_gold(self._ballot(traces[0]))
        while count := vote.next_wave():
            first = vote.launched
            vote = vote.with_launched(count)
            wave = await asyncio.gather(*(self._trace(index + 1) for index in range(first, first + count)))
            traces += wave
            for index, trace in enumerate(wave, start=first):
                vote = vote.with_ballot(index, self._ballot(trace))
        verdict = vote.decided()
        if verdict is None:
            raise AssertionError("a vote with no further wave is decided")
        return Solution(verdict, tuple(traces))

    async def _against_reference(self) -> Solution:
        question = self.task.question
        traces: list[Trace] = []
        if question.reference_program is not None:
            program = await self._program(question.reference_program)
            traces.append(program)
            reference = self._confirmed(self._ballot(program))
        else:
            reference = Ballot.of(self._truth)
        if reference.outcome == "answered":
            traces.append(await self._trace(1))
            ballot = self._ballot(traces[-1])
        else:
            ballot = Ballot("no_answer", detail="it was not asked")
        accept = self.config.rule.accept
        verdict = judge_reference(self._spec, reference, ballot, alternatives=self._others, accept=accept)
        return Solution(verdict, tuple(traces))

    def _confirmed(self, reference: Ballot) -> Ballot:
        """The program's answer, unless the question's own ground truth says another: then there is none to trust."""
        question = self.task.question
        if reference.answer is None or question.ground_truth is None:
            return reference
        found = compare(self._truth, reference.answer, self._spec)
        if found.equal:
            return reference
        return Ballot("no_answer", detail=f"it no longer gives the answer that is written down: {found.reason}")

    async def _trace(self, index: int, hint: str | None = None) -> Trace:
        role: Role = "gold" if index == 0 else "independent"

        def on_turn(turn: Turn) -> None:
            self.watch(role, index, turn, None)

        try:
            async with self.open_session() as session:
                trace = await run_trace(
                    self.client, session, self.task, self.config.trace,
                    hint=hint, sample_index=index, role=role, on_turn=on_turn,
                )  # fmt: skip
        except (SandboxError, SandboxUnavailable) as error:
            trace = Trace.without_sandbox(role, index, trace_error(error))
        self.watch(role, index, None, trace)
        return trace

    async def _program(self, code: str) -> Trace:
        try:
            async with self.open_session() as session:
                trace = await run_program(session, code, timeout_s=self.config.program_timeout_s)
        except (SandboxError, SandboxUnavailable) as error:
            trace = Trace.without_sandbox("reference", 0, trace_error(error))
        self.watch("reference", 0, None, trace)
        return trace

    def _ballot(self, trace: Trace) -> Ballot:
        if trace.answer is not None:
            return Ballot.of(parse_answer(trace.answer, self._spec, gaps=self._gaps))
        detail = trace.error.message if trace.error is not None else trace.outcome.replace("_", " ")
        if trace.broken_off:
            return Ballot("error", detail=detail)
        if trace.outcome == "code_failed":
            failed = trace.cells[-1] if trace.cells else None
            if failed is not None and failed.error is not None:
                detail = f"{failed.error.name}: {failed.error.message}"[:300]
            return Ballot("failed", detail=detail)
        return Ballot("no_answer", detail=CUT_BY_LENGTH if trace.cut_by_length else detail)
