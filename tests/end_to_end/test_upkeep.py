"""Cut off in the middle: a run is cancelled, killed, or hangs; what is its own goes, what runs beside it stays."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from blocks.containers import PREFECT_RUN
from blocks.sandboxes.container import LABEL_FLOW_RUN, LABEL_OWNER
from blocks.sandboxes.holders import holder_of
from blocks.settings import settings
from flows.verification.records import Episode
from flows.verification.store import read_episodes
from tests.support.dataset_files import file_of
from tests.support.hosts import ROOT, Hosts
from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer
from tests.support.past import half_an_hour_ago
from tests.support.prefect_home import migrated_home
from tests.support.prefect_server import PrefectServer
from tests.support.waiting import settle

pytestmark = [pytest.mark.engine, pytest.mark.server, pytest.mark.timeout(3600), pytest.mark.usefixtures("flow_image")]

QUESTIONS = 2
TABLES = ("north", "south", "east", "west")
HANG = (
    "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | grep -q 'flow-run [e]xecute' && kill -STOP ${p#/proc/}; done"
)
"""Stops, inside of a flow's container, the runner that listens for cancelling."""


held: set[str] = set()
"""Tables about which the model gives no answer for now: their runs are in the middle."""


async def behave(ask: Ask) -> Answer:
    told = " ".join(str(message.get("content")) for message in ask.messages if message["role"] == "user")
    found = re.search(r"(\w+) have a above (\d+)", told)
    code = f"submit(int((df.a > {found[2]}).sum()))" if found else "submit(len(df))"
    while found and found[1] in held:  # noqa: ASYNC110 (set by another thread)
        await asyncio.sleep(0.1)
    return Answer(content=f"Counted.\n```python\n{code}\n```", delay_s=0.1)


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer(behave) as server:
        yield server


class Place(Hosts):
    """Hosts whose worker can be killed."""

    server_home: Path
    own_temp: Path
    """Where nobody else's left folders lie."""

    def upkeep(self, *arguments: str, code: int = 0) -> str:
        """`python flows/upkeep.py`, on the home that the containers use."""
        own = {"TRIGPOINT_HOME": str(self.home), "TMPDIR": str(self.own_temp), "COLUMNS": "300"}
        done = subprocess.run(
            [sys.executable, "flows/upkeep.py", *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
            env={**self._environment, **own}, text=True, check=False, timeout=400,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def kill_workers(self) -> None:
        for worker in self._workers:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        self._workers.clear()

    def boxes(self, run: str) -> set[str]:
        """Names of the sandboxes that serve a run."""
        found = self.client.containers(filters={"label": LABEL_OWNER})
        return {each["Names"][0] for each in found if holder_of(each).run == run}

    def flow_box(self, run: str) -> list[str]:
        found = self.client.containers(filters={"label": f"{PREFECT_RUN}={run}"})
        return [each["Id"] for each in found]

    def parts(self, run: str) -> list[str]:
        """The states of the runs within a run."""
        where = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}
        return [each["state"]["type"] for each in self.ask("POST", "/flow_runs/filter", where)]

    def part_of(self, run: str) -> str:
        """The id of the run within a run."""
        where = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}
        (part,) = self.ask("POST", "/flow_runs/filter", where)
        return str(part["id"])

    def begin_and_wait(self, model: ModelServer, *tables: str) -> list[str]:
        """Runs, each in the middle: its sandbox is open and it waits for the model."""
        held.update(tables)
        runs = [self.begin("episode/hosts", order(table, model)) for table in tables]
        assert settle(lambda: [run for run in runs if not self.boxes(run)], 600) == []
        assert settle(lambda: [table for table in tables if not asks_about(model, table)], 300) == []
        return runs

    def gone(self, run: str) -> bool:
        return settle(lambda: [*self.boxes(run), *self.flow_box(run)], 120) == []


def asks_about(model: ModelServer, table: str) -> int:
    return sum(f"{table} have a above" in str(ask.messages) for ask in list(model.asks))


def order(table: str, model: ModelServer) -> dict[str, Any]:
    options = {"runtime": "docker", "model": "scripted", "base_url": model.base_url}
    return {"datasets": [f"/tables/{table}.csv"], "questions": f"/tables/{table}.jsonl", "options": options}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("upkeep")
    home = migrated_home(folder / "prefect")
    own = {"PREFECT_HOME": str(folder / "worker")}
    with PrefectServer(home) as server, Place(server, folder, 4, own, ["trigpoint-hosts"]) as place:
        place.server_home = home
        # Upkeep alone is tried here: the server would end a silent run by itself.
        place.command("-m", "prefect", "automation", "pause", "trigpoint-silent-runs")
        place.own_temp = folder / "tmp"
        place.own_temp.mkdir()
        for number, name in enumerate(TABLES):
            rows = "".join(f"{n},{n % 7}\n" for n in range(40 + number))
            (place.tables / f"{name}.csv").write_text("a,b\n" + rows)
            lines = [
                {"id": f"q{n}", "text": f"How many rows of {name} have a above {5 + n}?", "answer": {"type": "int"}}
                for n in range(QUESTIONS)
            ]
            (place.tables / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        yield place


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    yield
    held.clear()


def episodes(place: Place, table: str) -> list[Episode]:
    return list(read_episodes(file_of(place.home / "episodes", table)))


def test_a_cancelled_run_takes_its_own_sandboxes_along_and_the_rerun_goes_on(place: Place, model: ModelServer) -> None:
    cut, beside = place.begin_and_wait(model, "north", "south")
    others = place.boxes(beside)
    asked = asks_about(model, "north")
    place.command("-m", "prefect", "flow-run", "cancel", cut)
    assert place.finish(cut)["type"] == "CANCELLED", place.logs()
    assert place.gone(cut)
    assert place.boxes(beside) == others, "the other run's sandbox is the same"
    assert place.state(beside)["type"] == "RUNNING"
    assert settle(lambda: [state for state in place.parts(cut) if state not in {"CANCELLED", "CRASHED"}], 300) == []
    assert list((place.home / "logs").rglob("north.log")), "its log stays"

    held.clear()
    assert place.finish(beside)["message"] == f"{QUESTIONS} of {QUESTIONS} questions verified"
    assert place.finish(place.begin("episode/hosts", order("north", model)))["type"] == "COMPLETED"
    assert asks_about(model, "north") > asked
    made, theirs = episodes(place, "north"), episodes(place, "south")
    assert [episode.verdict.verdict for episode in made] == ["verified"] * QUESTIONS
    assert [len(episode.attempts) for episode in made] == [len(episode.attempts) for episode in theirs]
    assert place.state(cut)["type"] == "CANCELLED", "and stays so"

    # The deployment of upkeep, which sees the engine through the socket of its container.
    assert place.finish(place.begin("upkeep/hosts", {}))["type"] == "COMPLETED", place.logs()
    assert "shares its process" in place.upkeep("--stop", place.part_of(beside), code=2)


def test_a_killed_run_is_found_and_cleared_and_the_living_one_beside_it_is_left_alone(
    place: Place, model: ModelServer
) -> None:
    """With the worker dead as well nobody tells the server: for Prefect the run goes on for ever."""
    dead, living = place.begin_and_wait(model, "east", "west")
    place.kill_workers()
    place.client.kill(place.flow_box(dead)[0], signal="KILL")
    orphan = place.client.create_container(
        settings().sandbox_image, entrypoint=["sleep", "600"], network_disabled=True, name=f"trigpoint-orphan-{dead}",
        labels={LABEL_FLOW_RUN: dead, LABEL_OWNER: "elsewhere.0.0/7/1"},
    )["Id"]  # fmt: skip
    place.client.start(orphan)
    try:
        assert "crash run" not in place.upkeep(), "nothing is called dead before it was silent for long"
        half_an_hour_ago(place.server_home, dead, living)
        listed = place.upkeep()
        assert listed.count("crash run") == 2, "the run and, within it, that of its dataset"
        assert listed.count("was killed (exit code 137, SIGKILL") == 2
        assert f"trigpoint-orphan-{dead}" in listed
        assert place.state(dead)["type"] == "RUNNING", "it was only listed"
        assert place.boxes(dead)

        applied = place.upkeep("--apply")
        assert "would be done" not in applied
        state = place.state(dead)
        assert state["type"] == "CRASHED"
        assert re.search(r"not heard of for 3\d min; its container was killed", state["message"])
        assert place.boxes(dead) == set()
        assert place.slots() == 1, "the living run's"
        assert "crash run" not in place.upkeep("--apply")
        assert place.state(living)["type"] == "RUNNING"
        assert len(place.boxes(living)) == 1

        # Its runner hangs: nobody in the container hears that it is cancelled.
        place.client.exec_start(place.client.exec_create(place.flow_box(living)[0], ["sh", "-c", HANG])["Id"])
        said = place.upkeep("--stop", living, "--grace", "4")
        assert "its runner did not end it within 4 s" in said
        assert place.state(living)["type"] == "CANCELLED"
        assert place.gone(living)
        assert "The server knows no flow run 'no-such-run'" in place.upkeep("--stop", "no-such-run", code=2)
    finally:
        with contextlib.suppress(docker.errors.APIError):
            place.client.remove_container(orphan, force=True)
