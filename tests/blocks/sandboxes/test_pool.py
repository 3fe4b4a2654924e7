"""The pool: never more sandboxes than slots, zygotes started ahead are used, and nothing is left at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from blocks.errors import DatasetError, SandboxError, SandboxUnavailable
from blocks.sandboxes import SandboxLimits, SandboxPool, process
from blocks.sandboxes.process import ProcessTransport
from tests.blocks.sandboxes.support import LIMITS, FakeRuntime, alive
from tests.support.waiting import until, wait_until


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    path.write_text("a\n1\n")
    return path


async def test_never_more_than_the_slots(dataset: Path) -> None:
    runtime = FakeRuntime()
    inside = most = slots = 0

    @contextlib.asynccontextmanager
    async def slot() -> AsyncIterator[None]:
        nonlocal slots
        slots += 1
        yield
        slots -= 1

    pool = SandboxPool(runtime, limits=LIMITS, max_sandboxes=2, slot=slot)
    together = asyncio.Barrier(2)

    async def use() -> str:
        nonlocal inside, most
        async with pool.open(dataset) as sandbox, await sandbox.session() as session:
            inside += 1
            most = max(most, inside)
            assert slots <= 2
            result = await session.run("out done")
            async with asyncio.timeout(60):
                await together.wait()
            inside -= 1
            return result.stdout

    assert await asyncio.gather(*(use() for _ in range(6))) == ["done"] * 6
    assert most == 2
    assert slots == 0
    await pool.close()
    assert len(runtime.started) == 6
    assert not any(alive(transport.pid) for transport in runtime.started)


def test_zygotes_are_started_before_any_event_loop_and_then_used(dataset: Path) -> None:
    runtime = FakeRuntime()
    pool = SandboxPool(runtime, limits=LIMITS)
    pool.prewarm(2)
    wait_until(lambda: len(runtime.started) == 2)
    ahead = {transport.pid for transport in runtime.started}
    assert len(ahead) == 2

    async def use() -> None:
        async with pool.open(dataset) as first, pool.open(dataset) as second:
            assert {link.transport.pid for link in (await first.ready_link(), await second.ready_link())} == ahead  # type: ignore[attr-defined]
            async with pool.open(dataset):
                assert len(runtime.started) == 3
        await pool.close()

    asyncio.run(use())
    assert not any(alive(transport.pid) for transport in runtime.started)


async def test_a_zygote_that_died_while_waiting_is_passed_over(dataset: Path) -> None:
    runtime = FakeRuntime()
    pool = SandboxPool(runtime, limits=LIMITS)
    pool.prewarm()
    await until(lambda: bool(runtime.started))
    await asyncio.to_thread(os.kill, runtime.started[0].pid, 9)
    await asyncio.to_thread(runtime.started[0]._process.wait)
    async with pool.open(dataset) as sandbox, await sandbox.session() as session:
        assert (await session.run("count")).stdout == "1"
    assert len(runtime.started) == 2


async def test_giving_up_while_a_zygote_comes_up_ends_it(dataset: Path) -> None:
    class Slow(FakeRuntime):
        async def start(self, limits: SandboxLimits) -> ProcessTransport:
            await asyncio.sleep(0.5)
            return await super().start(limits)

    runtime = Slow()
    pool = SandboxPool(runtime, limits=LIMITS)
    pool.prewarm()
    opening = asyncio.create_task(pool.open(dataset).__aenter__())
    await asyncio.sleep(0.1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await until(lambda: bool(runtime.started) and not alive(runtime.started[0].pid))
    await runtime.started[0].close()


async def test_zygotes_nobody_took_are_ended(dataset: Path) -> None:
    runtime = FakeRuntime()
    pool = SandboxPool(runtime, limits=LIMITS)
    pool.prewarm(2)
    await pool.close()
    assert len(runtime.started) == 2
    assert not any(alive(transport.pid) for transport in runtime.started)
    with pytest.raises(SandboxError, match="closed"):
        async with pool.open(dataset):
            pass


async def test_a_runtime_that_cannot_start_says_so_when_opened(dataset: Path) -> None:
    class Broken(FakeRuntime):
        async def start(self, limits: SandboxLimits) -> ProcessTransport:
            raise SandboxUnavailable("Nothing here.")

    pool = SandboxPool(Broken(), limits=LIMITS, max_sandboxes=1)
    pool.prewarm()
    for _ in range(2):
        with pytest.raises(SandboxUnavailable, match="Nothing"):
            async with pool.open(dataset):
                pass
    with pytest.raises(DatasetError):
        async with pool.open(dataset / "no"):
            pass


LEAVE = """
import sys, time
from tests.blocks.sandboxes.support import LIMITS, FakeRuntime
from blocks.sandboxes import SandboxPool
runtime = FakeRuntime()
pool = SandboxPool(runtime, limits=LIMITS)
pool.prewarm()
while not runtime.started:
    time.sleep(0.02)
print(runtime.started[0].pid)
"""


def test_a_process_that_ends_without_closing_its_pool_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", LEAVE], stdout=subprocess.PIPE, env=environment, check=True)
    wait_until(lambda: not alive(int(done.stdout)) and not list(tmp_path.iterdir()))
    assert list(tmp_path.glob(process.FOLDER_PREFIX + "*")) == []
