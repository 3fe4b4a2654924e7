"""A night's work: new datasets are fetched, questions made about each, and answered, within a budget and a window."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import blocks.shell  # noqa: F401  (signals, --help, and what Prefect reads when it is imported)

from cyclopts import Parameter
from prefect import State, flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks.chat.outages import Outage
from blocks.command_line import run_flow
from blocks.errands import Errands
from blocks.progress import ProgressArtifact
from blocks.settings import settings
from blocks.specs import Errand, Outcome
from blocks.storage import shared_storage
from blocks.watched import watched
from blocks.workbench import outage_of
from flows.display.tally import Tally, current_tally
from flows.generation.options import QuestionOptions
from flows.nights.allowance import Allowance
from flows.nights.options import NightlyOptions
from flows.nights.report import NightReport, NightRow, print_night
from flows.nights.shelf import dataset_names
from flows.nights.shift import STATES, Shift
from flows.runs.options import ModelOptions
from flows.runs.reports import run_name
from flows.sharing.share import HomeShare
from flows.tables.intake import DownloadOptions
from flows.tables.reading import one_way_to_read
from flows.verification.options import EpisodeOptions

NIGHTLY, DOWNLOAD, QUESTION, EPISODE = NightlyOptions(), DownloadOptions(), QuestionOptions(), EpisodeOptions()


@watched
@flow(name="nightly")
async def nightly(
    sources: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    *,
    list_file: Annotated[str | None, Parameter(name=["--list", "--list-file"])] = None,
    options: Annotated[NightlyOptions, Parameter(name="*")] = NIGHTLY,
    download: DownloadOptions = DOWNLOAD,
    question: QuestionOptions = QUESTION,
    episode: EpisodeOptions = EPISODE,
) -> State[NightReport]:
    """Fetch new datasets, then make questions about every dataset of the home and answer them, new datasets first.

    What earlier nights finished is left alone, and what fails is told at the end and stops nothing else. Deployed, each
    dataset is worked on in containers of its own on the hosts; run from a shell, here, one after the other.

    Args:
        sources: What to download first, as `flows/download.py` takes it; empty: nothing.
        list_file: A file with one source per line.
        options: How much the night may do.
        download: How datasets are fetched and judged.
        question: How questions are made.
        episode: How questions are answered.
    """
    one_way_to_read(question.reading, episode.reading)
    run = run_name(flow_run.id)
    allowance = Allowance(options.most_questions, options.hours * 3600)
    errands = Errands(allowance.ends)

    async def start(name: str, slug: str, path: str, given: QuestionOptions | EpisodeOptions) -> Outcome:
        errand = _errand(name, options)
        return await errands.run(errand, f"{run}-{slug}", datasets=[path], options=given)

    fetched = None
    if sources or list_file:
        errand, name = _errand("download", options), f"{run}-download"
        outcome = await errands.run(errand, name, sources=sources, list_file=list_file, options=download)
        fetched = NightRow(dataset="download", state=STATES[outcome.state], detail=outcome.message)
    home, build = settings().home, settings().build
    async with shared_storage() as objects:
        share = HomeShare(objects, home)
        with current_tally() as tally:
            await share.exchange_datasets(tally.warn)
            shift = Shift(
                start, _outage, tally.warn, allowance, options, question, episode,
                home=home, build=build, share=share, logs=home / "logs" / run,
            )  # fmt: skip
            rows = await _all(shift, tally)
    report = NightReport(run=run, download=fetched, rows=tuple(rows))
    await acreate_markdown_artifact(report.page(), key="nightly", description=report.sentence())
    return (Failed if report.exit_code == 2 else Completed)(message=report.sentence(), data=report)


def _errand(name: str, options: NightlyOptions) -> Errand:
    """A flow by its deployment and its entry point: a flow file imports no other."""
    return Errand(f"{name}/{options.deployment}", f"flows.{name}.{name}")


async def _outage(options: ModelOptions) -> Outage | None:
    """Why a model is not to be asked for now. One that is not named, or not to be had, its flow complains of."""
    return None if options.model is None else await outage_of(options.model_spec())


async def _all(shift: Shift, tally: Tally) -> list[NightRow]:
    """A row for every dataset of the home."""
    found = dataset_names(settings().home)
    progress = ProgressArtifact(len(found), "Datasets")

    async def one(name: str) -> NightRow:
        row = await shift.work_on(name)
        tally.finished(row.sentence(), mark=row.symbol, style="red" if row.state == "failed" else "green")
        await progress.advance()
        return row

    return await asyncio.gather(*map(one, found))


if __name__ == "__main__":
    sys.exit(run_flow(nightly, closing=lambda night: print_night(night, home=settings().home)))
