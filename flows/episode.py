"""Episodes: answer questions about CSV files in a sandbox, keep what independent attempts agree on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from cyclopts import Parameter
from prefect import State, Task, flow, task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.client.schemas.objects import TaskRun
from prefect.context import TaskRunContext
from prefect.runtime import flow_run
from rich.console import Console

from blocks.command_line import run_flow
from blocks.errors import TrigpointError, UserError
from blocks.settings import settings
from blocks.workbench import ModelSpec, PoolSpec, Workbench, prewarm, workbench
from flows.display.board import Board, current_board
from flows.display.closing import print_closing
from flows.display.markdown import dataset_page, table_rows
from flows.display.rows import QuestionRow
from flows.runs.logs import dataset_log
from flows.runs.reports import DatasetReport, RunReport
from flows.samples.recording import JOURNAL, recorded_options, samples
from flows.tables.dataset import read_dataset
from flows.verification.batch import gather_questions
from flows.verification.desk import Desk, keep, set_up_desk
from flows.verification.options import EpisodeOptions
from flows.verification.records import Episode
from flows.verification.store import EpisodeStore
from flows.verification.work import CutOff, QuestionWork, row_of, unfinished_row

Options = Annotated[EpisodeOptions, Parameter(name="*")]
DEFAULTS = EpisodeOptions()


def _result_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    return f"question-v1-{parameters['key']}"


async def _worth_another_try(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, CutOff) and error.again


@task(
    name="question",
    task_run_name="{name}",
    persist_result=True,
    result_serializer="compressed/json",
    cache_key_fn=_result_key,
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=_worth_another_try,
)
async def answer_question(name: str, key: str, work: QuestionWork) -> dict[str, Any]:
    """Answer one question and verify the answer; the result is the episode as JSON.

    Args:
        name: The question's id.
        key: The episode key: any later run with the same one takes the result of this.
        work: The question with its sandbox and model.
    """
    return (await work.episode()).model_dump(mode="json")


def _dataset_run_name() -> str:
    return Path(str(flow_run.parameters["dataset"])).absolute().parent.name


@flow(name="dataset")
async def dataset_episodes(
    dataset: str, *, questions: str | None, ask: list[str], options: EpisodeOptions, run: str
) -> DatasetReport:
    """Make the episodes of one dataset.

    Args:
        dataset: A CSV file, or a folder with data.csv.
        questions: A question file (JSON lines); empty: the home's own for this dataset.
        ask: Questions in plain words.
        options: How they are answered and verified.
        run: Name of the run, for its logs.
    """
    home = settings().home
    record = read_dataset(Path(dataset))
    asked = gather_questions(record, Path(questions) if questions else None, ask, home)
    path = home / "episodes" / f"{record.slug}.jsonl"
    logs = home / "logs" / run
    with current_board() as board, dataset_log(logs, record.slug) as log, EpisodeStore(path) as store:
        problems = (*asked.problems, *store.problems)
        for problem in problems:
            board.warn(problem)
        board.dataset(record.slug, total=len(asked.questions), phase="opening the sandbox")
        async with _bench(options) as bench, bench.pool.open(record.path) as sandbox:
            board.dataset(record.slug, total=len(asked.questions), phase="reading the table")
            desk = await set_up_desk(
                sandbox, record, asked.questions, options.solve_config(bench.model),
                client=bench.client, endpoint=bench.endpoint, store=store, log=log,
                step=lambda question, doing: board.step(record.slug, question, doing),
            )  # fmt: skip
            rows = await _answer_all(desk, record.slug, store, board, options.parallel_questions)
        incidents = tuple(f"{incident.kind}: {incident.reason}" for incident in sandbox.incidents)
    files = {"episodes": path.absolute(), "log": (logs / f"{record.slug}.log").absolute()}
    page = dataset_page(record.slug, rows, problems, [str(file) for file in files.values()])
    await acreate_markdown_artifact(page, key=f"dataset-{_key_text(record.slug)}", description=f"Run {run}")
    return DatasetReport(dataset=record.slug, rows=tuple(rows), problems=problems, incidents=incidents, files=files)


async def _answer_all(desk: Desk, slug: str, store: EpisodeStore, board: Board, parallel: int) -> list[QuestionRow]:
    """Every question's row, finished ones first; what stops all questions stops the asking."""
    for episode in desk.finished:
        board.finished(row_of(episode, cached=True))
    free, writing = asyncio.Semaphore(parallel), asyncio.Lock()
    obstacle = ""

    async def one(work: QuestionWork) -> QuestionRow:
        nonlocal obstacle
        async with free:
            if obstacle:
                row = unfinished_row(slug, work.question.id, None, obstacle)
            else:
                row = await _answer(work, slug, store, writing)
                if work.run_wide_obstacle is not None:
                    obstacle = f"not asked: {work.run_wide_obstacle.message}"
            board.finished(row)
            return row

    rows = await asyncio.gather(*map(one, desk.work))
    return [row_of(episode, cached=True) for episode in desk.finished] + rows


async def _answer(work: QuestionWork, slug: str, store: EpisodeStore, writing: asyncio.Lock) -> QuestionRow:
    try:
        data = await answer_question(work.question.id, work.plan.key, work)
    except CutOff:
        return unfinished_row(slug, work.question.id, work.solution)
    except Exception as error:  # A defect of ours in one question must not cost the others.
        return unfinished_row(slug, work.question.id, None, f"{type(error).__name__}: {error}")
    episode = Episode.model_validate(data)
    await keep(store, writing, episode)
    return row_of(episode, cached=work.solution is None)


@flow(name="episode")
async def episode(
    datasets: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    *,
    questions: str | None = None,
    ask: Annotated[list[str] | None, Parameter(negative="")] = None,
    options: Options = DEFAULTS,
) -> RunReport:
    """Answer questions about CSV files in a sandbox, several times each, and keep what the attempts agree on.

    Without arguments the bundled datasets are worked on, the model's replies taken from a recorded journal: no key, no
    network and no Docker are needed.

    Args:
        datasets: CSV files, or folders with a data.csv; empty: the bundled ones.
        questions: Question file, one JSON object with at least a "text" per line.
        ask: A question in plain words; may be given several times.
        options: How questions are answered and verified.
    """
    run = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ") + f"-{str(flow_run.id or 'local')[:8]}"
    jobs, options = _jobs(datasets, questions, options)
    free = asyncio.Semaphore(options.parallel_datasets)

    async def one(dataset: str, file: str | None) -> DatasetReport:
        async with free:
            try:
                return await dataset_episodes(dataset, questions=file, ask=ask or [], options=options, run=run)
            except TrigpointError as error:
                board.warn(str(error))
                return DatasetReport(dataset=dataset, error=str(error))

    with current_board() as board:
        async with _bench(options):
            reports = await asyncio.gather(*(one(dataset, file) for dataset, file in jobs))
    report = RunReport(run=run, replay=options.offline and not datasets, datasets=tuple(reports))
    await acreate_table_artifact(table_rows(report.rows), key="episodes", description=f"{run}: {report.sentence()}")
    return report


def _jobs(
    datasets: list[str] | None, questions: str | None, options: EpisodeOptions
) -> tuple[list[tuple[str, str | None]], EpisodeOptions]:
    if not datasets and options.model is None:
        return [(str(data), str(file)) for data, file in samples()], recorded_options(options)
    if options.model is None:
        raise UserError("No model is named.", "Give --model openrouter/VENDOR/MODEL, or --model NAME --base-url URL.")
    return [(dataset, questions) for dataset in datasets or [str(data) for data, _ in samples()]], options


def _bench(options: EpisodeOptions) -> AbstractAsyncContextManager[Workbench]:
    replay = (JOURNAL,) if options.offline and JOURNAL.exists() else ()
    model = ModelSpec(options.model or "", options.base_url, options.offline, replay, options.parallel_calls)
    return workbench(_pool_spec(options), model)


def _pool_spec(options: EpisodeOptions) -> PoolSpec:
    return PoolSpec(options.runtime, options.docker_host, options.allow_weak, options.limits())


def _key_text(text: str) -> str:
    return "".join(sign if sign.isalnum() and sign.isascii() else "-" for sign in text.lower()).strip("-")


def _meanwhile(parameters: Mapping[str, Any]) -> None:
    prewarm(_pool_spec(parameters.get("options", DEFAULTS)), 1)


def _close(report: RunReport) -> None:
    home = settings().home.absolute()
    files = [
        ("episodes", home / "episodes"),
        ("logs", home / "logs" / report.run),
        ("Prefect results", home / "results"),
    ]
    print_closing(Console(), report, files=files)


if __name__ == "__main__":
    sys.exit(run_flow(episode, meanwhile=_meanwhile, closing=_close))
