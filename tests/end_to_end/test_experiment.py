"""`python flows/experiment.py`: killed at any moment and run again, its exit codes, what Prefect shows of it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowFilter, FlowFilterName

from blocks.command_line import parse, run_flow
from blocks.settings import settings
from flows.experiment import _without_a_run, experiment
from tests.support.experiments import Bench
from tests.support.model_server import ModelProcess
from tests.support.prefect_server import PrefectServer
from tests.support.stores import stored_keys
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.server, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("TRIGPOINT_TEST_KILLS", "3"))
ROWS = 16 * (KILLS + 1)
TIMED = {"latency_s", "started_at", "attempts"}
BEHAVE = '''
import hashlib
from tests.support.model_server import Answer

def behave(ask):
    """A text that follows from the request, after a while."""
    return Answer(content=hashlib.sha256(ask.last.encode()).hexdigest(), delay_s=0.2)
'''


@pytest.fixture
def model(tmp_path: Path) -> Iterator[ModelProcess]:
    script = tmp_path / "behave.py"
    script.write_text(BEHAVE)
    with ModelProcess(tmp_path / "calls.jsonl", script) as model:
        yield model


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


class Command:
    """The command, with a home of its own."""

    def __init__(self, bench: Bench, server: PrefectServer, home: Path) -> None:
        self.bench, self.home = bench, home
        self._environment = {
            **os.environ, "TRIGPOINT_HOME": str(home), "PREFECT_API_URL": server.api_url, "COLUMNS": "150",
        }  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        folder = self.bench.folder
        named = ["-p", f"{folder}/prompt.txt", "-e", f"{folder}/experiments.csv", "-o", f"{folder}/results.csv"]
        return subprocess.Popen(
            [sys.executable, "flows/experiment.py", *named, *arguments], cwd=ROOT, env=self._environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str, code: int) -> str:
        process = self.start(*arguments)
        out, err = process.communicate()
        assert process.returncode == code, out + err
        assert "Traceback" not in out + err, err
        return out + err


def test_killed_at_any_moment_and_run_again(
    bench: Bench,
    model: ModelProcess,
    prefect_server: PrefectServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the journal has is not asked again, what the file of rows has not even looked up, and the table is whole."""
    bench.experiments("provider,model,topic", *(f"compatible,m,topic {n}" for n in range(ROWS)))
    command = Command(bench, prefect_server, tmp_path / "home")
    options = ("--base-url", model.base_url, "--compatible-concurrency", "4", "--no-report")
    dice = random.Random(7)
    paid: dict[str, int] = {}
    for _ in range(KILLS):
        process = command.start(*options)
        wanted = len(bench.lines_on_disk()) + dice.randint(1, 12)
        wait_until(lambda: len(bench.lines_on_disk()) >= wanted or process.poll() is not None)  # noqa: B023
        time.sleep(dice.random() * 0.2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        asked = model.tally.asked
        paid |= {key: asked[key] for key in stored_keys(command.home / "store.db") if key not in paid}
    assert paid
    assert "by earlier runs" in command.run(*options, code=0)
    assert {key: model.tally.asked[key] for key in paid} == paid, "no answered call was asked again"
    assert sum(model.tally.asked.values()) - ROWS <= 4 * KILLS, "only what was under way at a kill was asked twice"
    rows = bench.rows()
    undisturbed = Bench(tmp_path / "undisturbed")
    undisturbed.experiments("provider,model,topic", *(f"compatible,m,topic {n}" for n in range(ROWS)))
    asyncio.run(undisturbed.run(base_url=model.base_url, compatible_concurrency=16))
    assert [_untimed(row) for row in rows] == [_untimed(row) for row in undisturbed.rows()]
    written, count = bench.output.read_bytes(), sum(model.tally.asked.values())
    monkeypatch.setenv("TRIGPOINT_HOME", str(command.home))
    settings.cache_clear()
    asyncio.run(bench.run(base_url=model.base_url))
    assert bench.output.read_bytes() == written, "run once more it is the same to the byte"
    assert sum(model.tally.asked.values()) == count


def test_terminated_it_leaves_a_table_of_what_it_has(
    bench: Bench, model: ModelProcess, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    """As a worker ends a container that is cancelled."""
    bench.experiments("provider,model,topic", *(f"compatible,m,topic {n}" for n in range(400)))
    command = Command(bench, prefect_server, tmp_path / "home")
    process = command.start("--base-url", model.base_url, "--compatible-concurrency", "2", "--no-report")
    wait_until(lambda: len(bench.lines()) > 2 or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "Error: Terminated. Run the same command again: it goes on where it stopped."
    assert "Traceback" not in said
    written = bench.rows()
    assert 2 < len(written) < 400
    assert {row["status"] for row in written} == {"ok"}
    assert [row["row"] for row in written] == [str(line["row"]) for line in sorted(bench.lines(), key=_number)]


def _number(line: dict[str, Any]) -> int:
    return int(line["row"])


def _untimed(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in TIMED}


def test_a_run_in_prefect_and_in_the_terminal(bench: Bench, prefect_server: PrefectServer, tmp_path: Path) -> None:
    bench.experiments("provider,model,topic", "mock,mock,a", "mock,json,b", "mock,broken,c")
    command = Command(bench, prefect_server, tmp_path / "home")
    said = command.run("--flatten", code=1)
    assert "3 rows: 2 ok, 1 failed" in said
    assert "mock/json" in said
    assert f"{bench.output}.html" in said
    assert "refuses every request" in said
    state, artifacts = asyncio.run(_run_in(prefect_server))
    assert state == "3 rows: 2 ok, 1 failed"
    assert {"experiment": "table", "comparison": "markdown"}.items() <= artifacts.items()
    assert "progress" in artifacts.values()


async def _run_in(server: PrefectServer) -> tuple[str, dict[str, str]]:
    """The message of the newest run's state, and its artifacts' types by key."""
    async with PrefectClient(server.api_url) as client:
        runs = await client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=["experiment"])))
        run = max(runs, key=lambda each: each.expected_start_time or each.created)  # type: ignore[arg-type, return-value]
        mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(str(run.id))]))
        found = await client.read_artifacts(artifact_filter=mine)
    return str(run.state and run.state.message), {str(each.key): str(each.type) for each in found}


def test_lists_and_samples_need_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> int:
        return run_flow(experiment, arguments=arguments, instead=_without_a_run)

    assert told("--list-models", "mock") == 0
    assert "mock lists 7 models" in capsys.readouterr().out
    assert told("--list-models", "compatible") == 2
    assert "Give --base-url" in capsys.readouterr().err
    assert told("--init", str(tmp_path / "new")) == 0
    assert (tmp_path / "new" / "experiments.csv").read_text().startswith("provider,model,topic")
    assert told("--init", str(tmp_path / "new")) == 2
    assert "nothing was written" in capsys.readouterr().err


def test_the_command_line_takes_a_dash_and_the_usual_letters() -> None:
    given = parse(experiment, ["-p", "-", "-e", "e.csv", "-o", "-", "-c", "a.txt", "-c", "b=c.txt", "--flatten"])
    assert (given["prompt"], given["experiments"], given["output"]) == ("-", "e.csv", "-")
    assert given["context"] == ["a.txt", "b=c.txt"]
    assert given["options"].flatten
    assert parse(experiment, ["-", "-p", "p.txt"])["experiments"] == "-"
    assert parse(experiment, ["-p", "p.txt", "-e", "-", "--sequential"])["experiments"] == "-"
    given = parse(experiment, ["--prompt=p", "--experiments=e", "--plain", "seed", "--openai-concurrency", "3"])
    assert (given["options"].plain, given["options"].concurrency("openai")) == (("seed",), 3)
