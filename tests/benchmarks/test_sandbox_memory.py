"""What sixteen sessions on one large dataset cost in memory, against sixteen processes that load it themselves."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blocks.sandboxes import Runtime, Sandbox, SandboxLimits
from blocks.sandboxes.conformance import host
from tests.benchmarks.processes import pss_bytes
from tests.benchmarks.report import Row, print_table
from tests.benchmarks.sizes import size

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

SESSIONS = size(16, 2)
ROWS, STORES, PRODUCTS = size(850_000, 20_000), 60, size(300, 5)
"""So many rows that each product was sold in each store."""
MIB = 2**20
GROUP = "out = df.groupby(['store', 'product'])[['quantity', 'price']].agg(['sum', 'mean'])\nlen(out)"
ALL_LIBRARIES = """
import matplotlib, numpy as np, pandas as pd, scipy.stats, sklearn.ensemble, sklearn.linear_model
import statsmodels.api, statsmodels.formula.api
matplotlib.use("Agg")
import matplotlib.pyplot
"""
PANDAS_ALONE = "import pandas as pd\n"
ALONE = """
import sys
df = pd.read_csv(sys.argv[1])
{group}
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def large_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sales, 50 MB at full size: numbers, dates, a few repeated texts and one text that is different in each row."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "order": [f"ORD-{n:08d}" for n in rng.permutation(ROWS)],
            "day": pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 700, ROWS), unit="D"),
            "store": rng.choice([f"store {n}" for n in range(STORES)], ROWS),
            "product": rng.choice([f"product {n}" for n in range(PRODUCTS)], ROWS),
            "quantity": rng.integers(1, 50, ROWS),
            "price": rng.gamma(2, 20, ROWS).round(2),
            "discount": rng.random(ROWS).round(3),
        }
    )
    path = tmp_path_factory.mktemp("large") / "sales.csv"
    table.to_csv(path, index=False)
    assert 50 * ROWS < path.stat().st_size < 75 * ROWS
    return path


async def test_memory_of_sixteen_sessions(runtime: Runtime, large_csv: Path) -> None:
    limits = SandboxLimits(max_sessions=SESSIONS)
    async with await Sandbox.open(runtime, large_csv, limits=limits) as sandbox:
        sessions = [await sandbox.session() for _ in range(SESSIONS)]
        results = await asyncio.gather(*(session.run(GROUP) for session in sessions))
        assert [result.value for result in results] == [str(STORES * PRODUCTS)] * SESSIONS
        pids = [(await host.find(session))[0] for session in sessions]
        chain = host.zygotes(pids[0], os.getpid())
        ours, base = pss_bytes([*pids, *chain]), pss_bytes(chain)
    everything = await asyncio.to_thread(alone, ALL_LIBRARIES, large_csv)
    lean = await asyncio.to_thread(alone, PANDAS_ALONE, large_csv)
    print_table(
        f"Memory (PSS) of {SESSIONS} sessions on {sandbox.dataset.bytes / 1e6:.0f} MB of CSV, {runtime.name} runtime",
        [
            Row("sandbox with 16 sessions, each after a groupby", f"{ours / MIB:,.0f} MiB"),
            Row("of which the zygote's processes", f"{base / MIB:,.0f} MiB"),
            Row("16 processes with the same libraries", f"{everything / MIB:,.0f} MiB"),
            Row("sandbox : processes", f"1/{everything / ours:.1f}", "1/6", everything / ours >= 6),
            Row("16 processes that import pandas alone", f"{lean / MIB:,.0f} MiB"),
            Row("sandbox : those", f"1/{lean / ours:.1f}"),
        ],
    )


def alone(imports: str, path: Path) -> int:
    """PSS of as many separate processes that each load the dataset and do the same; bytes."""
    program = imports + ALONE.format(group=GROUP)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(SESSIONS):
            command = [sys.executable, "-c", program, str(path)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
            processes.append(process)
            # Two at a time: reading a table takes far more memory than holding it.
            if len(processes) % 2 == 0:
                _ready(processes[-2:])
        return pss_bytes(process.pid for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _ready(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
