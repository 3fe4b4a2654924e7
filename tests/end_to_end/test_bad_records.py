"""A record of a newer Trigpoint, or a fault that nobody foresaw, in one dataset: told, left; the others go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.questions.files import read_questions
from flows.verification.store import read_episodes
from tests.support.command_home import ROOT, Home
from tests.support.dataset_files import file_of
from tests.support.download_command import Command
from tests.support.model_answers import Answer
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

NEWER = "newer Trigpoint (schema version 2)"
UNFORESEEN = "x" * 300
"""No file system has names of this length: what asks for the file is refused in a way that nobody planned for."""


@pytest.fixture
def home(tmp_path: Path, prefect_server: PrefectServer) -> Home:
    return Home(tmp_path / "home", prefect_server)


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    """Three tables."""
    paths = [tmp_path / f"{name}.csv" for name in ("alpha", "beta", "gamma")]
    for at, path in enumerate(paths):
        rows = "".join(f"{'abcd'[n % 4]},{n * n % 97},{2000 + n % 3 + at}\n" for n in range(80))
        path.write_text("region,amount,year\n" + rows)
    return list(map(str, paths))


def renewed(path: Path) -> bytes:
    """Make the first record of a file one of a newer version, with something in it that is not known here."""
    first, *rest = path.read_bytes().splitlines(keepends=True)
    data = {**json.loads(first), "schema_version": 2, "moods": ["calm"]}
    path.write_bytes(json.dumps(data).encode() + b"\n" + b"".join(rest))
    return path.read_bytes()


def traced(home: Home, name: str) -> bool:
    """Whether a log of that name holds a traceback."""
    return any("Traceback" in log.read_text() for log in home.path.glob(f"logs/*/{name}*.log"))


def test_episodes(home: Home, tables: list[str]) -> None:
    with ModelServer(lambda ask: Answer(content="```python\nsubmit(len(df))\n```")) as model:
        asking = ["--ask", "How many rows are there?", "--model", "scripted", "--base-url", model.base_url]
        home.run("episode", *tables[:2], *asking)
        alpha = file_of(home.path / "episodes", "alpha")
        before, asked = renewed(alpha), len(model.asks)
        said = home.run("episode", *tables, UNFORESEEN, *asking, code=1)
        assert len(model.asks) == asked + 3, "what a newer Trigpoint has decided is not asked anew"
    assert alpha.read_bytes() == before
    assert f"{alpha.name}:1: this episode was written by a {NEWER}" in said
    for other in ("beta", "gamma"):
        assert [each.verdict.verdict for each in read_episodes(file_of(home.path / "episodes", other))] == ["verified"]
    assert f"{'x' * 80}: OSError" in said
    assert traced(home, "x")


def test_questions(home: Home, tables: list[str]) -> None:
    making = ["--source", "template", "--per-source", "2"]
    home.run("question", *tables[:2], *making)
    report, file = file_of(home.path / "questions", "alpha", ".report.json"), home.file("beta")
    report.write_bytes(json.dumps({**json.loads(report.read_bytes()), "schema_version": 2}).encode())
    before = report.read_bytes(), renewed(file)
    said = home.run("question", *tables, UNFORESEEN, "--source", "template", "--per-source", "3", code=1)
    assert (report.read_bytes(), file.read_bytes()) == before
    assert f"{report.name} was written by a {NEWER}" in said
    assert f"{file.name}:1: this question was written by a {NEWER}" in said
    assert len(read_questions(home.file("gamma")).questions) == 3
    assert f"{'x' * 80}: OSError" in said
    assert traced(home, "x")


def test_downloads(tmp_path: Path, prefect_server: PrefectServer, tables: list[str]) -> None:
    command = Command(tmp_path / "home", prefect_server)
    command(*tables[:2], code=0)
    folder = tmp_path / "home" / "datasets"
    card = folder / "alpha" / "dataset.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "schema_version": 2}))
    before = card.read_bytes()
    (folder / "odd").mkdir()
    (folder / "odd" / "data.csv").mkdir()
    (folder / "odd" / "dataset.json").mkdir()
    said = command(*tables, code=1)
    assert card.read_bytes() == before
    assert f"alpha/dataset.json was written by a {NEWER}" in said
    assert (folder / "gamma" / "data.csv").is_file()
    assert sorted(each.name for each in folder.iterdir()) == ["alpha", "beta", "gamma", "odd"]


def test_a_night_and_a_report(home: Home, tables: list[str], prefect_server: PrefectServer) -> None:
    for table in tables:
        place = home.path / "datasets" / Path(table).stem
        place.mkdir(parents=True)
        (place / "data.csv").write_bytes(Path(table).read_bytes())
    with ModelServer(lambda ask: Answer(content="```python\nsubmit(len(df))\n```")) as model:
        making = ["--question.source", "template", "--question.per-source", "2"]
        asking = ["--episode.model", "scripted", "--episode.base-url", model.base_url]
        home.run("nightly", *making, *asking)
        episodes = file_of(home.path / "episodes", "alpha")
        before = renewed(episodes)
        (home.path / "datasets" / "beta" / "data.csv").write_text("")
        said = home.run("nightly", "--question.source", "template", "--question.per-source", "3", *asking, code=1)
    assert episodes.read_bytes().startswith(before)
    assert NEWER in said
    assert "beta" in said
    assert len(list(read_episodes(file_of(home.path / "episodes", "gamma")))) == 3
    done = subprocess.run(
        [sys.executable, "flows/report.py"], cwd=ROOT, text=True, capture_output=True, check=False,
        env={**os.environ, "TRIGPOINT_HOME": str(home.path), "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 1
    assert NEWER in done.stdout
    # The table that beta was before is one more, which has episodes.
    assert "4 datasets" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
