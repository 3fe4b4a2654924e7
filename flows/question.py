"""Questions: make questions with proven answers about CSV files, from templates and from composed programs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from cyclopts import Parameter
from prefect import State, flow, task
from prefect.artifacts import acreate_table_artifact
from prefect.context import TaskRunContext
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks.command_line import run_flow
from blocks.errors import TrigpointError
from blocks.sandboxes import SandboxPool
from blocks.settings import settings
from blocks.workbench import prewarm, sandbox_pool
from flows.display.closing import print_generation
from flows.display.tally import Tally, current_tally
from flows.questions.contamination import Benchmarks, read_benchmarks
from flows.questions.generating import Batch, Recipe, Workplace, generate
from flows.questions.options import QuestionOptions
from flows.questions.shelf import Shelf
from flows.questions.workplace import open_workplace
from flows.runs.generation import DatasetQuestions, GenerationReport, SourceRow
from flows.runs.reports import run_name
from flows.samples.recording import bundled_jobs
from flows.tables.dataset import Dataset, read_dataset
from flows.verification.batch import Job, with_slugs

DEFAULTS = QuestionOptions()


class Order(NamedTuple):
    """A batch to be made: how, and where."""

    recipe: Recipe
    place: Workplace
    benchmarks: Benchmarks | None


def _result_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    return f"questions-v1-{parameters['key']}"


@task(
    name="questions",
    task_run_name="{name}",
    persist_result=True,
    result_serializer="compressed/json",
    cache_key_fn=_result_key,
    retries=1,
    retry_delay_seconds=2,
)
async def make_questions(name: str, key: str, order: Order) -> str:
    """Make a dataset's questions from one source; the result is the batch as JSON.

    Args:
        name: Dataset and source.
        key: The batch's key: any later run with the same one takes the result of this.
        order: How and where.
    """
    return (await generate(order.recipe, order.place, key, order.benchmarks)).model_dump_json()


@flow(name="dataset-questions", flow_run_name="{slug}")
async def dataset_questions(dataset: str, *, slug: str | None, options: QuestionOptions) -> DatasetQuestions:
    """Make the questions of one dataset.

    Args:
        dataset: A CSV file, or a folder with data.csv.
        slug: Its short name; empty: from the file's.
        options: How.
    """
    record = read_dataset(Path(dataset))
    record = record if slug is None else record.model_copy(update={"slug": slug})
    shelf = Shelf(settings().home / "questions", record.slug, record.key)
    benchmarks = _benchmarks(options)
    with current_tally() as tally:
        async with sandbox_pool(options.pool()) as pool:
            image = await pool.runtime.identity()
            keys = {recipe.key(record.key, image, benchmarks): recipe for recipe in options.recipes()}
            rows: list[SourceRow] = []
            for key in keys:
                if (entry := shelf.done(key)) is not None:
                    rows.append(SourceRow.of(record.slug, entry, shelf.questions(), cached=True))
                    tally.finished(f"{rows[-1].sentence()} (by an earlier run)")
            todo = {key: recipe for key, recipe in keys.items() if shelf.done(key) is None}
            if todo:
                rows += await _make(record, todo, benchmarks, shelf, pool, options.parallel_programs, tally)
    return DatasetQuestions(dataset=record.slug, file=str(shelf.path.absolute()), rows=tuple(rows))


async def _make(
    record: Dataset, todo: Mapping[str, Recipe], benchmarks: Benchmarks | None, shelf: Shelf, pool: SandboxPool,
    parallel: int, tally: Tally,
) -> list[SourceRow]:  # fmt: skip
    rows: list[SourceRow] = []
    async with open_workplace(pool, record, parallel=parallel) as place:
        for key, recipe in todo.items():
            name = f"{record.slug}/{recipe.source}"
            order = Order(recipe, place._replace(advance=partial(tally.advance, name)), benchmarks)
            batch = Batch.model_validate_json(await make_questions(name, key, order))
            entry = await asyncio.to_thread(shelf.put, batch)
            rows.append(SourceRow.of(record.slug, entry, batch.questions, cached=False))
            tally.finished(rows[-1].sentence())
    return rows


def _benchmarks(options: QuestionOptions) -> Benchmarks | None:
    return None if options.benchmarks is None else read_benchmarks(Path(options.benchmarks), options.benchmark_words)


@flow(name="question")
async def question(
    datasets: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    *,
    options: Annotated[QuestionOptions, Parameter(name="*")] = DEFAULTS,
) -> State[GenerationReport]:
    """Make questions about CSV files: each with a program, and an answer that the program gave again and again.

    Without arguments the bundled datasets are worked on. No model, no key and no network are needed.

    Args:
        datasets: CSV files, or folders with a data.csv; empty: the bundled ones.
        options: How questions are made.
    """
    free = asyncio.Semaphore(options.parallel_datasets)

    async def one(job: Job) -> DatasetQuestions:
        async with free:
            try:
                return await dataset_questions(job.dataset, slug=job.slug, options=options)
            except TrigpointError as error:
                tally.warn(str(error))
                return DatasetQuestions(dataset=job.dataset, error=str(error))

    with current_tally() as tally:
        _benchmarks(options)
        async with sandbox_pool(options.pool()):
            reports = await asyncio.gather(*map(one, _jobs(datasets)))
    report = GenerationReport(run=run_name(flow_run.id), datasets=tuple(reports))
    await acreate_table_artifact(report.table(), key="questions", description=f"{report.run}: {report.sentence()}")
    return (Failed if report.exit_code == 2 else Completed)(message=report.sentence(), data=report)


def _jobs(datasets: list[str] | None) -> list[Job]:
    return with_slugs([Job(dataset, None) for dataset in datasets]) if datasets else bundled_jobs()


def _prewarm(parameters: Mapping[str, Any]) -> None:
    options = parameters.get("options", DEFAULTS)
    prewarm(options.pool(), min(len(_jobs(parameters.get("datasets"))), options.parallel_datasets))


if __name__ == "__main__":
    sys.exit(run_flow(question, meanwhile=_prewarm, closing=partial(print_generation, home=settings().home)))
