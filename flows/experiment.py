"""Experiments: one prompt for every row of a table of models and variables, answers collected and compared."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import blocks.shell  # noqa: F401  (signals, --help, and what Prefect reads when it is imported)

from cyclopts import Parameter
from prefect import State, flow
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from blocks.command_line import run_flow
from blocks.interrupts import run_until_told
from blocks.model_desk import ModelDesk, model_desk, models_of
from blocks.progress import ProgressArtifact
from blocks.settings import settings
from blocks.watched import watched
from flows.display.experiments import comparison_page, print_experiment
from flows.display.tally import Tally, current_tally
from flows.matrix.checking import Checker, CheckReport
from flows.matrix.listing import ModelList
from flows.matrix.options import ExperimentOptions
from flows.matrix.records import Result
from flows.matrix.report import ExperimentReport
from flows.matrix.running import Experiment, Inputs, open_experiment
from flows.matrix.samples import SampleReport, write_samples
from flows.runs.reports import run_name

Report = ExperimentReport | CheckReport | ModelList | SampleReport
DEFAULTS = ExperimentOptions()


@watched
@flow(name="experiment")
async def experiment(
    experiments: Annotated[str | None, Parameter(alias="-e", allow_leading_hyphen=True)] = None,
    *,
    prompt: Annotated[str | None, Parameter(alias="-p", allow_leading_hyphen=True)] = None,
    output: Annotated[str | None, Parameter(alias="-o", allow_leading_hyphen=True)] = None,
    context: Annotated[list[str] | None, Parameter(alias="-c", negative="")] = None,
    list_models: str | None = None,
    init: str | None = None,
    options: Annotated[ExperimentOptions, Parameter(name="*")] = DEFAULTS,
) -> State[Report]:
    """Ask models the same prompt with different variables, and compare what they answer.

    The experiments are a CSV with the columns provider and model; every other column is a {{variable}} of the prompt,
    of context files and of paths. What was answered is never asked twice: the same command again completes what is
    missing.

    Args:
        experiments: CSV with provider, model and variables; - for standard input.
        prompt: The prompt's file; - for standard input.
        output: Where results go, .csv, .jsonl or .parquet, variables allowed; -: standard output; empty: in the home.
        context: A file put behind the prompt, or NAME=FILE for one that stands at {{NAME}}; may be given several times.
        list_models: Only list the models of openrouter, openai, ollama, mock or, with a base URL, compatible.
        init: Only write samples of prompt, experiments and context into this folder; nothing there is replaced.
        options: How it is run.
    """
    if list_models is not None:
        report: Report = await _listed(list_models, options)
    elif init is not None:
        report = write_samples(Path(init))
    else:
        report = await _run(Inputs(experiments, prompt, output, context or ()), options)
    await acreate_table_artifact(report.table(), key="experiment", description=report.sentence())
    return (Failed if report.exit_code == 2 else Completed)(message=report.sentence(), data=report)


async def _run(inputs: Inputs, options: ExperimentOptions) -> ExperimentReport | CheckReport:
    """Ask the rows that have no answer yet, or only check all of them."""
    with current_tally() as tally:
        async with open_experiment(inputs, options, settings().home, tally.warn) as work:
            for note in work.notes:
                tally.warn(note)
            desk_of = model_desk(
                base_url=options.base_url,
                timeout_s=options.timeout,
                in_flight=options.concurrency,
                warn=tally.warn,
                spending=options.spending(),
            )
            async with desk_of as desk:
                if options.validate_only:
                    return await Checker(work, desk.seat, desk.listed).check()
                report = await _asked(work, desk, tally)
    await acreate_markdown_artifact(comparison_page(report), key="comparison", description=report.sentence())
    return report


async def _asked(work: Experiment, desk: ModelDesk, tally: Tally) -> ExperimentReport:
    """Ask the rows, and show how far they are."""
    progress = ProgressArtifact(work.sheet.count, "Rows")

    async def ended(result: Result | None) -> None:
        tally.advance("rows", work.sheet.count)
        await progress.advance()

    return await work.run(run_name(flow_run.id), desk.seat, ended, tally.warn)


async def _listed(provider: str, options: ExperimentOptions) -> ModelList:
    return ModelList.of(provider, await models_of(provider, options.base_url))


def _without_a_run(given: Mapping[str, Any]) -> int | None:
    """From a shell, what asks no model needs no server either."""
    if given.get("list_models") is not None:
        report: Report = run_until_told(_listed(given["list_models"], given.get("options", DEFAULTS)))
    elif given.get("init") is not None:
        report = write_samples(Path(given["init"]))
    else:
        return None
    print_experiment(report)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(run_flow(experiment, instead=_without_a_run, closing=print_experiment))
