"""One question from start to verdict: what is launched, what the verdict rests on, what cuts it off."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from blocks.chat.errors import ServerFailure, WrongKey
from blocks.chat.models import ChatReply, ChatRequest, Message
from blocks.errors import SandboxError
from flows.questions.records import AnswerSpec, Difficulty, Question
from flows.verification.attempts import Role, Trace, TraceConfig, Turn
from flows.verification.prompts import Task
from flows.verification.solving import Solution, SolveConfig, Solver
from flows.verification.trace_loop import SessionLike
from tests.support.attempts import LocalSession, block, reply_of, request_key, task_on

CONFIG = SolveConfig(trace=TraceConfig(model="m", max_turns=3))


class ModelByTrace:
    """Answers each trace by its sample index, and knows which traces asked."""

    def __init__(self, say: Callable[[int], str | Exception]) -> None:
        self.say = say
        self.traces: set[int] = set()
        self.hinted: set[int] = set()

    async def complete(self, request: ChatRequest) -> ChatReply:
        self.traces.add(request.sample_index)
        if "Hint" in json.dumps([message.content for message in request.messages]):
            self.hinted.add(request.sample_index)
        said = self.say(request.sample_index)
        if isinstance(said, Exception):
            raise said
        return reply_of(Message(role="assistant", content=said), request_key(request))


@asynccontextmanager
async def session() -> AsyncIterator[SessionLike]:
    yield LocalSession()


def unwatched(role: Role, index: int, turn: Turn | None, trace: Trace | None) -> None:
    """Nobody looks."""


def question(difficulty: Difficulty = "easy", **facts: object) -> Task:
    task = task_on()
    data = {"id": "q", "text": "How many rows?", "hint": "Count.", "answer": AnswerSpec(type="int").model_dump()}
    return task._replace(question=Question.model_validate({**data, "difficulty": difficulty, **facts}))


async def solve(model: ModelByTrace, task: Task) -> Solution:
    return await Solver(model, session, task, CONFIG, unwatched).solve()


def submits(answers: dict[int, object]) -> ModelByTrace:
    return ModelByTrace(lambda index: block(f"submit({answers[index]})"))


async def test_agreement_is_verified_without_the_last_trace() -> None:
    model = submits({0: 4, 1: 4, 2: 4})
    solution = await solve(model, question())
    assert solution.verdict.verdict == "verified"
    assert (solution.verdict.traces_saved, solution.calls_saved) == (1, 1)
    assert model.traces == {0, 1, 2}, "the third independent trace could not have changed the verdict"
    assert model.hinted == {0}, "only the gold trace is told the hint"
    assert [trace.role for trace in solution.traces] == ["gold", "independent", "independent"]


async def test_a_split_vote_launches_one_more() -> None:
    model = submits({0: 4, 1: 4, 2: 5, 3: 4})
    solution = await solve(model, question())
    assert solution.verdict.verdict == "verified"
    assert model.traces == {0, 1, 2, 3}


async def test_traces_that_agree_against_the_gold_one() -> None:
    assert (await solve(submits({0: 4, 1: 5, 2: 5}), question())).verdict.verdict == "hint_misleading"


async def test_a_gold_trace_without_an_answer_costs_no_independent_ones() -> None:
    model = ModelByTrace(lambda index: "I would rather not.")
    solution = await solve(model, question("very_hard"))
    assert (solution.verdict.verdict, solution.finished) == ("too_hard", True)
    assert model.traces == {0}
    assert solution.verdict.traces_saved == 6
    calls = sum(trace.usage.calls for trace in solution.traces)
    assert calls > 1
    assert solution.calls_saved == 6 * calls


@pytest.mark.parametrize("hint", [None, "", "  "])
class TestWithoutAHint:
    """Where there is no hint all traces are equal, and whichever of them is unlucky ends nothing."""

    async def test_three_of_four_equal_traces_verify(self, hint: str | None) -> None:
        model = submits({1: 4, 2: 4, 3: 4})
        solution = await solve(model, question(hint=hint))
        assert (solution.verdict.verdict, solution.verdict.traces_saved) == ("verified", 1)
        assert [(trace.role, trace.index, trace.hinted) for trace in solution.traces] == [
            ("independent", index, False) for index in (1, 2, 3)
        ]
        assert not model.hinted

    @pytest.mark.parametrize("unlucky", [1, 2, 3])
    @pytest.mark.parametrize("said", ["I would rather not.", block("1 / 0"), block("submit(5)")])
    async def test_one_unlucky_trace_launches_one_more(self, hint: str | None, unlucky: int, said: str) -> None:
        model = ModelByTrace(lambda index: said if index == unlucky else block("submit(4)"))
        solution = await solve(model, question(hint=hint))
        assert solution.verdict.verdict == "verified"
        assert model.traces == {1, 2, 3, 4}

    async def test_no_verdict_speaks_of_a_hint(self, hint: str | None) -> None:
        split = await solve(submits({1: 4, 2: 5, 3: 5, 4: 4}), question(hint=hint))
        assert split.verdict.verdict == "ambiguous"
        nothing = await solve(ModelByTrace(lambda index: "I would rather not."), question(hint=hint))
        assert nothing.verdict.verdict == "too_hard"
        for verdict in (split.verdict, nothing.verdict):
            assert "gold" not in verdict.explanation
            assert "hint" not in verdict.explanation

    async def test_it_is_too_hard_only_where_most_found_nothing(self, hint: str | None) -> None:
        model = ModelByTrace(lambda index: block("submit(4)") if index > 2 else "I would rather not.")
        assert (await solve(model, question(hint=hint))).verdict.verdict == "too_hard"


async def test_code_that_fails_to_the_end() -> None:
    solution = await solve(ModelByTrace(lambda index: block("1 / 0")), question())
    assert solution.verdict.verdict == "execution_failed"
    assert "ZeroDivisionError" in solution.verdict.explanation


@pytest.mark.parametrize(
    ("error", "kind", "users"),
    [(WrongKey("The key is refused."), "wrong_key", True), (ServerFailure("It is down."), "server_failure", False)],
)
async def test_a_model_that_cannot_be_asked_leaves_the_question_open(error: Exception, kind: str, users: bool) -> None:
    solution = await solve(ModelByTrace(lambda index: error), question())
    assert not solution.finished
    assert solution.obstacle is not None
    assert (solution.obstacle.kind, solution.obstacle.users) == (kind, users)


async def test_an_outage_of_one_trace_only_cuts_off_when_it_matters() -> None:
    def say(index: int) -> str | Exception:
        return ServerFailure("It is down.") if index == 2 else block("submit(4)")

    solution = await solve(ModelByTrace(say), question())
    assert solution.verdict.verdict == "verified", "the third trace makes up for the second"


async def test_no_session_is_an_obstacle_not_an_exception() -> None:
    @asynccontextmanager
    async def refused() -> AsyncIterator[SessionLike]:
        raise SandboxError("No session could be had.")
        yield LocalSession()

    solution = await Solver(submits({0: 4}), refused, question(), CONFIG, unwatched).solve()
    assert not solution.finished
    assert solution.obstacle is not None
    assert "No session" in solution.obstacle.message


async def test_what_is_0_in_truth_is_verified_by_the_scale_of_the_table() -> None:
    """FRAME's numbers are of the size of 4: what its floats cannot tell from 0 is 0."""
    noise = submits({0: 1e-17, 1: 0.0, 2: -3e-18})
    asked = question(answer={"type": "float"})
    solution = await solve(noise, asked)
    assert solution.verdict.verified
    assert (await solve(submits({1: -3e-18}), question(answer={"type": "float"}, ground_truth=1e-17))).verdict.verified
    small = await solve(submits({0: 1e-9, 1: 2e-9, 2: 2e-9}), asked)
    assert small.verdict.verdict == "hint_misleading"


class TestGroundTruth:
    """Questions whose answer is known need one trace and no vote."""

    async def test_reference_program_decides(self) -> None:
        model = submits({1: 4})
        solution = await solve(model, question(reference_program="submit(len(df))"))
        assert solution.verdict.verdict == "verified"
        assert [trace.role for trace in solution.traces] == ["reference", "independent"]
        assert not model.hinted

    async def test_another_answer_is_a_mismatch(self) -> None:
        solution = await solve(submits({1: 5}), question(reference_program="submit(len(df))"))
        assert (solution.verdict.verdict, solution.finished) == ("mismatch", True)

    async def test_a_broken_program_asks_nobody(self) -> None:
        model = submits({})
        solution = await solve(model, question(reference_program="submit(len(dff))"))
        assert solution.verdict.verdict == "execution_failed"
        assert not model.traces

    async def test_a_given_answer_needs_no_program(self) -> None:
        solution = await solve(submits({1: 4}), question(ground_truth=4))
        assert solution.verdict.verdict == "verified"
        assert [trace.role for trace in solution.traces] == ["independent"]

    async def test_another_answer_that_counts_as_right_is_verified(self) -> None:
        asked = question(reference_program="submit(len(df))", alternatives=(5, 6))
        assert (await solve(submits({1: 6}), asked)).verdict.verdict == "verified"
        assert (await solve(submits({1: 7}), asked)).verdict.verdict == "mismatch"

    async def test_a_program_that_contradicts_the_written_answer_is_not_trusted(self) -> None:
        model = submits({1: 4})
        solution = await solve(model, question(reference_program="submit(len(df))", ground_truth=5))
        assert solution.verdict.verdict == "execution_failed"
        assert "no longer gives the answer that is written down" in solution.verdict.explanation
        assert not model.traces
        assert (await solve(model, question(reference_program="submit(len(df))", ground_truth=4))).verdict.verified
