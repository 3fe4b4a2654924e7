"""How fast a server records task runs: Prefect's own defaults on SQLite against `server/start`.

INGEST_TASKS sets how many tasks; from about 5,000 on the defaults' queue of 10,000 messages runs over, and records are
lost.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.benchmarks.report import Row, print_table
from tests.benchmarks.sizes import size
from tests.support.postgres_server import PostgresServer
from tests.support.prefect_home import migrated_home
from tests.support.prefect_server import PrefectServer
from tests.support.redis_server import RedisServer
from tests.support.shipped_server import ShippedServer, completed, run_tasks, wait_for_records

pytestmark = [pytest.mark.benchmark, pytest.mark.postgres, pytest.mark.redis, pytest.mark.timeout(3600)]

TASKS = int(os.environ.get("INGEST_TASKS", size(1000, 20)))
PATIENCE_S = 90.0


class Ingest(NamedTuple):
    """What became of a flow's task runs."""

    flow_s: float
    lag_s: float
    at_end: int
    recorded: int

    def row(self, what: str) -> Row:
        """A line of the table."""
        rate = self.recorded / (self.flow_s + self.lag_s)
        return Row(
            what,
            f"flow {self.flow_s:.0f} s, {self.at_end} recorded by then; all that came {self.lag_s:.1f} s later:"
            f" {self.recorded}, {rate:.0f} a second",
            f"{TASKS} recorded",
            self.recorded == TASKS,
        )


def test_task_runs_recorded(postgres: PostgresServer, tmp_path: Path) -> None:
    """The time of the flow holds the start of its process, about three seconds."""
    with PrefectServer(migrated_home(tmp_path / "home")) as plain:
        ours = [_ingest(plain).row("SQLite, Prefect's defaults")]
    with RedisServer() as redis, ShippedServer(tmp_path / "shipped", postgres, redis) as shipped:
        ours.append(_ingest(shipped).row("PostgreSQL, Redis, batches (server/start)"))
    print_table(f"{TASKS} tasks that do nothing", ours)


def _ingest(server: PrefectServer) -> Ingest:
    run_tasks(server.api_url, 10)
    started = time.monotonic()
    run = run_tasks(server.api_url, TASKS)
    ended = time.monotonic()
    at_end = completed(server.api_url, run)
    recorded = wait_for_records(server.api_url, run, TASKS, PATIENCE_S)
    lag = time.monotonic() - ended - (0 if recorded == TASKS else PATIENCE_S)
    return Ingest(ended - started, lag, at_end, recorded)
