"""What a run costs that finds everything done: a thousand finished questions, and one for the fixed part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blocks.chat.endpoints import parse_model
from blocks.sandboxes import ProcessRuntime, SandboxPool
from flows.questions.files import read_questions
from flows.tables.dataset import read_dataset
from flows.tables.opening import table_of
from flows.verification.batch import plan_questions
from flows.verification.options import EpisodeOptions
from flows.verification.records import DatasetRef, make_episode
from flows.verification.store import EpisodeStore
from tests.benchmarks.report import Row, print_table
from tests.benchmarks.sizes import size
from tests.support.attempts import block
from tests.support.episodes import LOADED, SANDBOX, WORK, attempts, verdict_of

pytestmark = [pytest.mark.benchmark, pytest.mark.server, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = size(1000, 3)
TIMES = size(3, 1)
BAR_S = 30.0
ENDPOINT = "http://127.0.0.1:9/v1"


async def _finished_home(folder: Path, count: int) -> list[str]:
    """A home in which `count` questions are finished; returns the command that finds them so."""
    dataset_file, question_file = folder / "data.csv", folder / "questions.jsonl"
    dataset_file.write_text("a,b\n1,2\n3,4\n")
    lines = [json.dumps({"text": f"How many rows, {number}?", "answer": {"type": "int"}}) for number in range(count)]
    question_file.write_text("\n".join(lines) + "\n")
    dataset, options = read_dataset(dataset_file), EpisodeOptions(model="m", base_url=ENDPOINT)
    pool = SandboxPool(ProcessRuntime(), limits=options.limits())
    async with table_of(pool, dataset, folder / "home") as table:
        plans = plan_questions(
            read_questions(question_file).questions, table, options.solve_config("m"),
            endpoint=parse_model("m", ENDPOINT).endpoint.id,
        )  # fmt: skip
    await pool.close()
    traces = await attempts(WORK, *([(block("submit(4)"),)] * 3))
    with EpisodeStore(folder / "home" / "episodes" / f"{dataset.stem}.jsonl") as store:
        for question, plan in plans:
            about = DatasetRef.of(dataset, LOADED)
            verdict = verdict_of(question, traces)
            store.append(make_episode(plan, question, about, traces, verdict, sandbox=SANDBOX))
    arguments = ["--questions", str(question_file), "--model", "m", "--base-url", ENDPOINT, "--runtime", "process"]
    return [sys.executable, "flows/episode.py", str(dataset_file), *arguments]


def _seconds(command: list[str], home: Path, count: int) -> float:
    started = time.perf_counter()
    environment = {**os.environ, "TRIGPOINT_HOME": str(home)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    assert f"{count} done by earlier runs" in " ".join(done.stdout.split())
    return seconds


async def test_cached_rerun(tmp_path: Path, prefect_home: Path) -> None:
    rows = []
    for count in (1, QUESTIONS):
        folder = tmp_path / str(count)
        folder.mkdir()
        command = await _finished_home(folder, count)
        seconds = sorted(_seconds(command, folder / "home", count) for _ in range(TIMES))[TIMES // 2]
        bar = f"<= {BAR_S:.0f} s" if count == QUESTIONS else ""
        rows.append(Row(f"rerun of {count} finished questions", f"{seconds:.1f} s", bar, seconds <= BAR_S))
    print_table(f"A rerun that finds everything done (median of {TIMES} whole processes)", rows)
