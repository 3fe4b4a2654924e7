"""Deployed on a host: a server, work pools, a docker worker, flows in containers that open their own sandboxes."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import docker
import pytest

from flows.verification.records import Episode
from flows.verification.store import read_episodes
from tests.support.dataset_files import file_of
from tests.support.hosts import Hosts, Sampler
from tests.support.machine import FLOW_IMAGE
from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer
from tests.support.prefect_home import migrated_home
from tests.support.prefect_server import PrefectServer
from tests.support.waiting import settle, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.server, pytest.mark.timeout(3600), pytest.mark.usefixtures("flow_image")]

CAP = 3
QUESTIONS = 1
PASSWORD = "keep-me-out-of-containers"
TABLES = tuple(f"table{number:02}" for number in range(12))


def behave(ask: Ask, delay_s: float = 0.1) -> Answer:
    told = " ".join(str(message.get("content")) for message in ask.messages if message["role"] == "user")
    found = re.search(r"a above (\d+)", told)
    code = f"submit(int((df.a > {found[1]}).sum()))" if found else "submit(len(df))"
    return Answer(content=f"Counted.\n```python\n{code}\n```", delay_s=delay_s)


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer(behave) as server:
        yield server


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder = tmp_path_factory.mktemp("hosts")
    home = migrated_home(folder / "prefect")
    # A worker hands its PREFECT_ settings on to containers; what is the server's must not be among them.
    secrets = {
        "PREFECT_SERVER_DATABASE_PASSWORD": PASSWORD,
        "OPENROUTER_API_KEY": PASSWORD,
        "PREFECT_HOME": str(folder / "worker"),
    }
    # Who waits for a slot asks again as often as the server says: two seconds are enough for work as short as this.
    patience = {"PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "2"}
    pools = ("trigpoint-hosts", "trigpoint-light")
    with PrefectServer(home, **patience) as server, Hosts(server, folder, CAP, secrets, pools) as hosts:
        for number, name in enumerate((*TABLES, "late")):
            rows = "".join(f"{n},{n % 7}\n" for n in range(40 + number))
            (hosts.tables / f"{name}.csv").write_text("a,b\n" + rows)
        # With a hint the gold trace comes first, alone: what is answered and what is under way can be told apart.
        asked: list[dict[str, Any]] = [
            {
                "id": f"q{n}",
                "text": f"How many rows have a above {5 + n}?",
                "hint": "Compare.",
                "answer": {"type": "int"},
            }
            for n in range(QUESTIONS)
        ]
        lines = [json.dumps(each) + "\n" for each in asked]
        (hosts.tables / "questions.jsonl").write_text("".join(lines))
        yield hosts


def order(model: ModelServer, *tables: str) -> dict[str, Any]:
    options = {"runtime": "docker", "model": "scripted", "base_url": model.base_url, "parallel_datasets": 4}
    return {
        "datasets": [f"/tables/{table}.csv" for table in tables],
        "questions": "/tables/questions.jsonl",
        "options": options,
    }


def episodes(hosts: Hosts, *tables: str) -> dict[str, list[Episode]]:
    return {table: list(read_episodes(file_of(hosts.home / "episodes", table))) for table in tables}


def test_two_runs_in_containers_make_episodes_and_never_pass_the_cap(hosts: Hosts, model: ModelServer) -> None:
    with Sampler(hosts) as sampler:
        runs = [hosts.start("episode/hosts", **order(model, *some)) for some in (TABLES[:6], TABLES[6:])]
        said = [run.communicate(timeout=1500)[0] for run in runs]
    states = [(run["state"]["type"], run["state"]["message"]) for run in hosts.flow_runs("episode")]
    assert {kind for kind, _ in states} == {"COMPLETED"}, (states, said, hosts.logs())
    image = docker.from_env().images.get(FLOW_IMAGE)
    build = dict(line.split("=", 1) for line in image.attrs["Config"]["Env"])["TRIGPOINT_BUILD"]
    for table, found in episodes(hosts, *TABLES).items():
        assert [episode.verdict.verdict for episode in found] == ["verified"] * QUESTIONS, table
        assert all(episode.provenance.sandbox.walls["outer"]["kind"] == "container" for episode in found)
        assert {episode.provenance.code.build for episode in found} == {build}, "the image that made it is named"

    assert len(sampler.flow_containers) == 2, "each run was in a container that the worker made"
    assert len(sampler.sandboxes) == len(TABLES), "a sandbox for each dataset, on the same engine"
    assert sampler.peak == CAP, "as many at once as may be, and never more"
    assert sampler.rate > 0.5

    for described in sampler.flow_containers.values():
        variables = dict(line.split("=", 1) for line in described["Config"]["Env"])
        assert PASSWORD not in str(described)
        assert variables["PREFECT_HOME"] != str(hosts.home), "the worker's own folders mean nothing in a container"
        assert variables["TRIGPOINT_RUNTIME"] == "docker"
    owners = {path.stat().st_uid for path in hosts.home.rglob("*")}
    assert owners == {hosts.home.stat().st_uid}
    assert owners != {0} or os.getuid() != 0, "root was given up although the engine's socket was kept"


def test_after_a_kill_the_next_container_goes_on_and_redoes_nothing(hosts: Hosts, model: ModelServer) -> None:
    """One dataset more: those that were done before the kill are found done in every further container."""
    before, asked = episodes(hosts, *TABLES), len(model.asks)
    over = threading.Event()

    async def first_only(ask: Ask) -> Answer:
        """Its second call tells that the answer to the first is in the journal, and is never answered."""
        if ask.total == asked + 1:
            return behave(ask)
        while not over.is_set():  # noqa: ASYNC110 (set by another thread)
            await asyncio.sleep(0.1)
        return Answer(drop=True)

    model.behave = first_only
    with Sampler(hosts) as killed:
        run = hosts.begin("episode/hosts", order(model, *TABLES, "late"))
        model.wait_for_asks(asked + 2)
        (flow,) = hosts.flow_containers()
        hosts.client.kill(flow)
        wait_until(lambda: bool(killed.samples) and not killed.samples[-1][1], 120)
    assert len(killed.sandboxes) == 1
    assert not killed.samples[-1][1], "a sandbox does not outlive the flow that owns it"
    assert hosts.finish(run)["type"] == "CRASHED"

    over.set()
    model.behave = behave
    answered, tally = set(model.tally.answered), model.tally.asked.copy()
    with Sampler(hosts) as again:
        state = hosts.finish(hosts.begin("episode/hosts", order(model, *TABLES, "late")))
    everything = QUESTIONS * (len(TABLES) + 1)
    assert state["message"] == f"{everything} of {everything} questions verified", hosts.logs()
    assert len(again.flow_containers) == len(again.sandboxes) == 1, (
        "a sandbox for what is not done, and for nothing else"
    )
    assert not {key for key in answered if model.tally.asked[key] > tally[key]}, "nothing answered was asked again"
    assert episodes(hosts, *TABLES) == before
    (late,) = episodes(hosts, "late").values()
    assert len(late) == QUESTIONS == len({episode.episode_id for episode in late})


def test_a_night_works_on_what_is_new_and_tells_what_it_could_not_read(hosts: Hosts, model: ModelServer) -> None:
    rows = "".join(f"{'abcd'[n % 4]},{n * n % 97},{2000 + n % 3}\n" for n in range(80))
    for slug, text in (("new", "region,amount,year\n" + rows), ("broken", "")):
        folder = hosts.home / "datasets" / slug
        folder.mkdir(parents=True)
        (folder / "data.csv").write_text(text)
    night = {
        "options": {"most_questions": 5, "hours": 1},
        "question": {"runtime": "docker", "source": ["template"], "per_source": 2},
        "episode": {"runtime": "docker", "model": "scripted", "base_url": model.base_url, "traces": 2},
    }
    with Sampler(hosts) as sampler:
        first = hosts.begin("nightly/nightly", night)
        assert settle(lambda: ["it waits"] if hosts.state(first)["type"] == "SCHEDULED" else [], 300) == []
        second = hosts.finish(hosts.begin("nightly/nightly", night))
        state = hosts.finish(first)
    assert (second["type"], second["message"]) == ("CANCELLED", "Deployment concurrency limit reached.")
    assert state["type"] == "COMPLETED", hosts.logs()
    assert state["message"].endswith("of 2 questions verified; datasets: 1 worked on, 1 failed")
    assert len(sampler.flow_containers) == 3, "the night's own, one that makes questions, one that asks them"
    assert sampler.peak <= CAP
    assert len(sampler.sandboxes) == 1, "the sandbox in which the questions were made has waited for those who ask them"
    last = {name: hosts.flow_runs(name)[-1] for name in ("question", "episode")}
    assert all(run["parent_task_run_id"] for run in last.values()), "subflows of the night"
    assert len(episodes(hosts, "new")["new"]) == 2
    (page,) = hosts.ask("POST", "/artifacts/filter", {"artifacts": {"key": {"any_": ["nightly"]}}})
    assert "| new | ✓ worked on | 2 | 2 |" in page["data"]
    assert "broken" in page["data"]
    assert "is empty" in page["data"]

    with Sampler(hosts) as sampler:
        state = hosts.finish(hosts.begin("nightly/nightly", night))
    assert state["message"] == "0 of 0 questions verified; datasets: 1 done before, 1 failed"
    assert len(sampler.flow_containers) == 1, "what is done costs no container"


def test_a_cancelled_night_takes_what_it_has_started_along(hosts: Hosts, model: ModelServer) -> None:
    folder = hosts.home / "datasets" / "slow"
    folder.mkdir(parents=True)
    (folder / "data.csv").write_text("region,amount\n" + "".join(f"{'xyz'[n % 3]},{n * n % 89}\n" for n in range(70)))
    night = {
        "options": {"most_questions": 5, "hours": 1},
        "question": {"runtime": "docker", "source": ["template"], "per_source": 2},
        "episode": {"runtime": "docker", "model": "scripted", "base_url": model.base_url, "traces": 2},
    }
    asked = len(model.asks)
    model.behave = partial(behave, delay_s=300.0)
    try:
        run = hosts.begin("nightly/nightly", night)
        model.wait_for_asks(asked + 1)
        hosts.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
        assert hosts.finish(run)["type"] == "CANCELLED", hosts.logs()
        started = str(hosts.flow_runs("episode")[-1]["id"])
        assert hosts.finish(started)["type"] == "CANCELLED", hosts.logs()
    finally:
        model.behave = behave


def test_an_experiment_and_the_report_run_in_containers(hosts: Hosts, model: ModelServer) -> None:
    mine = hosts.home / "mine"
    mine.mkdir()
    mine.chmod(0o777)
    (mine / "prompt.txt").write_text("How many rows have a above {{limit}}?")
    (mine / "rows.csv").write_text("provider,model,limit\n" + "".join(f"compatible,tried,{n}\n" for n in range(3)))
    work = {
        "experiments": "/data/mine/rows.csv", "prompt": "/data/mine/prompt.txt", "output": "/data/mine/answers.csv",
        "options": {"base_url": model.base_url},
    }  # fmt: skip
    asked = len(model.asks)
    with Sampler(hosts) as sampler:
        state = hosts.finish(hosts.begin("experiment/hosts", work))
    assert state["type"] == "COMPLETED", (state, hosts.logs())
    assert len(model.asks) == asked + 3
    assert len(sampler.flow_containers) == 1
    assert sampler.sandboxes == set()
    with (mine / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["limit"], row["status"]) for row in rows] == [("0", "ok"), ("1", "ok"), ("2", "ok")]
    assert all(f"(df.a > {row['limit']})" in row["output"] for row in rows)

    state = hosts.finish(hosts.begin("report/hosts", {"options": {"by": ["flow", "model"], "model": "tried"}}))
    assert state["message"].startswith("3 requests"), hosts.logs()
    (page,) = hosts.ask("POST", "/artifacts/filter", {"artifacts": {"key": {"any_": ["report"]}}})
    assert "| experiment | tried | 3 | 0 |" in page["data"]
