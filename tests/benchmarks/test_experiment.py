"""A large experiment with the mock provider: memory, open files and coroutines while it runs, and time for a row.

`TRIGPOINT_TEST_ROWS` says how many rows, 20,000 by default.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import psutil
import pytest

from flows.matrix.records import Result
from tests.benchmarks.report import Row, print_table
from tests.benchmarks.sizes import size
from tests.support.experiments import Bench

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]

ROWS = int(os.environ.get("TRIGPOINT_TEST_ROWS", size(20_000, 60)))
MIB = 2**20


async def test_a_large_experiment(tmp_path: Path) -> None:
    bench, process = Bench(tmp_path), psutil.Process()
    bench.experiments("provider,model,topic,number", *(f"mock,m{n % 5},topic {n % 97},{n}" for n in range(ROWS)))
    bench.prompt("Say something about {{topic}}, in {{number}} words.")
    seen: list[tuple[int, float, int, int]] = []
    ended = 0

    def look(result: Result | None) -> None:
        nonlocal ended
        ended += 1
        if ended % (ROWS // 20) == 0:
            memory = process.memory_info().rss / MIB
            seen.append((ended, memory, process.num_fds(), len(asyncio.all_tasks())))

    wall, cpu = time.perf_counter(), time.process_time()
    report = await bench.run(look, report=True)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = process.memory_info().rss / MIB
    assert report.ok == ROWS
    again = time.process_time()
    report = await bench.run(look)
    again = time.process_time() - again
    assert report.earlier == ROWS
    early, late = seen[1], seen[18]
    files, tasks = [each[2] for each in seen[1:19]], [each[3] for each in seen[1:19]]
    print_table(
        f"An experiment of {ROWS} rows, mock provider, 50 at once",
        [
            Row("memory at a tenth of the rows, near the end, with the table written",
                f"{early[1]:.0f}, {late[1]:.0f}, {after:.0f} MiB"),
            Row("growth for 10,000 rows", f"{(late[1] - early[1]) / (late[0] - early[0]) * 10_000:.1f} MiB",
                "at most 1 MiB", (late[1] - early[1]) / (late[0] - early[0]) * 10_000 <= 1),
            # One more while the table is written.
            Row("open files, least and most", f"{min(files)}, {max(files)}", "at most 1 apart",
                max(files) - min(files) <= 1),
            Row("coroutines, least and most", f"{min(tasks)}, {max(tasks)}", "at most 4 apart",
                max(tasks) - min(tasks) <= 4),
            Row("CPU of a row: prompt, key, journal, line, table, page", f"{1000 * cpu / ROWS:.2f} ms", "at most 5 ms",
                cpu / ROWS <= 0.005),
            Row("wall of a row", f"{1000 * wall / ROWS:.2f} ms"),
            Row("CPU of a row that is found done", f"{1000 * again / ROWS:.2f} ms", "at most 0.5 ms",
                again / ROWS <= 0.0005),
        ],
    )  # fmt: skip
