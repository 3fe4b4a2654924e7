"""Flow runs that report incidents, as a program: CSV, then RUN=N for each run and how many it is to report.

The first is a real one, a zygote killed by SIGKILL, and is printed; all others are that one told again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from uuid import UUID

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow_async

from blocks.sandboxes import Incident
from blocks.sandboxes.process import ProcessTransport
from blocks.specs import PoolSpec
from blocks.workbench import sandbox_pool
from tests.blocks.sandboxes.support import tree

SLUG = "penguins"
SPEC = PoolSpec(runtime="process")
_real: list[Incident] = []


@flow(name="sick")
async def sick(data: str, count: int) -> None:
    """Report so many incidents."""
    async with sandbox_pool(SPEC) as pool:
        told = 0
        if not _real:
            await part(data)
            told = 1
        assert pool.observer is not None
        for _ in range(count - told):
            pool.observer(_real[0])


@flow(name="sick-part")
async def part(data: str) -> None:
    """Kill a zygote and wait until it is replaced."""
    async with sandbox_pool(SPEC) as pool, pool.open(Path(data), slug=SLUG) as sandbox:
        async with await sandbox.session() as session:
            transport = (await sandbox.ready_link()).transport
            assert isinstance(transport, ProcessTransport)
            _, zygote, *_ = tree(transport.pid)
            os.kill(zygote, signal.SIGKILL)
            lost = await session.run("1")
            assert lost.status == "lost", lost
            assert (await session.run("1 + 1")).value == "2"
        _real.extend(sandbox.incidents)


async def main(data: str, orders: list[str]) -> None:
    """Run the flow as each of the runs."""
    async with get_client() as client:
        for order in orders:
            run, _, count = order.partition("=")
            flow_run = await client.read_flow_run(UUID(run))
            await run_flow_async(flow=sick, flow_run=flow_run, parameters={"data": data, "count": int(count)})
    sys.stdout.write(_real[0].model_dump_json() + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
