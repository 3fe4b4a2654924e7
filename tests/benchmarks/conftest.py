"""Fixtures of the benchmarks: the runtimes, and what only a quiet moment of the machine can be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.sandboxes import DockerRuntime, ProcessRuntime, Runtime

RUNTIMES = ["process", pytest.param("docker", marks=pytest.mark.engine)]


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each runtime in turn; docker where an engine answers."""
    return DockerRuntime() if request.param == "docker" else ProcessRuntime()


@pytest.fixture
def small_csv(tmp_path: Path) -> Path:
    """A table of 200 rows."""
    path = tmp_path / "small.csv"
    path.write_text("n,half,kind\n" + "".join(f"{n},{n / 2},{'abc'[n % 3]}\n" for n in range(200)))
    return path
