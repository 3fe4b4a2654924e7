"""Runs of a shell, cut off: upkeep knows their process, stops a living one on demand, and finds one that was killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer
from tests.support.past import half_an_hour_ago
from tests.support.prefect_server import PrefectServer, ask_server
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.server, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
QUESTION = {"id": "q", "text": "How many rows are there?", "answer": {"type": "int"}}


async def never(ask: Ask) -> Answer:
    with contextlib.suppress(asyncio.CancelledError):  # The server ends.
        await asyncio.sleep(600)
    return Answer(content="")


class Shell:
    """Commands on one home, their runs kept by a real server."""

    def __init__(self, folder: Path, server: PrefectServer, model: ModelServer) -> None:
        self._url, self._model, self._folder = server.api_url, model, folder
        # What other tests have left behind is not ours to find.
        (folder / "tmp").mkdir()
        alone = {"TMPDIR": str(folder / "tmp"), "DOCKER_HOST": "unix:///nowhere.sock"}
        self._environment = {
            **os.environ, "TRIGPOINT_HOME": str(folder / "home"), "PREFECT_API_URL": server.api_url, "COLUMNS": "300",
            **alone,
        }  # fmt: skip
        for rows, name in ((30, "east"), (31, "west")):
            (folder / f"{name}.csv").write_text("a,b\n" + "".join(f"{n},{n % 3}\n" for n in range(rows)))
        (folder / "q.jsonl").write_text(json.dumps(QUESTION) + "\n")

    def begin(self, table: str) -> tuple[subprocess.Popen[bytes], str]:
        """A run that waits for the model; its process and its id."""
        given = ["--questions", str(self._folder / "q.jsonl"), "--model", "scripted", "--base-url"]
        given += [self._model.base_url, "--runtime", "process"]
        process = subprocess.Popen(
            [sys.executable, "flows/episode.py", str(self._folder / f"{table}.csv"), *given], cwd=ROOT,
            env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        # Its own run: one before it may still be sending more of its attempts.
        wait_until(lambda: bool(self._running(table)))
        self._model.wait_for_asks(1)
        return process, self._running(table)[0]

    def _running(self, table: str) -> list[str]:
        """Ids of the runs of a table that have begun."""
        body = {"flows": {"name": {"any_": ["episode"]}}, "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        found = self._ask("POST", "/flow_runs/filter", body)
        return [run["id"] for run in found if f"{table}.csv" in json.dumps(run["parameters"])]

    def upkeep(self, *arguments: str) -> str:
        """`python flows/upkeep.py`, which must succeed."""
        done = subprocess.run(
            [sys.executable, "flows/upkeep.py", *arguments], cwd=ROOT, env=self._environment, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def state(self, run: str) -> tuple[str, str]:
        """Type and message of a run's state."""
        state = self._ask("GET", f"/flow_runs/{run}")["state"]
        return state["type"], state["message"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return ask_server(f"{self._url}{path}", method, body)


@pytest.fixture
def shell(tmp_path: Path, prefect_home: Path) -> Iterator[Shell]:
    with PrefectServer(prefect_home) as server, ModelServer(never) as model:
        yield Shell(tmp_path, server, model)


def test_a_run_is_stopped_and_one_that_was_killed_is_found_beside_a_living_one(
    shell: Shell, prefect_home: Path
) -> None:
    killed, dead = shell.begin("east")
    stopped, run = shell.begin("west")
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        half_an_hour_ago(prefect_home, dead, run)
        listed = shell.upkeep()
        assert listed.count("crash run") == 2, "the run and, within it, that of its dataset"
        assert listed.count(f"its process {killed.pid} is gone") == 2
        assert "give back slots" in listed
        assert shell.state(dead)[0] == "RUNNING"
        assert "things done" in shell.upkeep("--apply")
        assert shell.state(dead)[0] == "CRASHED"
        assert f"its process {killed.pid} is gone" in shell.state(dead)[1]
        assert shell.state(run)[0] == "RUNNING", "as silent, but its process lives"
        assert stopped.poll() is None
        assert "nothing to do" in shell.upkeep()

        assert "its process ended" in shell.upkeep("--stop", run, "--grace", "3")
        assert stopped.wait(timeout=600) != 0
        time.sleep(2)  # What the dying process still had to say.
        assert shell.state(run)[0] == "CANCELLED"
    finally:
        stopped.kill()
        stopped.wait()
