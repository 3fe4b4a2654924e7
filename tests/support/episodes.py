"""Whole episodes for tests: real attempts by a scripted model, and a verdict over them."""

from __future__ import annotations

from blocks.sandboxes.models import LoadedDataset, SandboxInfo, SandboxLimits
from flows.answers.answers import parse_answer
from flows.questions.records import Question
from flows.tables.dataset import Dataset
from flows.tables.profiling import DatasetProfile
from flows.verification.attempts import Trace, TraceConfig
from flows.verification.prompts import Task
from flows.verification.records import DatasetRef, Episode, EpisodePlan, make_episode
from flows.verification.trace_loop import run_trace
from flows.verification.triangulation import Triangulation, TriangulationRule
from flows.verification.verdicts import Ballot, Verdict
from tests.support.attempts import LocalSession, Say, ScriptedModel, block, task_on

CONFIG = TraceConfig(model="vendor/m-1", max_turns=4)
RULE = TriangulationRule()
SANDBOX = SandboxInfo(
    runtime="process",
    image_digest="sha256:" + "0" * 64,
    python="3.11.2",
    platform="linux-x86_64",
    libraries={"pandas": "3.0.0"},
    walls={"landlock_abi": 7},
)
LOADED = LoadedDataset(
    name="cities.csv", rows=4, columns=3, encoding="utf-8", delimiter=",", bytes=60, sha256="ab" * 32, seconds=0.1
)
WORK: tuple[Say, ...] = (
    block("n = len(df)\nprint(n)\nnote('n', n, code_line='n = len(df)')"),
    block("print(nn)"),
    "I forgot the code.",
    block("submit(n)"),
)


HINT = "Count them."


async def attempts(*scripts: tuple[Say, ...], task: Task | None = None) -> list[Trace]:
    """One attempt for each script, the first with a hint."""
    return [
        await run_trace(
            ScriptedModel(*script),
            LocalSession(),
            task or task_on(),
            CONFIG,
            hint=HINT if index == 0 else None,
            sample_index=index,
        )
        for index, script in enumerate(scripts)
    ]


def verdict_of(question: Question, traces: list[Trace]) -> Verdict:
    """The vote over the traces; of a question with a hint the first one is gold."""
    ballots = [
        Ballot.of(parse_answer(trace.answer, question.answer)) if trace.answer is not None else Ballot("no_answer")
        for trace in traces
    ]
    vote = Triangulation.plan(question.answer, question.difficulty, RULE, hinted=question.hinted)
    if question.hinted:
        vote, ballots = vote.with_gold(ballots[0]), ballots[1:]
    vote = vote.with_launched(len(ballots))
    for index, ballot in enumerate(ballots):
        vote = vote.with_ballot(index, ballot)
    verdict = vote.decided()
    assert verdict is not None
    return verdict


def plan_for(
    question: Question, dataset: Dataset, profile: DatasetProfile | None = None, limits: SandboxLimits | None = None
) -> EpisodePlan:
    """The plan for a question."""
    return EpisodePlan.of(
        Task(question, dataset, profile or task_on().profile), CONFIG, RULE,
        endpoint="http://127.0.0.1/v1", image_digest=SANDBOX.image_digest, limits=limits or SandboxLimits(),
    )  # fmt: skip


async def episode_on(text: str = "How many rows are there?", answer: int = 4) -> Episode:
    """An episode made of a gold trace and three independent ones that submit `answer`."""
    task = task_on(text=text)
    task = task._replace(question=task.question.model_copy(update={"hint": HINT}))
    others: list[tuple[Say, ...]] = [(block(f"submit({answer})"),)] * 3
    traces = await attempts(WORK, *others, task=task)
    return make_episode(
        plan_for(task.question, task.dataset),
        task.question,
        DatasetRef.of(task.dataset, LOADED),
        traces,
        verdict_of(task.question, traces),
        sandbox=SANDBOX,
    )


async def equal_episode(*answers: int) -> Episode:
    """An episode of a question without a hint, whose traces submit these answers."""
    task = task_on()
    traces = [
        await run_trace(ScriptedModel(block(f"submit({answer})")), LocalSession(), task, CONFIG, sample_index=index)
        for index, answer in enumerate(answers, start=1)
    ]
    verdict = verdict_of(task.question, traces)
    plan, dataset = plan_for(task.question, task.dataset), DatasetRef.of(task.dataset, LOADED)
    return make_episode(plan, task.question, dataset, traces, verdict, sandbox=SANDBOX)
