"""Fixtures of the whole suite: a home for every test, the Docker engine, and a check for what is left over."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.settings import settings
from tests.support.machine import (
    EngineState,
    leftover_containers,
    leftover_processes,
    look_for_engine,
    settle,
)
from tests.support.prefect_home import migrated_home

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_ENGINE = "TRIGPOINT_REQUIRE_ENGINE"
RUN_FOLDER = "TRIGPOINT_TEST_FOLDER"
PATIENCE = "TRIGPOINT_TEST_PATIENCE_S"
KEPT = {REQUIRE_ENGINE, RUN_FOLDER, PATIENCE, "TRIGPOINT_SANDBOX_IMAGE"}

_engine_state: EngineState | None = None
_leaks: list[str] = []
_home_numbers = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Gives the run an environment and a temporary folder of its own before any test module is imported."""
    for name in [name for name in os.environ if _is_foreign(name)]:
        del os.environ[name]
    worker = "PYTEST_XDIST_WORKER" in os.environ
    folder = Path(os.environ[RUN_FOLDER] if worker else tempfile.mkdtemp(prefix="tp-"))
    os.environ[RUN_FOLDER] = str(folder)
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    os.environ["TRIGPOINT_HOME"] = str(folder / "home")
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW"] = "ignore"
    os.environ["MPLCONFIGDIR"] = str(folder / "matplotlib")


def _is_foreign(name: str) -> bool:
    """Settings and keys of whoever runs the tests: no test may depend on them, no test may spend them."""
    if name.startswith("TRIGPOINT_"):
        return name not in KEPT
    return name.startswith("PREFECT_") or name.endswith(("_API_KEY", "_API_TOKEN"))


def engine_state() -> EngineState:
    """The engine, looked up once a run and only when a test wants it."""
    global _engine_state
    if _engine_state is None:
        _engine_state = look_for_engine(settings().sandbox_image)
    return _engine_state


def engine_required() -> bool:
    """Whether a missing engine is a failure, as in CI, rather than a skip."""
    return os.environ.get(REQUIRE_ENGINE, "") not in {"", "0"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what takes long last, so that a plain mistake shows within seconds."""
    late = ("end_to_end", "benchmarks")
    items.sort(key=lambda item: max((late.index(part) + 1 for part in item.path.parts if part in late), default=0))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips an engine test where no engine can run it, or fails it where one is required."""
    if item.get_closest_marker("engine") is None or engine_state().usable:
        return
    sentence = engine_state().sentence
    if engine_required():
        pytest.fail(f"{REQUIRE_ENGINE} is set, but {sentence}", pytrace=False)
    pytest.skip(sentence)


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TRIGPOINT_HOME that no other test sees, made by whoever writes there first; settings are read anew."""
    home = Path(os.environ[RUN_FOLDER]) / "homes" / f"{os.getpid()}-{next(_home_numbers)}"
    monkeypatch.setenv("TRIGPOINT_HOME", str(home))
    settings.cache_clear()
    yield home
    settings.cache_clear()


@pytest.fixture
def prefect_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PREFECT_HOME of the test's own, its database migrated."""
    template = Path(os.environ[RUN_FOLDER]) / "prefect-template"
    home = migrated_home(template, tmp_path / "prefect-home")
    monkeypatch.setenv("PREFECT_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def engine() -> EngineState:
    """The Docker engine for a test marked `engine` (the marker decides whether the test runs)."""
    return engine_state()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run when a test has left a process or a container behind."""
    if hasattr(session.config, "workerinput"):
        return
    folder = os.environ[RUN_FOLDER]
    patience_s = float(os.environ.get(PATIENCE, "15"))
    _leaks.extend(settle(lambda: leftover_processes(folder), patience_s))
    _leaks.extend(settle(leftover_containers, patience_s))
    if _leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    elif session.exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line what became of the engine tests, and names every leftover."""
    ran = skipped = 0
    for outcome, reports in terminalreporter.stats.items():
        marked = [r for r in reports if "engine" in getattr(r, "keywords", {}) and _counts(r)]
        skipped += len(marked) if outcome == "skipped" else 0
        ran += len(marked) if outcome in {"passed", "failed", "error", "xfailed", "xpassed"} else 0
    if ran and not engine_state().usable:
        terminalreporter.write_line(f"engine tests: {ran} FAILED, required but {engine_state().sentence}", red=True)
    elif skipped:
        reason = engine_state().sentence if not engine_state().usable else "each for its own reason, listed above"
        terminalreporter.write_line(f"engine tests: {ran} run, {skipped} SKIPPED: {reason}", yellow=True)
    elif ran:
        terminalreporter.write_line(f"engine tests: {ran} run, none skipped: {engine_state().sentence}")
    if _leaks:
        terminalreporter.write_sep("=", "left behind by a test: the run fails", red=True)
        for leak in _leaks:
            terminalreporter.write_line(leak, red=True)


def _counts(report: object) -> bool:
    """A test counts once: by its call, or by its set-up where that is where it ended."""
    when, passed = getattr(report, "when", ""), getattr(report, "passed", False)
    return when == "call" or (when == "setup" and not passed)
