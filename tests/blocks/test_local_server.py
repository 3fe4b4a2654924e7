"""The temporary server: Prefect uses it without loading a server of its own, and it ends with its owner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import settle

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_home")]

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
server.stop()
server.stop()
facts["after"] = os.environ.get("PREFECT_API_URL")
print(json.dumps(facts), flush=True)
"""


def run(**environment: str) -> tuple[int, dict[str, object]]:
    environ = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    done = subprocess.run(
        [sys.executable, "-c", OWNER],
        capture_output=True,
        text=True,
        env={**environ, **environment},
        timeout=800,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_prefect_uses_the_server_and_loads_none_itself() -> None:
    code, facts = run()
    assert (code, facts["runs"], facts["temporary"]) == (0, ["COMPLETED"], True)
    assert facts["loaded"] == [], "the server's code costs seconds and belongs to the server's own process"
    assert facts["set"] == facts["url"]
    assert facts["after"] is None
    port = str(facts["url"]).split(":")[2].split("/")[0]
    left = settle(lambda: [str(each.pid) for each in psutil.process_iter() if f"--port {port}" in _line(each)], 100.0)
    assert not left, "the server has ended"


def test_a_server_that_cannot_start_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "home"
    file.write_text("not a folder")
    code, facts = run(PREFECT_API_DATABASE_CONNECTION_URL=f"sqlite+aiosqlite:///{file}/none.db")
    assert code == 2
    assert "The temporary Prefect server did not start: its process ended" in str(facts["error"])


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
