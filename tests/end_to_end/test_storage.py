"""Several hosts, each with a home of its own, and one storage: what a host has finished, the others find."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.verification.store import read_episodes, read_index
from tests.support.command_home import ROOT, Home
from tests.support.dataset_files import file_of
from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer
from tests.support.s3_server import SECRET, S3Server
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

QUESTIONS = 8
SAVE = """
import json, sys
from prefect.filesystems import LocalFileSystem, RemoteFileSystem

for name, base, settings in json.loads(sys.argv[1]):
    block = LocalFileSystem(basepath=base) if settings is None else RemoteFileSystem(basepath=base, settings=settings)
    block.save(name, overwrite=True)
"""


held: set[int] = set()
"""Questions, by number, that the model does not answer for now."""


async def behave(ask: Ask) -> Answer:
    """First look, then count: two calls an attempt."""
    text = " ".join(str(message.get("content")) for message in ask.messages if message["role"] == "user")
    limit = int(text.partition("above ")[2].partition("?")[0])
    while limit in held:  # noqa: ASYNC110 (set by another thread)
        await asyncio.sleep(0.05)
    if sum(message["role"] == "assistant" for message in ask.messages) == 0:
        return Answer(content="Look.\n```python\nprint(df.a.describe())\n```", delay_s=0.1)
    return Answer(content=f"Count.\n```python\nsubmit(int((df.a > {limit}).sum()))\n```", delay_s=0.1)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server("bucket") as server:
        server.put("/bucket")
        yield server


@pytest.fixture(scope="module")
def blocks(s3: S3Server, prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> PrefectServer:
    """A Prefect server on which somebody has saved the storages."""
    volume = tmp_path_factory.mktemp("volume")
    saved = [
        ("bucket", "s3://bucket/trigpoint", s3.options()),
        ("pair", "s3://bucket/pair", s3.options()),
        ("wrong-key", "s3://bucket/trigpoint", s3.options("another secret")),
        ("volume", str(volume), None),
    ]
    environment = {**os.environ, "PREFECT_API_URL": prefect_server.api_url}
    command = [sys.executable, "-c", SAVE, json.dumps(saved)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return prefect_server


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer(behave) as model:
        yield model


class Hosts:
    """Homes on one storage, and the command that asks questions about one table."""

    def __init__(self, folder: Path, server: PrefectServer, model: ModelServer) -> None:
        self._folder, self._server, self._model = folder, server, model
        self.table = folder / "numbers.csv"
        self.table.write_text("a,b\n" + "".join(f"{n},{n % 7}\n" for n in range(60)))

    def home(self, name: str, storage: str) -> Home:
        """An empty home, which is another host's."""
        return Home(self._folder / name, self._server, TRIGPOINT_STORAGE=storage)

    def asking(self, numbers: range) -> list[str]:
        """The arguments of a run that asks these questions."""
        file = self._folder / f"questions-{numbers.start}-{numbers.stop}.jsonl"
        lines = [
            {"id": f"q{n}", "text": f"How many rows have a above {n}?", "answer": {"type": "int"}} for n in numbers
        ]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        where = ["--model", "scripted", "--base-url", self._model.base_url, "--parallel-questions", "2"]
        return [str(self.table), "--questions", str(file), *where]

    def asked(self) -> set[str]:
        """The questions that the model was asked so far."""
        texts = (json.dumps(ask.messages) for ask in self._model.asks)
        return {f"q{text.partition('have a above ')[2].partition('?')[0]}" for text in texts}


def finished(home: Home) -> dict[str, tuple[object, ...]]:
    """Question -> what it came to."""
    return {
        each.question.id: (each.episode_id, each.verdict.verdict, each.answer, each.verdict.votes)
        for each in read_episodes(file_of(home.path / "episodes", "numbers"))
    }


def lines(home: Home) -> int:
    """Whole records in the home's episode file."""
    return len(read_index(file_of(home.path / "episodes", "numbers")).entries)


def stored(s3: S3Server) -> int:
    """How many episodes one after the other went to the storage; who is killed has given all that it had finished."""
    return sum(how == "PUT" and path.startswith("/bucket/trigpoint/episodes/") for how, path in s3.answered)


def test_a_host_goes_on_where_another_was_killed(
    tmp_path: Path, blocks: PrefectServer, model: ModelServer, s3: S3Server
) -> None:
    hosts = Hosts(tmp_path, blocks, model)
    one, other = (hosts.home(name, "remote-file-system/bucket") for name in ("one", "other"))
    last = range(QUESTIONS - 2, QUESTIONS)
    held.update(last)
    process = one.start("episode", *hosts.asking(range(QUESTIONS)))
    try:
        wait_until(lambda: process.poll() is not None or min(lines(one), stored(s3)) >= last.start)
    finally:
        process.send_signal(signal.SIGKILL)
        said = "".join(process.communicate())
        held.clear()
    done = finished(one)
    assert len(done) == last.start, f"the kill met no run under way: {said}"

    model.asks.clear()
    other.run("episode", *hosts.asking(range(QUESTIONS)))
    assert not hosts.asked() & done.keys(), "a question that the dead host had finished was asked again"
    assert done.items() <= finished(other).items()

    calm = hosts.home("calm", "")
    calm.run("episode", *hosts.asking(range(QUESTIONS)))
    assert finished(other) == finished(calm)
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_two_hosts_at_once_end_with_the_union(tmp_path: Path, blocks: PrefectServer, model: ModelServer) -> None:
    hosts = Hosts(tmp_path, blocks, model)
    one, other = (hosts.home(name, "remote-file-system/pair") for name in ("one", "other"))
    runs = [one.start("episode", *hosts.asking(range(4))), other.start("episode", *hosts.asking(range(2, 6)))]
    for run in runs:
        said = "".join(run.communicate())
        assert run.returncode == 0, said

    model.asks.clear()
    one.run("episode", *hosts.asking(range(6)))
    assert not model.asks, "what either has finished is asked no more"
    assert finished(one).keys() == {f"q{number}" for number in range(6)}
    assert lines(one) == file_of(one.path / "episodes", "numbers").read_bytes().count(b"\n") == 6, "nothing is doubled"


def test_a_night_goes_on_with_what_another_host_has_downloaded_and_asked(
    tmp_path: Path, blocks: PrefectServer, model: ModelServer
) -> None:
    hosts = Hosts(tmp_path, blocks, model)
    model.behave = lambda ask: Answer(content="Counted.\n```python\nsubmit(len(df))\n```")
    one, other = (hosts.home(name, "local-file-system/volume") for name in ("one", "other"))
    table = tmp_path / "sales.csv"
    rows = "".join(f"{'abcd'[n % 4]},{n * n % 97},{2000 + n % 3}\n" for n in range(80))
    table.write_text("region,amount,year\n" + rows)
    options = ["--question.source", "template", "--question.per-source", "3", "--episode.traces", "2"]
    options += ["--episode.model", "scripted", "--episode.base-url", model.base_url]
    one.run("nightly", str(table), *options, "--most-questions", "2")

    said = other.run("nightly", *options)
    assert "of 1 questions verified; datasets: 1 worked on." in said, "the other night asks what is left, and no more"
    questions = file_of(one.path / "questions", "sales").relative_to(one.path)
    for path in ("datasets/sales/data.csv", "datasets/sales/dataset.json", questions):
        assert (other.path / path).read_bytes() == (one.path / path).read_bytes()
    first, all_of_them = (
        {each.episode_id for each in read_episodes(file_of(home.path / "episodes", "sales"))} for home in (one, other)
    )
    assert len(first) == 2
    assert first < all_of_them
    assert len(all_of_them) == 3

    # A home that has nothing is given what a run names in it.
    model.asks.clear()
    third = hosts.home("third", "local-file-system/volume")
    named = str(third.path / "datasets" / "sales")
    third.run("episode", named, "--traces", "2", "--model", "scripted", "--base-url", model.base_url)
    assert not model.asks
    assert len(list(read_episodes(file_of(third.path / "episodes", "sales")))) == 3


def test_a_storage_that_lets_nobody_in_costs_nothing(tmp_path: Path, blocks: PrefectServer, model: ModelServer) -> None:
    hosts = Hosts(tmp_path, blocks, model)
    said = hosts.home("one", "remote-file-system/wrong-key").run("episode", *hosts.asking(range(2)), code=2)
    assert said.count("Error: ") == 1
    assert "The storage remote-file-system/wrong-key lets nobody in with this key" in said
    assert not model.asks
