"""A report: what model calls took and cost, which models are out of order, how far each dataset is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import blocks.shell  # noqa: F401  (signals, --help, and what Prefect reads when it is imported)

from cyclopts import Parameter
from prefect import State, flow
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.runtime import flow_run
from prefect.states import Completed

from blocks.command_line import run_flow
from blocks.interrupts import run_until_told
from blocks.settings import settings
from blocks.store import visited_store
from blocks.watched import watched
from flows.display.overview import print_report, report_page
from flows.overview.gathering import gather_report
from flows.overview.options import ReportOptions
from flows.overview.records import HomeReport
from flows.runs.reports import run_name

DEFAULTS = ReportOptions()


@watched
@flow(name="report")
async def report(*, options: Annotated[ReportOptions, Parameter(name="*")] = DEFAULTS) -> State[HomeReport]:
    """Tell what model calls took and cost, which models are out of order, and how far each dataset is.

    Requests are those that left, retries and failed calls included; tokens and dollars are what providers reported.

    Args:
        options: What it is about.
    """
    found = await _gathered(options)
    await acreate_table_artifact(found.table(), key="spending", description=found.sentence())
    await acreate_markdown_artifact(report_page(found), key="report", description=found.sentence())
    return Completed(message=found.sentence(), data=found)


async def _gathered(options: ReportOptions) -> HomeReport:
    async with visited_store() as journal:
        return await gather_report(journal, settings().home, options, run_name(flow_run.id))


def _without_a_run(given: Mapping[str, Any]) -> int:
    """From a shell, what only looks needs no server."""
    found = run_until_told(_gathered(given.get("options", DEFAULTS)))
    print_report(found)
    return found.exit_code


if __name__ == "__main__":
    sys.exit(run_flow(report, instead=_without_a_run, closing=print_report))
