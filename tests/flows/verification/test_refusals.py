"""What a server refuses makes no verdict: the question stays open, in the server's words; or it is asked shorter."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from blocks.chat.client import ModelClient
from blocks.chat.exported import ReplayJournal
from blocks.chat.journal import Journal
from blocks.chat.keys import call_key
from blocks.chat.retry import RetryPolicy
from blocks.sandboxes import SandboxLimits
from flows.tables.opening import Table
from flows.verification.attempts import Role, Trace, TraceConfig, Turn
from flows.verification.batch import plan_questions
from flows.verification.records import DatasetRef
from flows.verification.solving import Solution, SolveConfig, Solver
from flows.verification.trace_loop import SessionLike, request_for, run_trace
from flows.verification.verdicts import CUT_BY_LENGTH
from flows.verification.work import CutOff, QuestionWork, Sessions, Shop, unfinished_row
from tests.support.attempts import LocalSession, block, task_on
from tests.support.chat import MODEL, opened
from tests.support.episodes import LOADED, SANDBOX
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer

CONFIG = SolveConfig(trace=TraceConfig(model=MODEL, max_turns=6))
TPM = "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 15041, please reduce"
OUTPUT = "max_tokens is too large: 9000. This model supports at most 4096 completion tokens"
INPUTS = "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000"
PROMPT = "prompt is too long: 213462 tokens > 200000 maximum"
DAY = "free-models-per-day"


def said(status: int, words: str, **headers: str) -> Answer:
    """An error in OpenAI's form."""
    return error(status, {"error": {"message": words}}, headers=headers)


REFUSALS: list[tuple[Answer, str]] = [
    (said(413, TPM), TPM),
    (error(413, "<html><h1>413 Request Entity Too Large</h1><hr>nginx</html>"), "413 Request Entity Too Large"),
    (said(400, OUTPUT), "supports at most 4096"),
    (said(400, PROMPT), PROMPT),
    (error(422, {"error": INPUTS}), INPUTS),
    (said(429, "slow down, will you"), "slow down, will you"),
    (said(429, DAY, **{"Retry-After": "36000"}), DAY),
    (said(400, "the image is too large"), "the image is too large"),
    (said(400, "flagged by our content policy"), "flagged by our content policy"),
    (said(400, "temperature must be 1"), "temperature must be 1"),
    (said(503, "no capacity today"), "no capacity today"),
    (error(418, "I am a teapot"), "I am a teapot"),
    (Answer(body=b"<html>maintenance until noon</html>"), "maintenance until noon"),
    (Answer(content="", finish_reason="content_filter"), "content filter"),
]
TWICE = RetryPolicy(max_attempts=2)


@asynccontextmanager
async def session() -> AsyncIterator[SessionLike]:
    yield LocalSession()


def unwatched(role: Role, index: int, turn: Turn | None, trace: Trace | None) -> None:
    """Nobody looks."""


async def solve(server: ModelServer, store: Path, **question: Any) -> Solution:
    task = task_on()
    task = task._replace(question=task.question.model_copy(update=question))
    async with opened(server, store, retry=TWICE) as client:
        return await Solver(client, session, task, CONFIG, unwatched).solve()


def after(turns: int, refusal: Answer) -> Callable[[Ask], Answer]:
    """So many turns of each trace are answered, the next is refused however much of it is sent."""

    def behave(it: Ask) -> Answer:
        said = [str(message["content"]) for message in it.messages if message["role"] == "assistant"]
        turn = int(said[-1].partition("x = ")[2][0]) + 1 if said else 0
        return Answer(content=block(f"x = {turn}\nprint(x)")) if turn < turns else refusal

    return behave


@pytest.mark.parametrize("place", range(len(REFUSALS)))
@pytest.mark.parametrize("turns", [0, 2])
@pytest.mark.parametrize("known", [False, True])
async def test_no_refusal_makes_a_standing_verdict(place: int, turns: int, known: bool, tmp_path: Path) -> None:
    refusal, words = REFUSALS[place]
    facts: dict[str, Any] = {"reference_program": "submit(4)"} if known else {}
    with ModelServer(after(turns, refusal)) as server:
        solution = await solve(server, tmp_path / "store.db", **facts)
    assert not solution.finished
    assert solution.verdict.verdict == "budget"
    assert solution.obstacle is not None
    assert words in solution.obstacle.message, "the server's own words"
    assert words in solution.verdict.explanation


@pytest.mark.parametrize(("finish_reason", "told"), [("length", True), ("stop", False)])
async def test_that_max_tokens_cut_every_reply_is_told(finish_reason: str, told: bool, tmp_path: Path) -> None:
    reply = Answer(content="```python\nx = (", finish_reason=finish_reason)
    with ModelServer(lambda _: reply) as server:
        solution = await solve(server, tmp_path / "store.db")
    assert solution.finished
    assert (CUT_BY_LENGTH in solution.verdict.explanation) == told


async def test_a_conversation_that_is_too_long_is_asked_shorter(tmp_path: Path) -> None:
    """The latest turns are what is sent; the record says from which turn on, and a recording answers it offline."""

    def behave(it: Ask) -> Answer:
        if len(it.messages) > 6:
            return error(400, {"error": {"message": "maximum context length is 100 tokens, you requested 200 tokens"}})
        last = next((m["content"] for m in reversed(it.messages) if m["role"] == "assistant"), "")
        turn = int(last.partition("x = ")[2][:1]) + 1 if "x = " in last else 0
        return Answer(content=block("submit(4)" if turn == 5 else f"x = {turn}\nprint(x)"))

    with ModelServer(behave) as server:
        async with opened(server, tmp_path / "store.db") as client:
            trace = await run_trace(client, LocalSession(), task_on(), CONFIG.trace, sample_index=1)
            endpoint = client.endpoint
    assert trace.outcome == "answered"
    assert [turn.window_from for turn in trace.turns] == [1, 1, 1, 3, 3, 5]
    assert sum(len(it.messages) > 6 for it in server.asks) == 2
    for turn in trace.turns:
        call = trace.messages[turn.reply_at or 0].call
        assert call is not None
        assert call.key == call_key(endpoint.id, request_for(trace, turn, CONFIG.trace), {})
    with Journal(tmp_path / "store.db") as journal:
        await journal.export_jsonl(tmp_path / "recorded.jsonl")
    replay = [ReplayJournal(tmp_path / "recorded.jsonl")]
    async with ModelClient(endpoint, journal=None, offline=True, replay=replay) as offline:
        again = await run_trace(offline, LocalSession(), task_on(), CONFIG.trace, sample_index=1)
    assert again.messages[-1].content == trace.messages[-1].content
    assert [turn.window_from for turn in again.turns] == [turn.window_from for turn in trace.turns]


async def test_what_was_never_recorded_is_named_by_the_whole_conversation(tmp_path: Path) -> None:
    with ModelServer(after(3, error(500))) as server:
        async with opened(server, tmp_path / "store.db", retry=TWICE) as client:
            await run_trace(client, LocalSession(), task_on(), CONFIG.trace, sample_index=1)
            endpoint = client.endpoint
        with Journal(tmp_path / "store.db") as journal:
            await journal.export_jsonl(tmp_path / "recorded.jsonl")
    replay = [ReplayJournal(tmp_path / "recorded.jsonl")]
    async with ModelClient(endpoint, journal=None, offline=True, replay=replay) as offline:
        trace = await run_trace(offline, LocalSession(), task_on(), CONFIG.trace, sample_index=1)
    assert trace.error is not None
    assert trace.error.kind == "missing_from_journal"
    assert "(8 messages, sample 1" in trace.error.message, "system, task, and three turns of two"


async def test_an_overflow_of_the_first_request_says_so(tmp_path: Path) -> None:
    with ModelServer(lambda _: REFUSALS[3][0]) as server:
        solution = await solve(server, tmp_path / "store.db")
    assert solution.obstacle is not None
    assert solution.obstacle.message.endswith("It is the first request: nothing can be left out of it.")
    assert "larger context" in solution.obstacle.remedy
    assert set(server.tally.asked.values()) == {1}


@pytest.mark.parametrize(
    ("place", "wide", "again"),
    [(0, False, False), (2, True, False), (3, False, False), (5, False, True), (6, True, False), (9, False, False)],
)
async def test_what_a_refusal_means_for_the_other_questions(
    place: int, wide: bool, again: bool, tmp_path: Path
) -> None:
    """Whether they are asked at all, whether this one is tried again in the same run, and what its row says."""
    refusal, words = REFUSALS[place]
    task = task_on()
    nothing: Any = None
    table = Table(task.dataset, task.profile, SANDBOX.image_digest, SandboxLimits(), nothing)
    planned = plan_questions([task.question], table, CONFIG, endpoint="e")
    ((question, plan),) = planned

    class Sandbox:
        async def session(self) -> Any:
            return Closing()

    class Closing(LocalSession):
        async def close(self) -> None:
            """Nothing is held."""

    with ModelServer(lambda _: refusal) as server:
        async with opened(server, tmp_path / "store.db", retry=TWICE) as client:
            shop = Shop(
                client=client, sessions=Sessions(Sandbox(), 4), task_of=lambda _: task, config=CONFIG,
                dataset=DatasetRef.of(task.dataset, LOADED), sandbox=SANDBOX, incidents=lambda: (),
                log=logging.getLogger("test"), step=lambda *_: None,
            )  # fmt: skip
            work = QuestionWork(question, plan, shop)
            with pytest.raises(CutOff) as caught:
                await work.episode()
    assert caught.value.again is again
    assert (work.run_wide_obstacle is not None) is wide
    row = unfinished_row("cities", "q1", work.solution)
    assert row.state == "unfinished"
    assert words in row.explanation
    if place == 6:
        assert "to send nothing for 36000 s (10 h), until " in row.explanation
        assert "Run again then" in row.explanation
