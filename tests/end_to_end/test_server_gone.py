"""A Prefect server that is not there, is none, or dies in the middle: one sentence, an end, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from blocks.server_record import ServerFolder
from tests.support.answering import answering
from tests.support.file_server import rows
from tests.support.machine import leftover_processes
from tests.support.model_server import Answer, ModelServer
from tests.support.proposing import code_block
from tests.support.terminal import Terminal
from tests.support.waiting import settle, wait_until

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_home"), pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
HANGS_S = 120.0


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_bytes(rows(80))
    return path


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer(lambda ask: Answer(stall=True)) as server:
        yield server


@pytest.mark.parametrize("killed", ["keeper", "server"])
def test_a_local_server_that_is_killed_ends_its_run(
    own_home: Path, table: Path, model: ModelServer, killed: str
) -> None:
    """Prefect would ask it again and again, for many minutes, without a word."""
    command = [sys.executable, "flows/episode.py", str(table), "--ask", "How many rows?", "--runtime", "process"]
    command += ["--model", "m", "--base-url", model.base_url]
    environment = {**os.environ, "TRIGPOINT_HOME": str(own_home), "COLUMNS": "120", "TERM": "xterm"}
    with Terminal(command, ROOT, environment) as terminal:
        wait_until(lambda: bool(model.asks) or terminal.process.poll() is not None)
        record = ServerFolder(own_home / "server").record()
        assert record is not None, terminal.text
        keeper = psutil.Process(int(record.keeper.split("/")[1]))
        (keeper if killed == "keeper" else keeper.children()[0]).send_signal(signal.SIGKILL)
        code = terminal.process.wait(HANGS_S)
        assert terminal.text.count("The local Prefect server has ended in the middle of the run") == 1, terminal.text
        assert "Run the same command again" in terminal.text
        assert "Traceback" not in terminal.text
        assert code == 1
    assert not settle(lambda: leftover_processes(str(own_home)), 100.0)
    model.behave = lambda ask: Answer(content=code_block("submit(len(df))"))
    again = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr


def run(flow: str, *arguments: str, **environment: str) -> str:
    """A command that is to end as a user's mistake; its sentence."""
    done = subprocess.run(
        [sys.executable, f"flows/{flow}.py", *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "120"} | environment,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


@pytest.mark.parametrize("flow", ["download", "question", "episode", "experiment", "nightly", "upkeep"])
def test_a_server_that_is_not_there(own_home: Path, table: Path, tmp_path: Path, flow: str) -> None:
    prompt, experiments = tmp_path / "prompt.txt", tmp_path / "e.csv"
    prompt.write_text("Say {{word}}.")
    experiments.write_text("provider,model,word\nmock,mock,a\n")
    asks = ["-p", str(prompt), "-e", str(experiments)] if flow == "experiment" else []
    arguments = asks or ([] if flow in ("episode", "upkeep") else [str(table)])
    said = run(flow, *arguments, PREFECT_API_URL="http://u:word@127.0.0.1:9/api", TRIGPOINT_HOME=str(own_home))
    assert "The Prefect server at http://127.0.0.1:9/api cannot be used: All connection attempts failed." in said
    assert "mend PREFECT_API_URL" in said
    assert len(said.strip().splitlines()) == 1


def test_a_server_that_is_none(own_home: Path, table: Path) -> None:
    with answering({}) as url:
        named = {"PREFECT_API_URL": f"http://u:word@{url}/api", "TRIGPOINT_HOME": str(own_home)}
        said = run("question", str(table), **named)
    assert "404" in said
    assert "word@" not in said
    assert "protocol" in run("question", str(table), PREFECT_API_URL="nonsense", TRIGPOINT_HOME=str(own_home))


def test_a_setting_of_prefect_that_is_nonsense(own_home: Path, table: Path) -> None:
    for name, value in {"PREFECT_LOGGING_LEVEL": "chatty", "PREFECT_API_REQUEST_TIMEOUT": "soon"}.items():
        said = run("question", str(table), TRIGPOINT_HOME=str(own_home), **{name: value})
        assert f"A setting of Prefect, {name}, is {value!r}".lower() in said.lower()


@pytest.mark.parametrize("flow", ["download", "question", "episode", "nightly", "upkeep"])
def test_a_home_that_cannot_be_written_to(table: Path, flow: str) -> None:
    """Here it is a file; the same holds for one of somebody else, a disk that may only be read, and a full one."""
    said = run(flow, *([] if flow in ("episode", "upkeep") else [str(table)]), TRIGPOINT_HOME=str(table))
    assert f"The home {table} cannot be written to: " in said
    assert "Set TRIGPOINT_HOME" in said
    assert len(said.strip().splitlines()) == 1
