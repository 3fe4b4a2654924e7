"""Download: bring datasets home from the web, Kaggle, object stores and folders, each read and judged in a sandbox."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import blocks.shell  # noqa: F401  (signals, --help, and what Prefect reads when it is imported)

from cyclopts import Parameter
from prefect import State, Task, flow, task
from prefect.artifacts import acreate_table_artifact
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks.command_line import run_flow
from blocks.dataset_source import DatasetSource, source_for
from blocks.errors import SandboxError, TrigpointError
from blocks.held import when_free
from blocks.progress import PERIOD_S, ProgressArtifact
from blocks.sandboxes import SandboxPool
from blocks.settings import settings
from blocks.sources.models import Reference
from blocks.storage import kept, keyed, shared_storage
from blocks.watched import watched
from blocks.workbench import prewarm, sandbox_pool
from flows.display.transfers import Transfers, artifact_rows, print_downloads
from flows.runs.downloads import DownloadReport, DownloadRow, failed_row, row_before, settled_row
from flows.runs.reports import run_name
from flows.sharing.share import HomeShare
from flows.tables.arrivals import Arrival, DatasetWork
from flows.tables.intake import DownloadOptions, named_sources
from flows.tables.shelf import Shelf

DEFAULTS = DownloadOptions()
Listed = tuple[DatasetSource, Reference]


async def _worth_another_try(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    return isinstance(await state.aresult(raise_on_failure=False), SandboxError)


@task(
    name="dataset",
    task_run_name="{name}",
    persist_result=True,
    result_serializer="compressed/json",
    cache_key_fn=keyed(""),
    retries=2,
    retry_delay_seconds=[2, 10],
    retry_condition_fn=_worth_another_try,
)
async def fetch_dataset(name: str, key: str, work: DatasetWork) -> str:
    """Fetch one dataset, profile it in a sandbox and judge it; the result is the arrival as JSON.

    Args:
        name: The reference.
        key: Reference, version, limits and gate: any later run with the same one takes the result of this.
        work: The reference with its source, sandboxes and limits.
    """
    return (await work.arrive()).model_dump_json()


@watched
@flow(name="download")
async def download(
    sources: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    *,
    list_file: Annotated[str | None, Parameter(name=["--list", "--list-file"])] = None,
    options: Annotated[DownloadOptions, Parameter(name="*")] = DEFAULTS,
) -> State[DownloadReport]:
    """Bring datasets home: fetch them, read and profile each in a sandbox, and keep those that questions can be about.

    What is already there is not fetched again, and a transfer that broke off goes on where it stopped.

    Args:
        sources: https://…, s3://… or any fsspec URL, kaggle:OWNER/NAME, kaggle:?search=WORDS&pages=N&licence=WORD,
            a file, a folder, a glob, or block:TYPE/NAME; `#FILE` at the end names a file of an archive.
        list_file: A file with one source per line.
        options: How datasets are fetched and judged.
    """
    run, shelf, view = run_name(flow_run.id), Shelf(settings().home), Transfers()
    texts, logs = named_sources(sources or [], list_file), settings().home / "logs" / run
    with view.live():
        async with when_free(shelf.alone, shelf.incoming, view.warn), shared_storage() as objects:
            share = HomeShare(objects, settings().home)
            await share.exchange_datasets(view.warn)
            found, rows = await _list_all(texts, shelf, view, options, logs)
            async with sandbox_pool(options.pool()) as pool:
                rows += await _fetch_all(found, shelf, share, pool, view, options, logs)
    report = DownloadReport(run=run, rows=tuple(rows))
    await acreate_table_artifact(artifact_rows(report.rows), key="downloads", description=f"{run}: {report.sentence()}")
    return (Failed if report.exit_code == 2 else Completed)(message=report.sentence(), data=report)


async def _list_all(
    texts: Sequence[str], shelf: Shelf, view: Transfers, options: DownloadOptions, logs: Path
) -> tuple[list[Listed], list[DownloadRow]]:
    """Every dataset of every source, each reference once; and a row for each source that could not be listed."""
    free = asyncio.Semaphore(options.parallel)

    async def one(text: str) -> list[Listed] | DownloadRow:
        async with free:
            try:
                source = await source_for(text, check_version=options.refresh, max_bytes=options.limits().max_bytes)
                return [(source, reference) for reference in await source.references()]
            except Exception as error:  # One bad source never stops the others.
                return view.finished(failed_row(text, error, logs))

    found: dict[str, Listed] = {}
    failed = []
    for listed in await asyncio.gather(*map(one, texts)):
        if isinstance(listed, DownloadRow):
            failed.append(listed)
        else:
            for source, reference in listed:
                found.setdefault(reference.id, (source, shelf.ruled(reference, options.reading)))
    return list(found.values()), failed


async def _fetch_all(
    found: Sequence[Listed],
    shelf: Shelf,
    share: HomeShare,
    pool: SandboxPool,
    view: Transfers,
    options: DownloadOptions,
    logs: Path,
) -> list[DownloadRow]:
    """The rows. They are fetched side by side and settled in order, so of two duplicates the first is kept."""
    free, done = asyncio.Semaphore(options.parallel), ProgressArtifact(len(found), "Datasets")

    async def arrive(source: DatasetSource, reference: Reference, *, anew: bool = False) -> tuple[Arrival, float]:
        async with free:
            started, name = time.monotonic(), reference.id
            work = DatasetWork(
                source, reference, shelf.incoming, options.limits(), options.rule(), pool,
                progress=partial(view.bytes, name), phase=partial(view.phase, name),
            )  # fmt: skip
            anew = anew or (options.refresh and not reference.version)
            fetch = kept(fetch_dataset.with_options(refresh_cache=True) if anew else fetch_dataset)
            arrival = Arrival.model_validate_json(await fetch(name, work.key, work))
            if not view.knows(name):  # An earlier run's result.
                arrival = arrival.model_copy(update={"transferred": 0})
            return arrival, time.monotonic() - started

    async def settle(listed: Listed, arriving: asyncio.Task[tuple[Arrival, float]]) -> DownloadRow:
        try:
            arrival, seconds = await arriving
            row = await asyncio.to_thread(settled_row, shelf, arrival, seconds, options.keep_duplicates)
            if row is None:  # An earlier run fetched it, and somebody has removed it since.
                arrival, seconds = await arrive(*listed, anew=True)
                row = await asyncio.to_thread(settled_row, shelf, arrival, seconds, options.keep_duplicates)
            if row is None:
                raise TrigpointError("Its files vanished while it was worked on.")
            if row.state == "accepted":
                await share.give_dataset(row.dataset)
            return row
        except Exception as error:  # One bad dataset never stops the others.
            return failed_row(listed[1].id, error, logs)

    rows, todo = [], []
    for source, reference in found:
        row = await asyncio.to_thread(row_before, shelf, reference, options.refresh, logs)
        if row is None:
            todo.append((source, reference))
        else:
            rows.append(view.finished(row))
    await done.advance(len(rows))
    arriving = [asyncio.create_task(arrive(*listed)) for listed in todo]
    ticker = asyncio.create_task(_tick(done, view))
    try:
        for listed, arrival in zip(todo, arriving, strict=True):
            rows.append(view.finished(await settle(listed, arrival)))
            await done.advance(1, f"Datasets, {view.rate()}")
    finally:
        for running in (ticker, *arriving):
            running.cancel()
        await asyncio.gather(ticker, *arriving, return_exceptions=True)
    return rows


async def _tick(done: ProgressArtifact, view: Transfers) -> None:
    while True:
        await asyncio.sleep(2 * PERIOD_S)
        await done.advance(0, f"Datasets, {view.rate()}")


def _prewarm(parameters: Mapping[str, Any]) -> None:
    prewarm(parameters.get("options", DEFAULTS).pool())


if __name__ == "__main__":
    sys.exit(run_flow(download, meanwhile=_prewarm, closing=lambda done: print_downloads(done, home=settings().home)))
