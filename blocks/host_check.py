"""Whether this machine is fit to be a host: what was looked at, what is wrong, and the remedy of each.

    python -m blocks.host_check [--gpu] [--json] …

Nothing is changed. Exit code 0: fit; 1: something is wrong; 2: the command line was.
"""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from blocks.arguments import parse_call, run_work
from blocks.host.engine import look_at_engine
from blocks.host.findings import HostNeeds, HostReport
from blocks.host.machine import look_at_machine
from blocks.host.server import look_at_server
from blocks.interrupts import run_until_told
from blocks.terminal import plain_table

STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}
DEFAULTS = HostNeeds()


async def check_host(
    *,
    needs: Annotated[HostNeeds, Parameter(name="*")] = DEFAULTS,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> HostReport:
    """Look at this machine, its Docker engine and the Prefect server, and say what is wrong with the remedy.

    Args:
        needs: What the host is to be good for.
        json: Print the report as JSON instead of a table.
    """
    found = look_at_machine(needs)
    engine, facts = await asyncio.to_thread(look_at_engine, needs)
    found += engine
    if needs.server:
        found += await look_at_server(needs, facts)
    return HostReport(host=platform.node(), at=datetime.now(UTC), findings=tuple(found))


def print_report(report: HostReport, console: Console) -> None:
    """A row for each finding, its remedy below it."""
    table = plain_table("", "what", "found and what to do")
    for finding in report.findings:
        text = Text(finding.found)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", style="cyan")
        table.add_row(Text(finding.standing, style=STYLES[finding.standing]), finding.what, text)
    console.print(table)
    console.print(Text(f"{report.sentence()}."), soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the host and print what was found; the exit code."""
    asked = parse_call(check_host, "python -m blocks.host_check", arguments)

    def work() -> int:
        report = run_until_told(check_host(**asked))
        if asked.get("json"):
            Console(soft_wrap=True).print_json(report.model_dump_json())
        else:
            print_report(report, Console())
        return report.exit_code

    return run_work(work)


if __name__ == "__main__":
    sys.exit(main())
