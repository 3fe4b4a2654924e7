"""A breaker that opens in a flow run is an event on a real server, and the ledger knows the run and its flow."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from blocks.breaker_events import EVENT
from blocks.chat.journal import Journal
from blocks.chat.ledger import spending
from tests.support.chat import MODEL
from tests.support.model_answers import error
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer, wait_for_events

pytestmark = pytest.mark.server

ROOT = Path(__file__).resolve().parents[2]


async def test_a_breaker_that_opens_is_an_event_of_its_run(prefect_server: PrefectServer, tmp_path: Path) -> None:
    url, store = prefect_server.api_url, tmp_path / "store.db"
    with ModelServer(lambda _: error(503)) as server:
        command = [sys.executable, "-m", "tests.support.failing_flow", server.base_url, str(store)]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, text=True, check=False, capture_output=True, timeout=600,
            env={**os.environ, "PREFECT_API_URL": url},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    run, *ends = json.loads(done.stdout.splitlines()[-1])
    assert ends == ["server_failure"] * 20 + ["breaker_open"]
    (event,) = await asyncio.to_thread(wait_for_events, url, EVENT, f"prefect.flow-run.{run}")
    assert event["event"] == f"{EVENT}.open"
    assert event["resource"]["trigpoint.model"] == MODEL
    assert event["payload"]["reason"] == "20 of the last 20 requests failed"
    with Journal(store) as journal:
        (entry,) = await spending(journal, by=("run", "flow", "outcome"))
    assert (entry.run, entry.flow, entry.outcome, entry.requests) == (run, "failing", "server_failure", 20)
