"""What the machinery around the user's code costs: CPU of zygote, channel and host side while 500 cells run."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from blocks.sandboxes import Runtime, Sandbox, SandboxLimits, Session
from blocks.sandboxes.conformance import host
from tests.benchmarks.processes import cpu_seconds, named
from tests.benchmarks.report import Row, print_table
from tests.benchmarks.sizes import size

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

CELLS = size(500, 8)
CELL_CPU_S = 0.020
SESSIONS = size(16, 2)
WORK = f"""
import time
until = time.thread_time() + {CELL_CPU_S}
while time.thread_time() < until:
    pass
print("done")
"""


async def test_cpu_around_the_cells(runtime: Runtime, small_csv: Path) -> None:
    async with await Sandbox.open(runtime, small_csv, limits=SandboxLimits(max_sessions=SESSIONS)) as sandbox:
        sessions = [await sandbox.session() for _ in range(SESSIONS)]
        pids = [(await host.find(session))[0] for session in sessions]
        chain = host.zygotes(pids[0], os.getpid())
        engine = named("dockerd", "containerd", "containerd-shim") if runtime.name == "docker" else []
        queue = asyncio.Queue[int]()
        for n in range(CELLS):
            queue.put_nowait(n)
        before = [cpu_seconds(group) for group in (pids, chain, engine)]
        own, start = time.process_time(), time.perf_counter()
        await asyncio.gather(*(work(session, queue) for session in sessions))
        wall, host_s = time.perf_counter() - start, time.process_time() - own
        inside, zygote, daemon = (
            cpu_seconds(group) - was for group, was in zip((pids, chain, engine), before, strict=True)
        )
    user = CELLS * CELL_CPU_S
    around = host_s + zygote + daemon
    whole = around + inside
    share, strict = around / whole, (whole - user) / whole
    print_table(
        f"CPU of {CELLS} cells of {1000 * CELL_CPU_S:.0f} ms over {SESSIONS} sessions, {runtime.name} runtime",
        [
            Row("wall clock", f"{wall:.2f} s"),
            Row("the sessions", f"{inside:.2f} s"),
            Row("of which the user's code", f"{user:.2f} s"),
            Row("zygote", f"{zygote:.2f} s"),
            Row("host side", f"{host_s:.2f} s"),
            Row("engine", f"{daemon:.2f} s"),
            Row("zygote, channel, engine and host side : all", f"{share:.1%}", "15 %", share < 0.15),
            Row("all but the user's own loop : all", f"{strict:.1%}", "15 %", strict < 0.15),
        ],
    )


async def work(session: Session, queue: asyncio.Queue[int]) -> None:
    """Run cells until the queue is empty."""
    while not queue.empty():
        queue.get_nowait()
        result = await session.run(WORK)
        assert result.stdout == "done\n"
