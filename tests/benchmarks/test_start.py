"""What a user waits for before anything happens, and after Ctrl-C: the help, a first and a second start, the end."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blocks.server_record import ServerFolder
from tests.benchmarks.report import Row, print_table
from tests.benchmarks.sizes import size
from tests.support.file_server import rows as table_rows
from tests.support.model_server import Answer, ModelServer
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.benchmark, pytest.mark.server, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
FLOWS = ("download", "question", "episode", "experiment", "nightly", "report", "upkeep")
ROUNDS = int(os.environ.get("TRIGPOINT_TEST_ROUNDS", size(3, 1)))
HELP_S, SECOND_S, END_S = 1.0, 3.0, 10.0


def _starts(folder: Path) -> tuple[float, float]:
    """Seconds of `python flows/episode.py` on the bundled data until it works on a dataset, and has a first verdict.

    Everything but the server is the first time's: a home that has answered the questions would not work at all.
    """
    for name in ("logs", "episodes", "results"):
        (folder / name).rename(folder / f"{name}-{time.monotonic_ns()}") if (folder / name).exists() else None
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "flows/episode.py", "--runtime", "process"], cwd=ROOT,
        env={**os.environ, "TRIGPOINT_HOME": str(folder), "TRIGPOINT_SERVER_TTL": "600"},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        wait_until(lambda: any((folder / "logs").glob("*/*")) or process.poll() is not None)
        works = time.monotonic() - started
        assert process.stdout is not None
        process.stdout.readline()
        verdict = time.monotonic() - started
        process.stdout.read()
    assert process.returncode == 0
    return works, verdict


def test_starts(tmp_path: Path, prefect_home: Path) -> None:
    shown = []
    for flow in FLOWS:
        seconds = []
        for _ in range(ROUNDS):
            started = time.monotonic()
            subprocess.run([sys.executable, f"flows/{flow}.py", "--help"], cwd=ROOT, capture_output=True, check=True)
            seconds.append(time.monotonic() - started)
        help_s = statistics.median(seconds)
        shown.append(Row(f"flows/{flow}.py --help", f"{help_s:.2f} s", f"<= {HELP_S:g} s", help_s <= HELP_S))
    server_folder = ServerFolder(tmp_path / "home" / "server")
    try:
        works, verdict = _starts(tmp_path / "home")
        shown.append(Row("first start to work on a dataset (to a first verdict)", f"{works:.1f} ({verdict:.1f}) s"))
        again = [_starts(tmp_path / "home") for _ in range(ROUNDS)]
        works, verdict = (statistics.median(each) for each in zip(*again, strict=True))
        what = "second start to work on a dataset (to a first verdict)"
        shown.append(Row(what, f"{works:.1f} ({verdict:.1f}) s", f"<= {SECOND_S:g} s", works <= SECOND_S))
    finally:
        if (record := server_folder.record()) is not None:
            server_folder.end(record)
    print_table(f"What a user waits for (medians of {ROUNDS}, idle machine or not)", shown)


def test_ends(tmp_path: Path, prefect_home: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(table_rows(80))
    seconds = []
    with ModelServer(lambda ask: Answer(stall=True)) as model:
        command = [sys.executable, "flows/episode.py", str(table), "--ask", "How many rows?", "--runtime", "process"]
        command += ["--model", "m", "--base-url", model.base_url]
        for _ in range(ROUNDS):
            asked = len(model.asks)
            with Terminal(command, ROOT, {**os.environ, "TRIGPOINT_HOME": str(tmp_path / "home")}) as terminal:
                wait_until(lambda: len(model.asks) > asked or terminal.process.poll() is not None)  # noqa: B023
                terminal.interrupt()
                seconds.append(terminal.ended()[1])
    slowest = max(seconds)
    row = Row("Ctrl-C while a model is asked, to the end, slowest", f"{slowest:.1f} s", f"<= {END_S:g} s")
    print_table("Ctrl-C", [row._replace(cleared=slowest <= END_S)])
