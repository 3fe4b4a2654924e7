"""From opening a sandbox to its first cell's answer: a first run, and a next one that finds the first one's sandbox."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from blocks.sandboxes import DockerRuntime, SandboxPool
from tests.benchmarks.report import Row, ms, print_table, ratio
from tests.benchmarks.sizes import size

pytestmark = [pytest.mark.benchmark, pytest.mark.engine, pytest.mark.timeout(600)]

ROWS = size(200_000, 2_000)
ROUNDS = size(5, 1)
AGAIN = size(5, 1)
"""Next runs after each first one."""


async def first_cell(realm: str, dataset: Path) -> float:
    """Wall clock of a run of its own, seconds."""
    start = time.perf_counter()
    runtime = DockerRuntime()
    runtime.realm = realm
    pool = SandboxPool(runtime, warm_s=300.0)
    async with pool.open(dataset) as sandbox, await sandbox.session() as session:
        result = await session.run("len(df)")
        taken = time.perf_counter() - start
        assert result.value == str(ROWS)
    await pool.close()
    return taken


async def test_first_cell_of_a_first_and_of_a_next_run(tmp_path: Path) -> None:
    dataset = tmp_path / "numbers.csv"
    dataset.write_text("a,b,c\n" + "".join(f"{n},{n % 7},{n / 3:.4f}\n" for n in range(ROWS)))
    first, following = [], []
    for _ in range(ROUNDS):
        realm = f"benchmark {uuid.uuid4()}"
        first.append(await first_cell(realm, dataset))
        following += [await first_cell(realm, dataset) for _ in range(AGAIN)]
        runtime = DockerRuntime()
        runtime.realm = realm
        assert await runtime.trim(0) == 1
    rows = [
        Row("first run, from opening the sandbox to its first cell's answer", ms(first)),
        Row("next run on the same dataset", f"{ms(following)} = 1/{ratio(following, first):.0f}"),
    ]
    print_table(f"Warm sandboxes (docker, a CSV of {ROWS:,} rows)", rows)
