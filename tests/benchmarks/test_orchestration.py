"""What Prefect costs a run: the flow on a real server against a bare loop over the same questions and model."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.settings import settings
from blocks.workbench import workbench
from flows.episode import episode
from flows.questions.files import read_questions
from flows.runs.logs import dataset_log
from flows.samples.recording import JOURNAL
from flows.sharing.share import HomeShare
from flows.tables.dataset import read_dataset
from flows.tables.opening import table_of
from flows.verification.desk import Keeper, set_out, sort_questions
from flows.verification.options import EpisodeOptions
from flows.verification.store import EpisodeStore
from tests.benchmarks.report import Row, print_table
from tests.benchmarks.sizes import TOY
from tests.support.model_server import ModelProcess
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.benchmark, pytest.mark.server, pytest.mark.timeout(7200)]

SIZES = [int(word) for word in os.environ.get("TRIGPOINT_TEST_SIZES", "2" if TOY else "100,1000").split(",")]
TRACES = 16
"""Independent traces under way at once: four questions of four each."""
BAR = 0.05
BEHAVE = """
from tests.support.model_answers import Answer

def behave(ask):
    return Answer(content="Counted.\\n```python\\nsubmit(int((df.a > 7).sum()))\\n```", delay_s=DELAY_S)
""".replace("DELAY_S", "0.1" if TOY else "1.0")


class Cost(NamedTuple):
    """Of one run: wall clock, CPU of this process, CPU of the server, all in seconds."""

    wall: float
    own: float
    server: float


@pytest.fixture
def model(tmp_path: Path) -> Iterator[ModelProcess]:
    script = tmp_path / "behave.py"
    script.write_text(BEHAVE)
    with ModelProcess(tmp_path / "calls.jsonl", script) as model:
        yield model


def _order(folder: Path, count: int, model: ModelProcess) -> tuple[Path, Path, EpisodeOptions]:
    dataset, questions = folder / "data.csv", folder / "questions.jsonl"
    # Another table for each size: what is kept of the questions of one is none of another's.
    dataset.write_text("a,b\n" + "".join(f"{n},{count}\n" for n in range(60)))
    lines = [
        {"id": f"q{n}", "text": f"How many rows have a above 7, {n}?", "answer": {"type": "int"}} for n in range(count)
    ]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = EpisodeOptions(
        model="m", base_url=model.base_url, runtime="process", traces=4, stop_early=False, parallel_questions=4,
        parallel_calls=TRACES,
    )  # fmt: skip
    return dataset, questions, options


async def _bare(dataset: Path, questions: Path, options: EpisodeOptions) -> int:
    """What the flow does, without flows, tasks, artifacts and a display."""
    record, home = read_dataset(dataset), settings().home
    async with workbench(options.pool(), options.model_spec(JOURNAL)) as bench:
        config = options.solve_config(bench.model)
        with EpisodeStore(home / "episodes" / "bare.jsonl") as store, dataset_log(home / "logs", "bare") as log:
            asked = read_questions(questions).questions
            async with table_of(bench.pool, record, home) as table:
                agenda = sort_questions(asked, table, config, store, endpoint=bench.endpoint)
                work = await set_out(table, agenda.todo, config, client=bench.client, log=log, step=lambda *_: None)
                free, keeper = (
                    asyncio.Semaphore(options.parallel_questions),
                    Keeper(store, HomeShare(None, home).of(record)),
                )

                async def one(item: object) -> None:
                    async with free:
                        await keeper.keep(await item.episode())  # type: ignore[attr-defined]

                await asyncio.gather(*map(one, work))
    return len(work)


async def _flow(dataset: Path, questions: Path, options: EpisodeOptions) -> int:
    state = await episode([str(dataset)], questions=str(questions), options=options, return_state=True)
    assert state.is_completed(), state.message
    return int((state.message or "0").split()[0])


async def test_orchestration(
    tmp_path: Path, model: ModelProcess, prefect_server: PrefectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = []
    (server,) = [each for each in psutil.Process().children() if str(prefect_server.port) in " ".join(each.cmdline())]
    for count in SIZES:
        cost = {}
        for name, run in (("bare", _bare), ("flow", _flow)):
            folder = tmp_path / f"{name}-{count}"
            folder.mkdir()
            monkeypatch.setenv("TRIGPOINT_HOME", str(folder / "home"))
            settings.cache_clear()
            order = _order(folder, count, model)
            with temporary_settings({PREFECT_API_URL: prefect_server.api_url}):
                before, busy, own = time.perf_counter(), sum(server.cpu_times()[:2]), time.process_time()
                assert await run(*order) == count
                wall, used = time.perf_counter() - before, time.process_time() - own
            # The server records what it was told for a while longer.
            await asyncio.sleep(0 if TOY else min(60, 5 + count * 0.05))
            cost[name] = Cost(wall, used, sum(server.cpu_times()[:2]) - busy)
        bare, flow = cost["bare"], cost["flow"]
        share = (flow.wall - bare.wall) / flow.wall
        own = (flow.own - bare.own) / count
        rows.append(Row(f"{count} questions, 5 calls of 1 s each: bare loop", f"{bare.wall:.1f} s"))
        rows.append(Row("the flow", f"{flow.wall:.1f} s"))
        rows.append(Row("of it orchestration", f"{share:.1%}", f"<= {BAR:.0%}", share <= BAR))
        rows.append(
            Row(
                "CPU a question: flow's process more than bare; server",
                f"{1000 * own:.0f}; {1000 * flow.server / count:.0f} ms",
            )
        )
        print_table(f"Orchestration, {TRACES} traces at once", rows)
