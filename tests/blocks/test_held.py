"""What one process at a time may have: whoever comes second waits, says for whom, and can be interrupted."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from blocks.held import Busy, FileLock, briefly, when_free
from blocks.settings import settings
from tests.support.waiting import until

HOLD = """
import asyncio, sys
from functools import partial
from pathlib import Path
from blocks.held import FileLock, when_free

async def hold(path):
    async with when_free(partial(FileLock, path), path, lambda said: print("waits: " + said, flush=True)):
        print("has it", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold(Path(sys.argv[1])))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIGPOINT_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    return tmp_path / "home"


def holder(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


async def test_the_second_waits_says_for_whom_and_goes_on(tmp_path: Path) -> None:
    path, said = tmp_path / "file.lock", list[str]()
    with holder(path) as other:
        assert line_of(other) == "has it\n"

        async def second() -> str:
            async with when_free(lambda: FileLock(path), path, said.append, poll_s=0.01):
                return "has it"

        waiting = asyncio.create_task(second())
        await until(lambda: bool(said))
        assert f"Waiting for {path}: process {other.pid} on " in said[0]
        assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", said[0])
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert len(said) == 1, "it is said once"
        assert other.stdin is not None
        other.stdin.close()
        assert await waiting == "has it"
        assert "is free after" in said[-1]


async def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.lock"
    with holder(path) as other:
        line_of(other)
        other.kill()
        other.wait()
        async with when_free(lambda: FileLock(path), path, lambda said: None):
            pass


def test_ctrl_c_ends_the_waiting(tmp_path: Path) -> None:
    path = tmp_path / "file.lock"
    with FileLock(path), holder(path) as waiting:
        assert "another run has it" in line_of(waiting), "nobody has left word of who has it"
        waiting.send_signal(signal.SIGINT)
        _, errors = waiting.communicate(timeout=120)
        assert waiting.returncode != 0
        assert "KeyboardInterrupt" in errors


async def test_a_wait_that_is_cancelled_holds_nothing(tmp_path: Path) -> None:
    path, said = tmp_path / "file.lock", list[str]()

    async def second() -> None:
        async with when_free(lambda: FileLock(path), path, said.append, poll_s=0.01):
            raise AssertionError("it was never free")

    with FileLock(path):
        waiting = asyncio.create_task(second())
        await until(lambda: bool(said))
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
    FileLock(path).close()


def test_a_lock_is_let_go_of_with_an_error_too(tmp_path: Path) -> None:
    path = tmp_path / "file.lock"
    with FileLock(path):
        handles = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(Busy):
                FileLock(path)
        assert len(os.listdir("/proc/self/fd")) == handles


def test_what_is_written_briefly_loses_nothing_of_many_writers(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from blocks.held import briefly\n"
        "path = Path(sys.argv[1])\n"
        "for _ in range(200):\n"
        "    with briefly(path.with_name('.writing')):\n"
        "        path.write_text(str(int(path.read_text()) + 1))\n"
    )
    count = tmp_path / "count"
    count.write_text("0")
    writers = [subprocess.Popen([sys.executable, "-c", code, str(count)]) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with briefly(tmp_path / ".writing"):
        assert count.read_text() == "600"
