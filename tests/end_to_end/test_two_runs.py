"""Two runs of one command at once, on one home: the second waits, says for whom, and finds what the first has done."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.questions.files import read_questions
from flows.verification.store import read_episodes
from tests.support.command_home import ROOT, Home
from tests.support.dataset_files import file_of
from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]


class Slow:
    """A model that answers once the second run has said that it waits."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()

    def __call__(self, ask: Ask) -> Answer:
        assert self.may_answer.wait(600)
        return Answer(content="Count.\n```python\nsubmit(len(df))\n```")


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def model(slow: Slow) -> Iterator[ModelServer]:
    with ModelServer(slow) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, prefect_server: PrefectServer) -> Home:
    return Home(tmp_path / "home", prefect_server)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "sales.csv"
    rows = "".join(f"{'abcd'[n % 4]},{n * n % 97},{2000 + n % 3}\n" for n in range(80))
    path.write_text("region,amount,year\n" + rows)
    return path


def waits(process: subprocess.Popen[str], others: list[subprocess.Popen[str]]) -> str:
    """What a process says until it says for whom it waits; that one of the others is named."""
    said = ""
    assert process.stderr is not None
    for line in process.stderr:
        said += line
        if "Waiting for " in line:
            named = re.search(r"process (\d+) on \S+ has it since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line)
            assert named, line
            assert int(named.group(1)) in [other.pid for other in others]
            return said
    raise AssertionError(said)


def both_end(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What each said to its end."""
    ends = [process.communicate(timeout=600) for process in processes]
    for process, (out, err) in zip(processes, ends, strict=True):
        assert process.returncode == 0, out + err
        assert "Traceback" not in out + err, err
    return [out + err for out, err in ends]


def test_episodes(home: Home, table: Path, slow: Slow, model: ModelServer, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    texts = [{"text": f"How many rows are there, {n}?", "hint": "Count."} for n in range(3)]
    questions.write_text("".join(json.dumps(text) + "\n" for text in texts))
    command = [str(table), "--questions", str(questions), "--model", "scripted", "--base-url", model.base_url]
    first = home.start("episode", *command)
    while not model.asks:
        assert first.poll() is None, first.communicate()
    second = home.start("episode", *command)
    waits(second, [first])
    slow.may_answer.set()
    said = both_end([first, second])
    assert "3 done by earlier runs, 0 model calls" in said[1]
    lines = file_of(home.path / "episodes", "sales").read_bytes().splitlines()
    assert len(lines) == len({json.loads(line)["episode_id"] for line in lines}) == 3
    assert set(Counter(ask.key for ask in model.asks).values()) == {1}, "no call was paid for twice"
    assert all(each.verdict.verified for each in read_episodes(file_of(home.path / "episodes", "sales")))


def test_questions(home: Home, table: Path, tmp_path: Path) -> None:
    """Both make the same questions, and other ones: whichever comes first, all of them are there once."""
    commands = [["--source", source, "--per-source", "3"] for source in ("template", "program", "template")]
    processes = [home.start("question", str(table), *command) for command in commands]
    said = both_end(processes)
    questions = read_questions(home.file("sales")).questions
    assert Counter(each.source for each in questions) == {"template": 3, "program": 3}
    assert sum("by an earlier run" in each for each in said) == 1
    report = json.loads(file_of(home.path / "questions", "sales", ".report.json").read_text())
    assert sorted(each["source"] for each in report["sources"]) == ["program", "template"]


def test_downloads(home: Home, table: Path, tmp_path: Path) -> None:
    processes = [home.start("download", str(table)) for _ in range(2)]
    said = both_end(processes)
    assert [each.name for each in (home.path / "datasets").iterdir()] == ["sales"]
    assert sum("1 accepted" in each for each in said) == 1
    assert sum("1 already there" in each for each in said) == 1


def test_an_experiment(
    home: Home, slow: Slow, model: ModelServer, tmp_path: Path, prefect_server: PrefectServer
) -> None:
    (tmp_path / "prompt.txt").write_text("Say something about {{topic}}.")
    (tmp_path / "rows.csv").write_text("provider,model,topic\n" + "".join(f"compatible,m,t{n}\n" for n in range(3)))

    def start() -> subprocess.Popen[str]:
        command = ["-p", str(tmp_path / "prompt.txt"), "-e", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "o.csv")]
        environment = {**os.environ, "TRIGPOINT_HOME": str(home.path), "PREFECT_API_URL": prefect_server.api_url}
        return subprocess.Popen(
            [sys.executable, "flows/experiment.py", *command, "--base-url", model.base_url], cwd=ROOT, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    first = start()
    while not model.asks:
        assert first.poll() is None, first.communicate()
    second = start()
    waits(second, [first])
    slow.may_answer.set()
    both_end([first, second])
    assert len((tmp_path / "o.csv.rows.jsonl").read_bytes().splitlines()) == 3
    assert set(Counter(ask.key for ask in model.asks).values()) == {1}
