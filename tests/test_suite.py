"""The suite itself: a run with a leak fails, engine tests are skipped aloud or not at all, keys stay outside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LEAK = """
    import subprocess, sys
    def test_that_forgets_a_process():
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
"""
ENGINE = """
    import pytest
    @pytest.mark.engine
    def test_with_an_engine():
        pass
    def test_without():
        pass
"""
ENVIRONMENT = """
    import os, tempfile
    from pathlib import Path
    from blocks.settings import settings
    homes = set()
    def test_nothing_of_the_caller_is_seen(own_home):
        assert "OPENROUTER_API_KEY" not in os.environ
        assert "PREFECT_API_URL" not in os.environ
        assert "TRIGPOINT_MODEL" not in os.environ
        assert os.environ["TRIGPOINT_TEST_ROWS"] == "7", "said to the tests themselves"
        homes.add(settings().home)
        assert settings().home == own_home
        assert own_home.is_relative_to(tempfile.gettempdir())
        assert Path(os.environ["PREFECT_HOME"]).is_relative_to(tempfile.gettempdir())
        assert os.environ["TRIGPOINT_TEST_FOLDER"] == tempfile.gettempdir()
    def test_the_next_test_has_another_home(own_home):
        assert own_home not in homes
"""


def run_suite(tmp_path: Path, source: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a module of tests under this suite's conftest, in a pytest of its own."""
    lines = [line[4:] for line in source.splitlines()]
    (tmp_path / "test_inner.py").write_text("\n".join(lines), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-q"]
    # A worker of this run passes its name on; the inner run would take itself for that worker, folder and all.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *options, str(tmp_path / "test_inner.py")],
        cwd=ROOT,
        env={**inherited, "TRIGPOINT_TEST_PATIENCE_S": "100", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["one process", "workers"])
def test_a_forgotten_process_fails_the_run_and_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    run = run_suite(tmp_path, LEAK, *options, TRIGPOINT_TEST_PATIENCE_S="1")
    found = re.search(r"^process (\d+): .*time\.sleep\(300\)$", run.stdout, re.MULTILINE)
    assert found, run.stdout
    os.kill(int(found[1]), 9)
    assert "1 passed" in run.stdout
    assert run.returncode == 1


def test_without_an_engine_its_tests_are_skipped_aloud(tmp_path: Path) -> None:
    run = run_suite(tmp_path, ENGINE, DOCKER_HOST="unix:///nowhere/docker.sock", TRIGPOINT_REQUIRE_ENGINE="")
    assert run.returncode == 0, run.stdout
    assert "1 passed, 1 skipped" in run.stdout
    assert re.search(r"^engine tests: 0 run, 1 SKIPPED: no Docker engine answers", run.stdout, re.MULTILINE)


def test_where_an_engine_is_required_none_is_skipped(tmp_path: Path) -> None:
    run = run_suite(tmp_path, ENGINE, DOCKER_HOST="unix:///nowhere/docker.sock", TRIGPOINT_REQUIRE_ENGINE="1")
    assert run.returncode == 1
    assert "skipped" not in run.stdout.splitlines()[-1]
    assert re.search(r"^engine tests: 1 FAILED, required but no Docker engine answers", run.stdout, re.MULTILINE)


def test_an_engine_without_the_image_counts_as_none(tmp_path: Path) -> None:
    run = run_suite(tmp_path, ENGINE, TRIGPOINT_SANDBOX_IMAGE="trigpoint-none:none", TRIGPOINT_REQUIRE_ENGINE="")
    assert run.returncode == 0, run.stdout
    assert "engine tests: 0 run, 1 SKIPPED: " in run.stdout


def test_no_test_sees_the_settings_or_keys_of_the_caller(tmp_path: Path) -> None:
    run = run_suite(
        tmp_path,
        ENVIRONMENT,
        DOCKER_HOST="unix:///nowhere/docker.sock",
        OPENROUTER_API_KEY="sk-somebodys",
        PREFECT_API_URL="http://127.0.0.1:1/api",
        TRIGPOINT_HOME="/nowhere",
        TRIGPOINT_MODEL="openrouter/somebodys",
        TRIGPOINT_TEST_ROWS="7",
    )
    assert run.returncode == 0, run.stdout
