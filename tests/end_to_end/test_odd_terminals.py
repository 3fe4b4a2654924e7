"""Where a command line holds odd bytes, or its output goes somewhere odd: a sentence, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.file_server import rows

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_home"), pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


def run(flow: str, *arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, f"flows/{flow}.py", *arguments], cwd=ROOT, env={**os.environ, **environment}, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=600,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("flow", ["download", "question", "episode", "nightly", "experiment"])
def test_a_name_that_is_no_utf8_is_one_sentence(flow: str, tmp_path: Path) -> None:
    table = os.fsencode(tmp_path / "t") + b"\xf6.csv"
    Path(os.fsdecode(table)).write_bytes(rows(60))
    done = run(flow, table)
    assert done.returncode == 2
    assert b"\\xf6.csv is not written in UTF-8. Rename the file" in b" ".join(done.stderr.split())


def test_a_terminal_that_lacks_a_sign_shows_another_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(rows(60))
    done = run("download", str(tmp_path / "t.csv"), "--runtime", "process", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"t" in done.stdout
    assert b"1 dataset: 1 accepted" in done.stdout


def test_output_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "flows/report.py"], cwd=ROOT, env={**os.environ, "TRIGPOINT_HOME": str(tmp_path)},
            check=False, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, timeout=600,
        )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"What is printed cannot be written: No space left on device." in b" ".join(done.stderr.split())
    assert done.returncode == 2
