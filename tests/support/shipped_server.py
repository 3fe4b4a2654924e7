"""The Prefect server that `server/start` starts, on a PostgreSQL and a Redis of the tests' own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.support.postgres_server import PASSWORD, USER, PostgresServer
from tests.support.prefect_server import PrefectServer
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]


class ShippedServer(PrefectServer):
    """`server/start`; a context manager, which may be entered again.

    Args:
        home: Its PREFECT_HOME.
        postgres: Where its database is made.
        redis: Its Redis.
        settings: Settings more, as environment variables; those of server.env win.
    """

    def __init__(self, home: Path, postgres: PostgresServer, redis: RedisServer, **settings: str) -> None:
        database = postgres.new_database().get_secret_value().rpartition("/")[2]
        super().__init__(
            home,
            SERVER_DATABASE=f"{USER}:{PASSWORD}@127.0.0.1:{postgres.port}/{database}",
            SERVER_REDIS=redis.address,
            PYTHON=sys.executable,
            **settings,
        )

    @property
    def command(self) -> list[str]:
        """See `PrefectServer`."""
        return [str(ROOT / "server" / "start")]


def run_tasks(api_url: str, count: int) -> str:
    """Runs that many tasks in a flow of a process of its own; gives the id of the flow run."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.many_tasks", str(count)],
        cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": api_url},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return run.stdout.split()[-1]


def completed(api_url: str, flow_run: str) -> int:
    """How many task runs of a flow run the server shows as completed."""
    asked = {
        "flow_runs": {"id": {"any_": [flow_run]}},
        "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
    }
    reply = httpx.post(f"{api_url}/task_runs/count", json=asked, timeout=60, trust_env=False)
    return int(reply.raise_for_status().text)


def wait_for_records(api_url: str, flow_run: str, count: int, patience_s: float) -> int:
    """Waits until all task runs are recorded, or until none has been for a while; gives how many are."""
    found, since = -1, time.monotonic()
    while found < count and time.monotonic() - since < patience_s:
        now = completed(api_url, flow_run)
        if now != found:
            found, since = now, time.monotonic()
        time.sleep(0.2)
    return found
