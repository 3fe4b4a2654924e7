"""What users get wrong: one clear sentence each, no traceback, the rest goes on, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.verification.store import read_episodes
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
GOOD = "a,b\n" + "".join(f"{n},{n % 3}\n" for n in range(12))


class Command:
    """`python flows/episode.py` with a home of its own."""

    def __init__(self, home: Path, prefect_server: PrefectServer) -> None:
        self.home = home
        self._environment = {
            **os.environ, "TRIGPOINT_HOME": str(home), "PREFECT_API_URL": prefect_server.api_url, "COLUMNS": "200",
        }  # fmt: skip

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "flows/episode.py", *map(str, arguments)], cwd=ROOT, env=self._environment,
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return done

    def verdicts(self) -> dict[str, str]:
        """`<dataset>/<question's text>` to verdict."""
        return {
            f"{episode.dataset.slug}/{episode.question.text}": episode.verdict.verdict
            for path in sorted((self.home / "episodes").glob("*.jsonl"))
            for episode in read_episodes(path)
        }


@pytest.fixture
def command(tmp_path: Path, prefect_server: PrefectServer) -> Command:
    return Command(tmp_path / "home", prefect_server)


@pytest.fixture
def model() -> Iterator[ModelServer]:
    def behave(ask: Ask) -> Answer:
        text = " ".join(str(message["content"]) for message in ask.messages if message["role"] == "user")
        if "silently" in text:
            return Answer(content="I would rather talk about it.")
        if "overflow" in text:
            message = "This model's maximum context length is 16 tokens. However, you requested 900 tokens."
            return error(400, {"error": {"message": message, "code": "context_length_exceeded"}})
        return Answer(content="Count.\n```python\nsubmit(len(df))\n```")

    with ModelServer(behave) as server:
        yield server


def live(model: ModelServer) -> list[str]:
    return ["--model", "scripted", "--base-url", model.base_url, "--runtime", "process"]


def test_bad_datasets_beside_a_good_one(tmp_path: Path, command: Command, model: ModelServer) -> None:
    files = {
        "good.csv": GOOD.encode(),
        "empty.csv": b"",
        "header.csv": b"a,b\n",
        "wide.csv": (",".join(f"c{n}" for n in range(100_000)) + "\n" + ",".join("1" * 100_000) + "\n").encode(),
        "nul.csv": b"a,b\n1,\x00\x00\n" + bytes(range(256)) * 8,
        "one.csv": b"value\n" + b"".join(b"%d\n" % n for n in range(9)),
        "mixed.csv": "name,n\nJos\u00e9,1\nZo\u00eb,2\n".encode() + "Ren\u00e9,3\n".encode("latin-1"),
        "names.csv": b'a,a,"__class__; import os",\n1,2,3,4\n5,6,7,8\n',
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / "missing.csv", *(tmp_path / name for name in files)]
    done = command(*paths, "--ask", "How many rows are there?", *live(model))
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "missing.csv does not exist" in said
    assert "empty.csv is empty" in said
    assert "100000" in said.replace(",", "")
    for refused in ("header", "wide", "nul"):
        assert f"{refused}.csv" in said or f"{refused}:" in said, f"a sentence about {refused}.csv"
    verdicts = command.verdicts()
    for accepted in ("good", "one", "mixed", "names"):
        assert verdicts.get(f"{accepted}/How many rows are there?") == "verified", accepted


def test_question_file_with_bad_lines(tmp_path: Path, command: Command, model: ModelServer) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    questions = tmp_path / "q.jsonl"
    lines = ['{"text": "How many rows?"}', "{broken", '{"txet": "?"}', '{"text": "How many rows, silently?"}']
    questions.write_text("\n".join(lines) + "\n")
    done = command(tmp_path / "good.csv", "--questions", questions, *live(model))
    assert done.returncode == 1, "something was left out"
    for line in (2, 3):
        assert f"q.jsonl:{line}:" in done.stderr
    assert command.verdicts() == {"good/How many rows?": "verified", "good/How many rows, silently?": "too_hard"}


def test_context_overflow_is_no_verdict(tmp_path: Path, command: Command, model: ModelServer) -> None:
    """A server's refusal is no answer of the model: the question stays open, and the server's words are told."""
    (tmp_path / "good.csv").write_text(GOOD)
    done = command(tmp_path / "good.csv", "--ask", "How many rows?", "--ask", "Make it overflow", *live(model))
    assert done.returncode == 1
    assert command.verdicts() == {"good/How many rows?": "verified"}
    said = " ".join((done.stdout + done.stderr).split())
    assert "context_overflow" in said
    assert "It is the first request: nothing can be left out of it." in said


def test_a_wrong_key_stops_the_asking_and_keeps_what_is_done(tmp_path: Path, command: Command) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    questions = tmp_path / "q.jsonl"
    questions.write_text("".join(json.dumps({"text": f"How many rows, {n}?"}) + "\n" for n in range(12)))
    good_until = 6

    def behave(ask: Ask) -> Answer:
        if ask.total > good_until:
            return error(401, {"error": {"message": "Invalid API key"}})
        return Answer(content="```python\nsubmit(len(df))\n```")

    with ModelServer(behave) as model:
        done = command(tmp_path / "good.csv", "--questions", questions, *live(model), "--parallel-questions", "1")
        asked = len(model.asks)
    assert done.returncode == 1
    assert "key" in done.stdout
    # A question without a hint asks three traces at once.
    assert asked <= good_until + 3, "the key is not tried on every question"
    assert len(command.verdicts()) == 2


def test_an_endpoint_that_is_not_there(tmp_path: Path, command: Command) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    done = command(
        tmp_path / "good.csv", "--ask", "How many?", "--model", "m", "--base-url", "http://127.0.0.1:9/v1",
        "--runtime", "process",
    )  # fmt: skip
    assert done.returncode == 2, "nothing was done"
    assert "127.0.0.1:9" in done.stdout + done.stderr
    assert not command.verdicts()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--runtime", "docker", "--docker-host", "unix:///nowhere.sock"], "/nowhere.sock"),
        (["x.csv", "--ask", "?"], "No model is named"),
        (["x.csv", "--ask", "?", "--model", "strange/model"], "strange/model"),
        (["x.csv", "--ask", "?", "--model", "openrouter/a/b"], "OPENROUTER_API_KEY"),
        (["--traces", "1"], "--traces"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_one_sentence_before_anything_starts(command: Command, arguments: list[str], sentence: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.strip().startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1
