"""A run that finds the server of the last one: told once, what the killed left is put right, interrupts leave it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.server_record import Record, ServerFolder
from tests.support.file_server import rows
from tests.support.model_server import Answer, ModelServer
from tests.support.proposing import code_block
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_home"), pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
STAYS = "local Prefect server stays 10 minutes"


@pytest.fixture
def server_folder(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerFolder]:
    """The folder of the home's server, which outlives its runs and is ended after the test."""
    monkeypatch.setenv("TRIGPOINT_SERVER_TTL", "600")
    server_folder = ServerFolder(own_home / "server")
    yield server_folder
    if (record := server_folder.record()) is not None:
        server_folder.end(record)


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer(lambda ask: Answer(stall=True)) as server:
        yield server


def command(folder: Path, model: ModelServer) -> list[str]:
    table = folder / "t.csv"
    table.write_bytes(rows(80))
    asks = ["--ask", "How many rows?", "--model", "m", "--base-url", model.base_url, "--runtime", "process"]
    return [sys.executable, "flows/episode.py", str(table), *asks]


def states(record: Record) -> list[str]:
    """Of all flow runs, the first first."""
    word = base64.b64encode(record.auth.encode()).decode()
    answer = httpx.post(
        f"{record.url}/flow_runs/filter", json={"sort": "START_TIME_ASC"}, trust_env=False, timeout=60,
        headers={"Authorization": f"Basic {word}"},
    )  # fmt: skip
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return [run["state_type"] for run in found]


def test_runs_of_dead_processes_are_closed_by_the_next_and_its_slots_are_free(
    tmp_path: Path, server_folder: ServerFolder, model: ModelServer
) -> None:
    environment = {**os.environ, "TRIGPOINT_MAX_CONTAINERS": "1", "COLUMNS": "160"}
    with subprocess.Popen(
        command(tmp_path, model), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as killed:
        wait_until(lambda: bool(model.asks) or killed.poll() is not None)
        record = server_folder.record()
        assert record is not None
        assert states(record) == ["RUNNING", "RUNNING"]
        killed.kill()
        assert STAYS in killed.communicate()[0]
    model.behave = lambda ask: Answer(content=code_block("submit(len(df))"))
    done = subprocess.run(
        command(tmp_path, model), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert STAYS not in done.stderr, "it is told once"
    assert server_folder.record() == record, "the same server"
    assert states(record) == ["CRASHED", "CRASHED", "COMPLETED", "COMPLETED"]
    said = json.dumps([done.stdout, done.stderr])
    assert record.auth.partition(":")[2] not in said


def test_ctrl_c_leaves_the_server_to_the_next_run(
    tmp_path: Path, server_folder: ServerFolder, model: ModelServer
) -> None:
    for _ in range(2):
        asked = len(model.asks)
        with Terminal(command(tmp_path, model), ROOT, {**os.environ, "COLUMNS": "160"}) as terminal:
            wait_until(lambda: len(model.asks) > asked or terminal.process.poll() is not None)  # noqa: B023
            terminal.interrupt()
            assert terminal.ended()[0] == 1
            assert "Interrupted." in terminal.text
    record = server_folder.record()
    assert record is not None
    assert set(states(record)) == {"CRASHED"}
    assert terminal.text.count(STAYS) == 0
