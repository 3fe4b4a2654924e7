"""Questions: make questions about CSV files worth asking, from templates, from composed programs and by a model."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import blocks.shell  # noqa: F401  (signals, --help, and what Prefect reads when it is imported)

from cyclopts import Parameter
from prefect import State, Task, flow, get_run_logger, task
from prefect.artifacts import acreate_table_artifact
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks.chat.errors import ModelAway
from blocks.chat.models import ChatClient
from blocks.command_line import run_flow
from blocks.errors import UserError
from blocks.held import when_free
from blocks.sandboxes import SandboxPool
from blocks.settings import settings
from blocks.storage import kept, keyed, shared_storage
from blocks.watched import watched
from blocks.workbench import prewarm, sandbox_pool, workbench
from flows.display.closing import print_generation
from flows.display.tally import Tally, current_tally
from flows.generation.options import QuestionOptions
from flows.generation.recipes import Asking, Batch
from flows.generation.shelf import Shelf, SourceReport
from flows.generation.steps import Sources, Step
from flows.generation.workplace import workplace_at
from flows.questions.contamination import Benchmarks, shared_benchmarks
from flows.runs.generation import DatasetQuestions, GenerationReport, SourceRow
from flows.runs.logs import told
from flows.runs.noting import log_notes
from flows.runs.reports import run_name
from flows.samples.recording import bundled_jobs
from flows.sharing.share import DatasetShare, HomeShare
from flows.tables.dataset import read_dataset
from flows.tables.opening import Table, table_of
from flows.verification.batch import Job, with_slugs

DEFAULTS = QuestionOptions()


class Bench(NamedTuple):
    """What a question run works with."""

    pool: SandboxPool
    benchmarks: Benchmarks | None
    client: ChatClient | None = None
    asking: Asking | None = None


async def _worth_another_try(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    return not isinstance(await state.aresult(raise_on_failure=False), UserError | ModelAway)


@task(
    name="questions",
    task_run_name="{name}",
    persist_result=True,
    result_serializer="compressed/json",
    cache_key_fn=keyed("questions-v1-"),
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=_worth_another_try,
)
async def make_questions(name: str, key: str, make: Callable[[str], Awaitable[Batch]]) -> str:
    """Make a batch of a dataset's questions, or put one into a model's words; the result is the batch as JSON.

    Args:
        name: Dataset and source.
        key: The batch's key: any later run with the same one takes the result of this.
        make: Makes the batch of a key.
    """
    return (await make(key)).model_dump_json()


@watched
@flow(name="dataset-questions", flow_run_name="{slug}")
async def dataset_questions(dataset: str, *, slug: str | None, options: QuestionOptions, run: str) -> DatasetQuestions:
    """Make the questions of one dataset.

    Args:
        dataset: A CSV file, or a folder with data.csv.
        slug: Its short name; empty: from the file's.
        options: How.
        run: Name of the run, for its logs.
    """
    record = read_dataset(Path(dataset), slug=slug, reading=options.reading)
    shelf = Shelf.of(settings().home, record)
    rows, error, file = list[SourceRow](), "", str(shelf.path.absolute())
    with current_tally() as tally:
        try:
            alone = when_free(shelf.alone, shelf.path, tally.warn)
            async with alone, shared_storage() as objects, _bench(options) as bench:
                share = HomeShare(objects, settings().home).of(record)
                await share.exchange_questions(tally.warn)
                async with table_of(bench.pool, record, settings().home) as table:
                    record, logger = table.dataset, get_run_logger()
                    log_notes(record, settings().home, run, tally.warn, logger.warning)
                    await _make_all(table, shelf, share, bench, options, tally, rows)
        except Exception as failure:  # What other sources have made by now stays, and is told.
            error = told(failure, settings().home / "logs" / run, record.slug)
            tally.warn(error)
    return DatasetQuestions(dataset=record.slug, file=file, rows=tuple(rows), error=error, notes=record.notes)


async def _make_all(
    table: Table, shelf: Shelf, share: DatasetShare, bench: Bench, options: QuestionOptions, tally: Tally,
    rows: list[SourceRow],
) -> None:  # fmt: skip
    """Each source's questions; the sandbox is opened when the first has something to do."""
    wording, slug = bench.asking if options.rewords else None, table.dataset.slug
    step_of = partial(Step.of, table=table, shelf=shelf, benchmarks=bench.benchmarks, wording=wording)
    open_place = partial(workplace_at, table, parallel=options.parallel_programs, client=bench.client)

    async def ended(entry: SourceReport, cached: bool) -> None:
        if not cached:
            await share.give_questions()
        rows.append(SourceRow.of(slug, entry, shelf.questions(), cached=cached))
        tally.finished(rows[-1].sentence() + (" (by an earlier run)" if cached else ""))

    sources = Sources(slug, shelf, step_of, open_place, _through, tally.advance, ended)
    await sources.make(options.recipes(bench.asking))


async def _through(name: str, key: str, make: Callable[[str], Awaitable[Batch]]) -> Batch:
    return Batch.model_validate_json(await kept(make_questions)(name, key, make))


@asynccontextmanager
async def _bench(options: QuestionOptions) -> AsyncIterator[Bench]:
    """The sandboxes, the benchmarks and, where any part of the run asks one, the model."""
    with shared_benchmarks(options.benchmarks, options.benchmark_words) as benchmarks:
        if options.asks_a_model:
            async with workbench(options.pool(), options.model_spec()) as bench:
                yield Bench(bench.pool, benchmarks, bench.client, options.asking(bench.model, bench.endpoint))
        else:
            async with sandbox_pool(options.pool()) as pool:
                yield Bench(pool, benchmarks)


@watched
@flow(name="question")
async def question(
    datasets: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    *,
    options: Annotated[QuestionOptions, Parameter(name="*")] = DEFAULTS,
) -> State[GenerationReport]:
    """Make questions about CSV files: each with a program, and an answer that the program gave again and again.

    Without arguments the bundled datasets are worked on; no model, no key and no network are needed. A model, where one
    is named, puts the questions into its own words and, as the source llm, looks at the tables and asks its own.

    Args:
        datasets: CSV files, or folders with a data.csv; empty: the bundled ones.
        options: How questions are made.
    """
    run, free = run_name(flow_run.id), asyncio.Semaphore(options.parallel_datasets)

    async def one(job: Job) -> DatasetQuestions:
        async with free:
            try:
                return await dataset_questions(job.dataset, slug=job.slug, options=options, run=run)
            except Exception as error:  # One bad dataset never stops the others.
                said = told(error, settings().home / "logs" / run, job.name)
                tally.warn(said)
                return DatasetQuestions(dataset=job.dataset, error=said)

    with current_tally() as tally, shared_benchmarks(options.benchmarks, options.benchmark_words):
        async with shared_storage() as objects, _bench(options):
            await HomeShare(objects, settings().home).take_named(datasets, tally.warn)
            reports = await asyncio.gather(*map(one, _jobs(datasets, options)))
    report = GenerationReport(run=run, datasets=tuple(reports))
    await acreate_table_artifact(report.table(), key="questions", description=f"{report.run}: {report.sentence()}")
    return (Failed if report.exit_code == 2 else Completed)(message=report.sentence(), data=report)


def _jobs(datasets: list[str] | None, options: QuestionOptions) -> list[Job]:
    return with_slugs([Job(each, None) for each in datasets], options.reading) if datasets else bundled_jobs()


def _prewarm(parameters: Mapping[str, Any]) -> None:
    options = parameters.get("options", DEFAULTS)
    if options.asks_a_model:
        options.named_model()
    prewarm(options.pool(), options.parallel_datasets, [job.file for job in _jobs(parameters.get("datasets"), options)])


if __name__ == "__main__":
    sys.exit(run_flow(question, meanwhile=_prewarm, closing=lambda made: print_generation(made, home=settings().home)))
