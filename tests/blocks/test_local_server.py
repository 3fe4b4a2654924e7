"""The server of local runs: Prefect uses it without loading one of its own, further runs find it, and it ends idle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest

from blocks import server_keeper
from blocks.sandboxes import owner
from blocks.server_record import Record, ServerFolder
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_home"), pytest.mark.timeout(900)]

OWNER = """
import asyncio, json, os, sys
from blocks.errors import UserError
from blocks.local_server import LocalServer
from prefect import flow, get_client
server = LocalServer()
try:
    server.wait()
except UserError as error:
    print(json.dumps({"error": str(error)}), flush=True)
    sys.exit(2)

@flow
async def noted() -> int:
    return 7

async def main():
    state = await noted(return_state=True)
    async with get_client() as client:
        runs = await client.read_flow_runs()
    return {"runs": [run.state_type for run in runs], "url": server.url, "temporary": server.temporary}
facts = asyncio.run(main())
facts["loaded"] = [name for name in sys.modules if name == "prefect.server.api.server"]
facts["set"] = os.environ.get("PREFECT_API_URL")
facts["started"] = server.started
print(json.dumps(facts), flush=True)
sys.stdin.readline()
server.stop()
server.stop()
print(json.dumps({"after": os.environ.get("PREFECT_API_URL")}), flush=True)
"""
LONG = "600"


class Run:
    """A run of its own process that uses the local server until it is told to end; a context manager."""

    def __init__(self, **environment: str) -> None:
        environ = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", OWNER], env={**environ, **environment}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def facts(self) -> dict[str, Any]:
        """What it found out, once it has."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._process.communicate()[1]
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> dict[str, Any]:
        """Let it end, in order."""
        out, err = self._process.communicate("\n", 600)
        assert self._process.returncode == 0, err
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()
        self._process.wait()

    @property
    def code(self) -> int:
        """Its exit code."""
        return self._process.wait(600)


@pytest.fixture
def server_folder(own_home: Path) -> Iterator[ServerFolder]:
    """The folder of this test's server, which is ended after it."""
    server_folder = ServerFolder(own_home / "server")
    yield server_folder
    if (record := server_folder.record()) is not None:
        server_folder.end(record)


def record_of(server_folder: ServerFolder) -> Record:
    record = server_folder.record()
    assert record is not None
    return record


def server_of(record: Record) -> psutil.Process:
    (server,) = psutil.Process(int(record.keeper.split("/")[1])).children()
    return server


def has_ended(record: Record, server: psutil.Process) -> bool:
    return owner.owner_is_gone(record.keeper) and not (server.is_running() and server.status() != "zombie")


def test_prefect_uses_the_server_and_loads_none_itself(server_folder: ServerFolder) -> None:
    with Run() as run:
        facts = run.facts()
        record = record_of(server_folder)
        server = server_of(record)
        assert (facts["runs"], facts["temporary"], facts["started"]) == (["COMPLETED"], True, True)
        assert facts["loaded"] == [], "the server's code costs seconds and belongs to the server's own process"
        assert facts["set"] == facts["url"] == record.url
        assert run.end() == {"after": None}
    assert has_ended(record, server), "with nothing said about its stay in tests it has ended before its run does"
    assert server_folder.record() is None


def test_the_next_run_finds_it_and_it_ends_when_nobody_has_used_it_for_a_while(server_folder: ServerFolder) -> None:
    with Run(TRIGPOINT_SERVER_TTL=LONG) as first:
        url = first.facts()["url"]
        record = record_of(server_folder)
        server = server_of(record)
        with Run(TRIGPOINT_SERVER_TTL=LONG) as second:
            facts = second.facts()
            assert (facts["url"], facts["started"]) == (url, False)
            first.kill()
            second.end()
    assert not has_ended(record, server), "it stays for the next"
    with Run(TRIGPOINT_SERVER_TTL="3") as third:
        assert third.facts()["url"] == url
        time.sleep(6)
        assert not has_ended(record, server), "it is used, if silently"
        third.end()
    wait_until(lambda: has_ended(record, server))
    assert server_folder.record() is None
    assert not list(server_folder.folder.glob(f"*{server_keeper.USE}"))


def test_a_run_that_is_killed_uses_it_no_more(server_folder: ServerFolder) -> None:
    with Run() as run:
        run.facts()
        record = record_of(server_folder)
        server = server_of(record)
        run.kill()
    wait_until(lambda: has_ended(record, server))


def test_a_run_that_outlives_nothing_ends_it_unless_another_uses_it(server_folder: ServerFolder) -> None:
    with Run(TRIGPOINT_SERVER_TTL=LONG) as first, Run(TRIGPOINT_SERVER_TTL="0") as second:
        urls = {first.facts()["url"], second.facts()["url"]}
        assert len(urls) == 1, "two that start at once share one"
        record = record_of(server_folder)
        server = server_of(record)
        second.end()
        assert not has_ended(record, server)
        first.end()
    with Run(TRIGPOINT_SERVER_TTL="0") as third:
        assert third.facts()["url"] in urls
        third.end()
    assert has_ended(record, server)


def test_the_secret_is_the_users_alone_and_stands_nowhere_else(server_folder: ServerFolder) -> None:
    with Run() as run:
        url = run.facts()["url"]
        record = record_of(server_folder)
        path = server_folder.folder / server_keeper.RECORD
        assert path.stat().st_mode & 0o777 == 0o600
        assert server_folder.folder.stat().st_mode & 0o777 == 0o700
        assert httpx.post(f"{url}/flow_runs/filter", json={}, trust_env=False).status_code == 401
        word = record.auth.partition(":")[2]
        assert len(word) >= 32
        assert word not in repr(record)
        for process in psutil.process_iter():
            assert word not in " ".join(_command(process))
        run.end()
        homes = [server_folder.folder.parent, Path(os.environ["PREFECT_HOME"])]
        holding = [file for home in homes for file in home.rglob("*") if file.is_file() and word in _bytes(file)]
        assert holding == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _bytes(path: Path) -> str:
    return path.read_bytes().decode("latin-1")


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_server_that_hangs_or_was_killed_is_replaced(server_folder: ServerFolder, how: signal.Signals) -> None:
    with Run(TRIGPOINT_SERVER_TTL=LONG) as first:
        url = first.facts()["url"]
        first.end()
    record = record_of(server_folder)
    server = server_of(record)
    server.send_signal(how)
    with Run() as second:
        facts = second.facts()
        assert facts["url"] != url
        assert facts["started"]
        assert has_ended(record, server)
        second.end()


def test_a_process_that_only_has_the_keepers_number_is_neither_trusted_nor_killed(server_folder: ServerFolder) -> None:
    stranger = subprocess.Popen(["sleep", "900"])
    try:
        server_folder.folder.mkdir(mode=0o700, parents=True)
        tag = owner.owner_tag(stranger.pid).rpartition("/")[0] + "/1"
        record = Record(name="old", url="http://127.0.0.1:1/api", auth="a:b", made_of="x", keeper=tag)
        path = server_folder.folder / server_keeper.RECORD
        path.touch(mode=0o600)
        path.write_text(record.model_dump_json())
        assert server_folder.record() is None
        server_folder.end(record)
        assert stranger.poll() is None
        with Run() as run:
            assert run.facts()["started"]
            run.end()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_record_that_others_could_have_written_is_none(server_folder: ServerFolder) -> None:
    server_folder.folder.mkdir(mode=0o700, parents=True)
    record = Record(name="x", url="http://127.0.0.1:1/api", auth="a:b", made_of="x", keeper=owner.owner_tag())
    path = server_folder.folder / server_keeper.RECORD
    path.touch(mode=0o600)
    path.write_text(record.model_dump_json())
    assert server_folder.record() == record
    path.chmod(0o644)
    assert server_folder.record() is None
    path.unlink()


def test_a_server_made_of_something_else_is_left_alone(server_folder: ServerFolder) -> None:
    with Run(TRIGPOINT_SERVER_TTL=LONG) as first:
        url = first.facts()["url"]
        record = record_of(server_folder)
        server = server_of(record)
        with Run(PREFECT_SERVER_API_DEFAULT_LIMIT="150") as second:
            facts = second.facts()
            assert facts["url"] != url
            assert facts["started"]
            second.end()
        assert not has_ended(record, server)
        first.end()
    server_folder.end(record)
    wait_until(lambda: has_ended(record, server))


def test_a_server_that_cannot_start_is_one_sentence_that_names_its_log(
    tmp_path: Path, server_folder: ServerFolder
) -> None:
    file = tmp_path / "home"
    file.write_text("not a folder")
    # The display of a run has Prefect print nothing; what the server prints is its log.
    quiet = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    with Run(PREFECT_API_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{file}/none.db", **quiet) as run:
        said = str(run.facts()["error"])
        assert run.code == 2
    assert "The local Prefect server did not start: its process has ended" in said
    assert str(server_folder.log) in said
    assert "unable to open database file" in server_folder.log.read_text()


def test_the_log_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.use").write_text("0")
    noise = "import sys\nfor n in range(40000): print(f'{n:099d}')"
    command = [sys.executable, "-I", "-S", server_keeper.__file__, str(tmp_path), "a", sys.executable, "-c", noise]
    # Its output goes faster than a second by, in which nobody uses it, or not: what is written stays bounded.
    (tmp_path / "a.use").write_text(LONG)
    assert subprocess.run(command, timeout=600, check=False).returncode == 0
    sizes = [path.stat().st_size for path in tmp_path.glob("server.log*")]
    assert len(sizes) == 2
    assert max(sizes) <= server_keeper.LOG_BYTES
    assert f"{39999:099d}" in (tmp_path / "server.log").read_text()
