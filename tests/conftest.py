"""Fixtures of the whole suite: a home for every test, the Docker engine, and a check for what is left over."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tests.support.properties  # noqa: F401  (its settings stand before any property test is read)
from blocks.settings import settings
from tests.support import mutants
from tests.support.machine import (
    FLOW_IMAGE,
    EngineState,
    leftover_containers,
    leftover_processes,
    look_for_engine,
)
from tests.support.postgres_server import PostgresServer, programs
from tests.support.prefect_home import RUN_FOLDER, migrated_home
from tests.support.prefect_server import PrefectServer
from tests.support.waiting import settle

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_ENGINE = "TRIGPOINT_REQUIRE_ENGINE"
REQUIRE_SERVERS = "TRIGPOINT_REQUIRE_SERVERS"
SERVERS: dict[str, tuple[Callable[[], object], str]] = {
    "postgres": (programs, "there is no PostgreSQL server (Debian: apt-get install postgresql)"),
    "redis": (lambda: shutil.which("redis-server"), "there is no Redis server (Debian: apt-get install redis-server)"),
}
"""Markers of tests that start a server of the system's: how it is found, and what is said where it is not."""
PATIENCE = "TRIGPOINT_TEST_PATIENCE_S"
KEPT = {REQUIRE_ENGINE, REQUIRE_SERVERS, "TRIGPOINT_SANDBOX_IMAGE", "TRIGPOINT_FLOW_IMAGE"}
OURS = "TRIGPOINT_TEST_"
"""What is said to the tests themselves begins so: how many kills, rows, calls."""

LATE = ("end_to_end", "benchmarks")
LONG = ("test_upkeep", "test_hosts", "test_conformance", "test_resume", "test_two_hosts")
"""Files that take a worker minutes; the last is begun first. Those that fill hosts with containers are kept apart:
begun together they have each other wait for minutes."""

_engine_state: EngineState | None = None
_leaks: list[str] = []
_home_numbers = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Gives the run an environment and a temporary folder of its own before any test module is imported."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts background jobs so, and every process under test would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # The same of a run that is started with nohup.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if mutants.UNDER_WAY:
        mutants.begin_afresh()
    for name in [name for name in os.environ if _is_foreign(name)]:
        del os.environ[name]
    worker = "PYTEST_XDIST_WORKER" in os.environ
    outside = {name: os.environ.get(name) for name in (RUN_FOLDER, "TMPDIR")}
    config.add_cleanup(lambda: _leave_folder(outside))
    folder = Path(os.environ[RUN_FOLDER] if worker else tempfile.mkdtemp(prefix="tp-"))
    os.environ[RUN_FOLDER] = str(folder)
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    os.environ["TRIGPOINT_HOME"] = str(folder / "home")
    # Only a test of its own has a server stay behind its run.
    os.environ["TRIGPOINT_SERVER_TTL"] = "0"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW"] = "ignore"
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "600"
    os.environ["MPLCONFIGDIR"] = str(folder / "matplotlib")


def _leave_folder(outside: dict[str, str | None]) -> None:
    """Undo what the run's folder was put into: a mutation tool runs pytest several times in one process."""
    for name, value in outside.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    tempfile.tempdir = None


def _is_foreign(name: str) -> bool:
    """Settings and keys of whoever runs the tests: no test may depend on them, no test may spend them."""
    if name.startswith("TRIGPOINT_"):
        return name not in KEPT and not name.startswith(OURS)
    return name.startswith("PREFECT_") or name.endswith(("_API_KEY", "_API_TOKEN"))


def engine_state() -> EngineState:
    """The engine, looked up once a run and only when a test wants it."""
    global _engine_state
    if _engine_state is None:
        _engine_state = look_for_engine(settings().sandbox_image)
    return _engine_state


def required(variable: str) -> bool:
    """Whether what is missing is a failure, as in CI, rather than a skip."""
    return os.environ.get(variable, "") not in {"", "0"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what takes long last, so that a plain mistake shows within seconds; among several workers, first.

    There a file is one worker's, and who got a long one last would keep the others waiting for its end.
    """
    if mutants.UNDER_WAY:
        mutants.quickest_first(items)
    elif "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: (-LONG.index(item.path.stem) - 1 if item.path.stem in LONG else 0, -_late(item)))
    else:
        items.sort(key=_late)


def _late(item: pytest.Item) -> int:
    return max((LATE.index(part) + 1 for part in item.path.parts if part in LATE), default=0)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test where what it is marked with cannot run it, or fails it where that is required."""
    for name in ("engine", *SERVERS):
        if item.get_closest_marker(name) is None or (sentence := _lacking(name)) is None:
            continue
        variable = REQUIRE_ENGINE if name == "engine" else REQUIRE_SERVERS
        if required(variable):
            pytest.fail(f"{variable} is set, but {sentence}", pytrace=False)
        pytest.skip(sentence)


def _lacking(marker: str) -> str | None:
    """What keeps tests with a marker from running here."""
    if marker == "engine":
        return None if engine_state().usable else engine_state().sentence
    find, sentence = SERVERS[marker]
    return None if find() else sentence


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a command in this process sets in its environment does not reach the next test."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def own_home(own_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TRIGPOINT_HOME that no other test sees, made by whoever writes there first; settings are read anew."""
    home = Path(os.environ[RUN_FOLDER]) / "homes" / f"{os.getpid()}-{next(_home_numbers)}"
    monkeypatch.setenv("TRIGPOINT_HOME", str(home))
    settings.cache_clear()
    yield home
    settings.cache_clear()


@pytest.fixture
def prefect_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PREFECT_HOME of the test's own, its database migrated."""
    home = migrated_home(tmp_path / "prefect-home")
    monkeypatch.setenv("PREFECT_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A Prefect server that every test may use which does not mind the runs of others on it."""
    with PrefectServer(migrated_home(tmp_path_factory.mktemp("prefect") / "home")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server for tests marked `postgres`; each takes databases of its own."""
    with PostgresServer(tmp_path_factory.mktemp("postgres") / "cluster") as server:
        yield server


@pytest.fixture(scope="session")
def engine() -> EngineState:
    """The Docker engine for a test marked `engine` (the marker decides whether the test runs)."""
    return engine_state()


@pytest.fixture(scope="session")
def flow_image() -> None:
    """For a test that needs the image of flow runs as well: a reason to skip, or to fail where none may be skipped."""
    state = look_for_engine(FLOW_IMAGE)
    if state.usable:
        return
    if required(REQUIRE_ENGINE):
        pytest.fail(state.sentence, pytrace=False)
    pytest.skip(state.sentence)


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
    patience_s = float(os.environ.get(PATIENCE, "60"))
    _leaks.extend(settle(lambda: leftover_processes(folder), patience_s))
    _leaks.extend(settle(leftover_containers, patience_s))
    if _leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    elif session.exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line each what became of the tests that need an engine or a server, and names every leftover."""
    for name in ("engine", *SERVERS):
        _summarise(terminalreporter, name)
    if _leaks:
        terminalreporter.write_sep("=", "left behind by a test: the run fails", red=True)
        for leak in _leaks:
            terminalreporter.write_line(leak, red=True)


def _summarise(terminalreporter: pytest.TerminalReporter, name: str) -> None:
    ran = skipped = 0
    for outcome, reports in terminalreporter.stats.items():
        marked = [r for r in reports if name in getattr(r, "keywords", {}) and _counts(r)]
        skipped += len(marked) if outcome == "skipped" else 0
        ran += len(marked) if outcome in {"passed", "failed", "error", "xfailed", "xpassed"} else 0
    if not ran and not skipped:
        return
    lacking = _lacking(name)
    if ran and lacking:
        terminalreporter.write_line(f"{name} tests: {ran} FAILED, required but {lacking}", red=True)
    elif skipped:
        reason = lacking or "each for its own reason, listed above"
        terminalreporter.write_line(f"{name} tests: {ran} run, {skipped} SKIPPED: {reason}", yellow=True)
    else:
        about = f": {engine_state().sentence}" if name == "engine" else ""
        terminalreporter.write_line(f"{name} tests: {ran} run, none skipped{about}")


def _counts(report: object) -> bool:
    """A test counts once: by its call, or by its set-up where that is where it ended."""
    when, passed = getattr(report, "when", ""), getattr(report, "passed", False)
    return when == "call" or (when == "setup" and not passed)
