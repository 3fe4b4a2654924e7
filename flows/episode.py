"""Episodes: answer questions about CSV files in a sandbox, keep what independent attempts agree on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import blocks.shell  # noqa: F401  (signals, --help, and what Prefect reads when it is imported)

from cyclopts import Parameter
from prefect import State, Task, flow, get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks.command_line import run_flow
from blocks.held import when_free
from blocks.progress import ProgressArtifact
from blocks.settings import settings
from blocks.storage import kept, keyed, shared_storage
from blocks.watched import watched
from blocks.workbench import prewarm, workbench
from flows.display.board import Board, current_board
from flows.display.closing import print_closing
from flows.display.markdown import artifact_key, dataset_page, table_rows
from flows.display.rows import QuestionRow
from flows.generation.first import make_first_questions
from flows.runs.logs import dataset_log, told
from flows.runs.noting import tell_notes
from flows.runs.reports import DatasetReport, RunReport, run_name
from flows.samples.recording import JOURNAL, jobs_of
from flows.sharing.share import HomeShare
from flows.tables.dataset import read_dataset
from flows.tables.opening import table_of
from flows.verification.batch import Job, gather_questions
from flows.verification.desk import Keeper, incidents_of, set_out, sort_questions
from flows.verification.former import episode_file, open_episodes
from flows.verification.options import EpisodeOptions
from flows.verification.records import Episode
from flows.verification.work import CutOff, QuestionWork, row_of, settled_rows, unfinished_row

DEFAULTS = EpisodeOptions()


async def _worth_another_try(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    return getattr(await state.aresult(raise_on_failure=False), "again", False) is True


@task(
    name="question",
    task_run_name="{name}",
    persist_result=True,
    result_serializer="compressed/json",
    cache_key_fn=keyed("question-v1-"),
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=_worth_another_try,
)
async def answer_question(name: str, key: str, work: QuestionWork) -> str:
    """Answer one question and verify the answer; the result is the episode as a line of its file.

    Args:
        name: The question's id.
        key: The episode key: any later run with the same one takes the result of this.
        work: The question with its sandbox and model.
    """
    return (await work.episode()).to_line().decode()


@watched
@flow(name="dataset", flow_run_name="{slug}")
async def dataset_episodes(
    dataset: str, *, slug: str | None, questions: str | None, ask: list[str], options: EpisodeOptions, run: str
) -> DatasetReport:
    """Make the episodes of one dataset.

    Args:
        dataset: A CSV file, or a folder with data.csv.
        slug: Its short name; empty: from the file's.
        questions: A question file (JSON lines); empty: the home's own for this dataset, else template questions.
        ask: Questions in plain words.
        options: How they are answered and verified.
        run: Name of the run, for its logs.
    """
    home, record = settings().home, read_dataset(Path(dataset), slug=slug, reading=options.reading)
    logs, spec = home / "logs" / run, options.model_spec(JOURNAL)
    with current_board() as board, dataset_log(logs, record.slug) as log:
        alone = when_free(partial(open_episodes, home, record), episode_file(home, record), board.warn)
        async with alone as store, shared_storage() as objects, workbench(options.pool(), spec) as bench:
            share = HomeShare(objects, home).of(record)
            config, taken, keeper = options.solve_config(bench.model), await share.take(store), Keeper(store, share)
            asked = gather_questions(record, Path(questions) if questions else None, ask, home)
            async with table_of(bench.pool, record, home) as table:
                tell_notes(record := table.dataset, home, str(logs), board.warn, log.warning, get_run_logger().warning)
                if not (asked.questions or questions):
                    asked = await make_first_questions(table, home, board.warn)
                await share.give_questions()
                agenda = sort_questions(asked.questions, table, config, store, endpoint=bench.endpoint)
                board.warn_all(problems := (*asked.problems, *store.problems, *taken))
                todo = agenda.todo[: options.most_questions]
                board.dataset(record.slug, total=agenda.settled + len(todo), phase="opening the sandbox")
                rows = [board.finished(row) for row in settled_rows(record.slug, agenda.finished, agenda.left)]
                if todo:
                    work = await set_out(table, todo, config, client=bench.client, log=log, step=board.step)
                    rows += await _answer_all(work, record.slug, keeper, board, options.parallel_questions)
                lost = incidents_of(await table.sandbox()) if todo else ()
    page = dataset_page(record.slug, rows, problems, record.notes, [str(store.path.absolute()), str(logs.absolute())])
    await acreate_markdown_artifact(page, key=artifact_key("dataset", record.stem), description=f"Run {run}")
    return DatasetReport(
        dataset=record.slug, notes=record.notes, rows=(*rows,), error=share.trouble, problems=problems, incidents=lost
    )  # fmt: skip


async def _answer_all(
    work: Sequence[QuestionWork], slug: str, keeper: Keeper, board: Board, parallel: int
) -> list[QuestionRow]:
    """Every question's row; what stops all questions stops the asking."""
    free, progress = asyncio.Semaphore(parallel), ProgressArtifact(len(work), f"Questions about {slug}")
    obstacle = ""

    async def one(item: QuestionWork) -> QuestionRow:
        nonlocal obstacle
        async with free:
            name = item.question.id
            row = unfinished_row(slug, name, None, obstacle) if obstacle else await _answer(item, slug, keeper)
            obstacle = obstacle or keeper.obstacle(item)
            await progress.advance()
            return board.finished(row)

    return await asyncio.gather(*map(one, work))


async def _answer(work: QuestionWork, slug: str, keeper: Keeper) -> QuestionRow:
    try:
        line = await kept(answer_question)(work.question.id, work.plan.key, work)
        episode = Episode.from_line(line.encode())
    except CutOff:
        return unfinished_row(slug, work.question.id, work.solution)
    except Exception as error:  # A defect of ours in one question must not cost the others.
        return unfinished_row(slug, work.question.id, None, work.unforeseen(error))
    await keeper.keep(episode)
    return row_of(episode, cached=work.solution is None)


@watched
@flow(name="episode")
async def episode(
    datasets: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    *,
    questions: str | None = None,
    ask: Annotated[list[str] | None, Parameter(negative="")] = None,
    options: Annotated[EpisodeOptions, Parameter(name="*")] = DEFAULTS,
) -> State[RunReport]:
    """Answer questions about CSV files in a sandbox, several times each, and keep what the attempts agree on.

    Without arguments the bundled datasets are worked on, the model's replies taken from a recorded journal: no key, no
    network and no Docker are needed.

    Args:
        datasets: CSV files, or folders with a data.csv; empty: the bundled ones.
        questions: Question file, one JSON object with at least a "text" per line; empty: the home's, or new ones.
        ask: A question in plain words; may be given several times.
        options: How questions are answered and verified.
    """
    run, free = run_name(flow_run.id), asyncio.Semaphore(options.parallel_datasets)

    async def one(job: Job) -> DatasetReport:
        async with free:
            try:
                return await dataset_episodes(
                    job.dataset, slug=job.slug, questions=job.questions, ask=ask or [], options=options, run=run
                )
            except Exception as error:  # One bad dataset never stops the others.
                said = told(error, settings().home / "logs" / run, job.name)
                board.warn(said)
                return DatasetReport(dataset=job.dataset, error=said)

    with current_board() as board:
        async with shared_storage() as objects:
            await HomeShare(objects, settings().home).take_named(datasets, board.warn)
            jobs, options = jobs_of(datasets or [], questions, options)
            async with workbench(options.pool(), options.model_spec(JOURNAL)):
                reports = await asyncio.gather(*map(one, jobs))
    report = RunReport(run=run, replay=options.offline and not datasets, datasets=tuple(reports))
    await acreate_table_artifact(table_rows(report.rows), key="episodes", description=f"{run}: {report.sentence()}")
    return (Failed if report.exit_code == 2 else Completed)(message=report.sentence(), data=report)


def _prewarm(given: Mapping[str, Any]) -> None:
    jobs, options = jobs_of(given.get("datasets") or [], given.get("questions"), given.get("options", DEFAULTS))
    prewarm(options.pool(), options.parallel_datasets, [job.file for job in jobs])


if __name__ == "__main__":
    sys.exit(run_flow(episode, meanwhile=_prewarm, closing=lambda report: print_closing(report, settings=settings())))
