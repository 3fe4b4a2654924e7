"""The cap on sandboxes holds across processes, and a killed holder keeps nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from tests.support.waiting import settle

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_home")]

HOLD = """
import asyncio, logging, sys
from blocks.local_server import LocalServer
from blocks.slots import container_slot, ensure_limit, reclaim_slots
class Told(logging.Handler):
    def emit(self, record):
        print("told", record.getMessage(), flush=True)
logging.getLogger("blocks.slots").addHandler(Told(logging.WARNING))
server = LocalServer(); server.wait()
async def main():
    await ensure_limit(int(sys.argv[1]))
    print("ready", flush=True)
    async with container_slot():
        print("held", flush=True)
        if len(sys.argv) > 2:
            await asyncio.sleep(600)
    print("returned", await reclaim_slots(), flush=True)
asyncio.run(main())
"""


def start(limit: int, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(limit), *more], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_slot_of_a_killed_holder_is_given_back_at_the_next_start() -> None:
    first = start(1, "stay")
    assert [read_line(first), read_line(first)] == ["ready", "held"]
    servers = [child.pid for child in psutil.Process(first.pid).children() if "uvicorn" in " ".join(child.cmdline())]
    assert servers, "the temporary server runs"
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = start(1)
    assert [read_line(second), read_line(second)] == ["ready", "held"], "the only slot is free again"
    assert read_line(second) == "returned 0"
    assert second.wait(timeout=300) == 0
    left = settle(lambda: [str(pid) for pid in servers if psutil.pid_exists(pid)], 100.0)
    assert not left, "the temporary server of the killed process has ended"


def test_a_living_holder_keeps_its_slot() -> None:
    first = start(1, "stay")
    try:
        assert [read_line(first), read_line(first)] == ["ready", "held"]
        second = start(1)
        try:
            assert read_line(second) == "ready"
            assert "told All slots of the concurrency limit sandbox-containers are taken" in read_line(second)
            with pytest.raises(subprocess.TimeoutExpired):
                second.communicate(timeout=4.0)
        finally:
            second.kill()
            second.wait()
    finally:
        first.kill()
        first.wait()
