"""Two hosts, an engine and a worker each, on one server: both work, one dies in the middle, the other finishes.

And on one of them everything there is dies in turn, at random moments: flow, container, sandbox, worker, engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import docker
import pytest
from pydantic import SecretStr

from blocks.automations import INCIDENTS
from blocks.containers import PREFECT_RUN, Containers
from blocks.sandboxes.container import LABEL_OWNER
from blocks.sandboxes.holders import holder_of
from blocks.settings import settings
from flows.verification.records import Episode
from flows.verification.store import read_episodes
from tests.support.dataset_files import file_of
from tests.support.hosts import ROOT, Hosts
from tests.support.machine import FLOW_IMAGE
from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer
from tests.support.postgres_server import PostgresServer
from tests.support.prefect_home import migrated_home
from tests.support.prefect_server import PrefectServer
from tests.support.s3_server import S3Server
from tests.support.second_engine import SecondEngine
from tests.support.stores import stored_keys
from tests.support.waiting import settle

KILLS = int(os.environ.get("TRIGPOINT_TEST_KILLS", "5"))
"""One of each kind; `make soak` asks for more."""
pytestmark = [
    pytest.mark.engine,
    pytest.mark.server,
    pytest.mark.postgres,
    pytest.mark.timeout(3000 + 200 * KILLS),
    pytest.mark.usefixtures("flow_image"),
]

TABLES = ("north", "south", "east")
QUESTIONS = 3
POOL = "trigpoint-hosts"

held: set[str] = set()
"""Questions, as `table number`, that the model does not answer for now."""
allowed: list[int] = []
"""How many of the questions of the storm it answers for now, so that each blow finds work left; empty: all."""


async def behave(ask: Ask) -> Answer:
    told = " ".join(str(message.get("content")) for message in ask.messages if message["role"] == "user")
    found = re.search(r"(\w+) have a above (\d+)", told)
    while found and _is_held(found[1], found[2]):  # noqa: ASYNC110 (set by another thread)
        await asyncio.sleep(0.1)
    code = f"submit(int((df.a > {found[2]}).sum()))" if found else "submit(len(df))"
    return Answer(content=f"Counted.\n```python\n{code}\n```", delay_s=1.0 if "kills" in told else 0.1)


def _is_held(table: str, number: str) -> bool:
    return f"{table} {number}" in held or (table == "kills" and any(int(number) >= most for most in allowed))


SAVE = """
import json, sys
from prefect.blocks.system import Secret
from prefect.filesystems import RemoteFileSystem

Secret(value=sys.argv[1]).save("store")
RemoteFileSystem(basepath="s3://bucket/trigpoint", settings=json.loads(sys.argv[2])).save("bucket")
"""


class TwoHosts(Hosts):
    """The engine of this machine and another one, with a worker each that takes one run at a time.

    Each has a home of its own; a store in PostgreSQL and a storage on an S3 server are what they share.
    """

    def __init__(self, server: PrefectServer, folder: Path, store: SecretStr, bucket: dict[str, Any]) -> None:
        names = {"TRIGPOINT_STORAGE": "remote-file-system/bucket", "TRIGPOINT_STORE_URL": "block:store"}
        super().__init__(server, folder, 2, {"PREFECT_HOME": str(folder / "worker"), **names}, [])
        self.store, self._bucket = store, bucket
        self.other_home = folder / "other-home"
        self.other_home.mkdir()
        self.other = SecondEngine([FLOW_IMAGE, settings().sandbox_image], {self.other_home: self.home})

    def __enter__(self) -> Self:
        self.command("-c", SAVE, self.store.get_secret_value(), json.dumps(self._bucket))
        return super().__enter__()

    def work(self, name: str, engine: str | None = None) -> subprocess.Popen[bytes]:
        """Start a worker, of the other host if its engine is named."""
        log = (self._folder / f"trigpoint-{name}.log").open("ab")
        environment = self._environment | ({"DOCKER_HOST": engine} if engine else {})
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--name", name, "--limit", "1"]
        worker = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._workers.append(worker)
        return worker

    def lose_other(self, worker: subprocess.Popen[bytes]) -> None:
        """The other host loses its power."""
        os.killpg(worker.pid, signal.SIGKILL)
        self.other.lose()
        worker.wait()
        self._workers.remove(worker)

    def end_workers(self) -> None:
        """All workers die; what they have started goes on."""
        for worker in self._workers:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self._workers.clear()

    def runs_on(self, client: docker.APIClient) -> set[str]:
        """Flow runs of this server that have a container and a sandbox on an engine."""
        ours = {run["id"] for run in self.ask("POST", "/flow_runs/filter", {})}
        found = client.containers(filters={"label": PREFECT_RUN})
        flows = {each["Labels"][PREFECT_RUN] for each in found}
        return ours & flows & {holder_of(each).run for each in client.containers(filters={"label": LABEL_OWNER})}


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer(behave) as server:
        yield server
        held.clear()
        allowed.clear()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[TwoHosts]:
    folder = tmp_path_factory.mktemp("two")
    home = migrated_home(folder / "prefect")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(PrefectServer(home))
        s3 = stack.enter_context(S3Server("bucket"))
        s3.put("/bucket")
        hosts = stack.enter_context(TwoHosts(server, folder, postgres.new_database(), s3.options()))
        stack.enter_context(hosts.other)
        for name in TABLES:
            ask(name, hosts.tables, QUESTIONS)
        yield hosts


def ask(table: str, folder: Path, questions: int) -> None:
    """A table and so many questions about it."""
    # Equal bytes would be one dataset.
    rows = "".join(f"{n},{table}\n" for n in range(2 * questions))
    (folder / f"{table}.csv").write_text("a,b\n" + rows)
    lines = [
        {"id": f"q{n}", "text": f"How many rows of {table} have a above {n}?", "answer": {"type": "int"}}
        for n in range(questions)
    ]
    (folder / f"{table}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def order(table: str, model: ModelServer, parallel: int = 1) -> dict[str, Any]:
    options = {"runtime": "docker", "model": "scripted", "base_url": model.base_url, "parallel_questions": parallel}
    return {"datasets": [f"/tables/{table}.csv"], "questions": f"/tables/{table}.jsonl", "options": options}


def asked(model: ModelServer, question: str) -> bool:
    table, number = question.split()
    return any(f"{table} have a above {number}" in str(ask.messages) for ask in list(model.asks))


def episodes(home: Path, table: str) -> list[Episode]:
    return list(read_episodes(file_of(home / "episodes", table)))


def test_what_a_dead_host_had_begun_the_other_finishes(hosts: TwoHosts, model: ModelServer) -> None:
    here, there = hosts.client, hosts.other.client()
    hosts.work("here")
    worker = hosts.work("there", hosts.other.address)
    held.update({"north 1", "south 1"})
    runs = {hosts.begin("episode/hosts", order(table, model)): table for table in ("north", "south")}
    assert settle(lambda: [question for question in held if not asked(model, question)], 500) == [], hosts.logs()
    assert len(hosts.runs_on(here)) == len(hosts.runs_on(there)) == 1, "each host works on one of them"
    assert hosts.slots() == 2, "both under one cap"
    (living,), (dead,) = hosts.runs_on(here), hosts.runs_on(there)
    hosts.lose_other(worker)
    answered, before = set(model.tally.answered), model.tally.asked.copy()
    assert any(runs[dead] in str(ask.messages) for ask in model.asks)
    held.clear()
    assert hosts.finish(living)["type"] == "COMPLETED", hosts.logs()
    east = hosts.begin("episode/hosts", order("east", model))
    assert hosts.finish(east)["type"] == "COMPLETED", "the other host works on"
    state = hosts.finish(dead)
    assert state["type"] == "CRASHED"
    assert state["message"].startswith("Not heard of for 120 s")

    again = hosts.begin("episode/hosts", order(runs[dead], model))
    assert hosts.finish(again)["message"] == f"{QUESTIONS} of {QUESTIONS} questions verified"
    for table in TABLES:
        found = episodes(hosts.home, table)
        assert [episode.verdict.verdict for episode in found] == ["verified"] * QUESTIONS, table
        assert len({episode.episode_id for episode in found}) == QUESTIONS
    assert not {key for key in answered if model.tally.asked[key] > before[key]}, "what the dead one had paid for"
    assert settle(lambda: ["a slot"] if hosts.slots() else [], 200) == [], "the dead host's slot came back"


class Storm:
    """A run on the other host, which is killed again and again and started again where it ended."""

    def __init__(self, hosts: TwoHosts, model: ModelServer, rng: random.Random) -> None:
        self._hosts, self._model, self._rng = hosts, model, rng
        self._client = hosts.other.client()
        self.runs: list[str] = []
        self._met = set[str]()
        self.seen: list[tuple[set[str], Counter[str]]] = []
        """At each blow: the calls that the journal had answers to, and how often each had been asked."""

    def at_work(self) -> bool:
        """Start a run unless one is at work; wait until it asks something. False: it has ended instead."""
        asked = sum(self._model.tally.asked.values())
        allowed[:] = [most + 3 for most in allowed]
        deadline = time.monotonic() + 500
        while sum(self._model.tally.asked.values()) == asked:
            assert time.monotonic() < deadline, self._hosts.logs()
            if not self.runs or self._is_lost(self.runs[-1]):
                self.runs.append(self._hosts.begin("episode/hosts", order("kills", self._model, 3)))
            elif self._hosts.state(self.runs[-1])["type"] == "COMPLETED":
                return False
            time.sleep(0.3)
        return True

    def _is_lost(self, run: str) -> bool:
        """Whether a run will come to no end of its own: it has ended badly, or had a container and has none."""
        state = self._hosts.state(run)["type"]
        if self._containers("flow", run):
            self._met.add(run)
            return False
        return state in {"CRASHED", "FAILED"} or (state != "COMPLETED" and run in self._met)

    def strike(self, kind: str) -> None:
        """Kill something, a moment later."""
        time.sleep(self._rng.uniform(0.0, 2.0))
        run = self.runs[-1]
        self.seen.append((stored_keys(self._hosts.store), self._model.tally.asked.copy()))
        if kind == "worker":
            self._hosts.end_workers()
            self._hosts.work("there", self._hosts.other.address)
        elif kind == "engine":
            self._hosts.other.lose()
            self._hosts.other.start()
            self._client = self._hosts.other.client()
        elif kind == "process":
            for container in self._containers("flow", run):
                with contextlib.suppress(docker.errors.APIError, ProcessLookupError):  # It has just ended.
                    processes = self._client.top(container)["Processes"]
                    inner = [int(line[1]) for line in processes if "tini" not in line[-1]]
                    for process in self._rng.sample(inner, min(1, len(inner))):
                        os.kill(process, signal.SIGKILL)
        else:
            for container in self._containers("flow" if kind == "container" else "sandbox", run):
                with contextlib.suppress(docker.errors.APIError):  # It has just ended.
                    self._client.kill(container, signal="KILL")

    def left(self) -> list[str]:
        """Containers of any of the runs; a sandbox that waits for the next is nobody's."""
        return [each for run in self.runs for kind in ("flow", "sandbox") for each in self._containers(kind, run)]

    def asked_again(self) -> set[str]:
        """Calls that were asked once more after their answer was in the journal."""
        asked = self._model.tally.asked
        return {key for answered, before in self.seen for key in answered if asked[key] > before[key]}

    def _containers(self, kind: str, run: str) -> list[str]:
        engine = Containers(self._hosts.other.address)
        found = [box for box in asyncio.run(engine.boxes()) if box.kind == kind and box.run == run and box.alive]
        engine.close()
        return [box.id for box in found]


def test_whatever_is_killed_and_whenever_the_end_is_the_same(
    hosts: TwoHosts, model: ModelServer, record_property: Callable[[str, object], None]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    record_property("seed", seed)
    rng = random.Random(seed)
    questions = 4 * KILLS
    ask("kills", hosts.tables, questions)
    # Five lost sandboxes within ten minutes would pause the queue, and here they are lost on purpose.
    hosts.command("-m", "prefect", "automation", "pause", INCIDENTS)
    hosts.end_workers()
    hosts.other.start()  # The host is back.
    hosts.work("there", hosts.other.address)
    storm = Storm(hosts, model, rng)
    kinds = ["worker", "engine", "process", "container", "sandbox"] * (KILLS // 5)
    rng.shuffle(kinds)
    blows, allowed[:] = 0, [0]
    for kind in kinds:
        if not storm.at_work():
            break
        storm.strike(kind)
        blows += 1
    assert blows >= KILLS * 2 // 3, "there was something to kill"
    allowed.clear()
    # What a dead run had sent may be counted late, as if there were one at work.
    while storm.at_work():
        pass
    state = hosts.finish(storm.runs[-1])
    assert state["message"] == f"{questions} of {questions} questions verified", hosts.logs()

    found = episodes(hosts.other_home, "kills")
    assert sorted(episode.question.id for episode in found) == sorted(f"q{n}" for n in range(questions))
    assert {episode.question.id: episode.answer["v"] for episode in found if episode.answer} == {
        f"q{n}": questions * 2 - n - 1 for n in range(questions)
    }
    assert not storm.asked_again(), f"seed {seed}"
    assert settle(storm.left, 200) == []
    assert settle(lambda: ["a slot"] if hosts.slots() else [], 200) == []
