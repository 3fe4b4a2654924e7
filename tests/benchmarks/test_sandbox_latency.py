"""How fast a sandbox answers: a cell, a new session, a recovery, a flood of output."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks.sandboxes import Runtime, Sandbox, Session
from blocks.sandboxes.conformance import host
from blocks.settings import settings
from tests.benchmarks.report import Row, ms, print_table, ratio
from tests.benchmarks.sizes import size

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

CELLS = size(400, 5)
SESSIONS = size(40, 2)
BURST = size(15, 2)
KILLS = size(15, 1)
FLOODS = size(5, 1)
ROUNDS = size(5, 1)
AGAINST = size(3, 1)
"""The engine's own commands in each round."""
REPLY_S = 0.3
STUBBORN = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('go', flush=True)\nwhile True: pass"


@pytest.fixture
def container() -> Iterator[str]:
    """A container of the sandbox image that only sleeps."""
    name = f"trigpoint-benchmark-{uuid.uuid4().hex[:8]}"
    command = ["docker", "run", "-d", "--rm", "--init", "--network", "none", "--name", name, "--entrypoint", "sleep"]
    subprocess.run([*command, settings().sandbox_image, "600"], check=True, capture_output=True)
    yield name
    subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)


def times(call: Callable[[], object], count: int) -> list[float]:
    """Wall clock of some calls, seconds each."""
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return taken


async def cell_times(session: Session, count: int) -> list[float]:
    """Wall clock of `1 + 1` in a session, asked from the host, seconds each."""
    taken = []
    for _ in range(count):
        start = time.perf_counter()
        result = await session.run("1 + 1")
        taken.append(time.perf_counter() - start)
        assert result.value == "2"
    return taken


async def session_times(sandbox: Sandbox, count: int) -> list[float]:
    """From asking for a session to the answer of its first cell, seconds each; a model's reply lies between two."""
    taken = []
    for _ in range(count):
        await asyncio.sleep(REPLY_S)
        start = time.perf_counter()
        session = await sandbox.session()
        result = await session.run("len(df)")
        taken.append(time.perf_counter() - start)
        assert result.value == "200"
        await session.close()
    return taken


async def burst_times(sandbox: Sandbox) -> list[float]:
    """Fifteen sessions asked for at once, until all have answered a cell: seconds a session."""

    async def one() -> Session:
        session = await sandbox.session()
        assert (await session.run("len(df)")).value == "200"
        return session

    start = time.perf_counter()
    sessions = await asyncio.gather(*(one() for _ in range(BURST)))
    taken = (time.perf_counter() - start) / BURST
    for session in sessions:
        await session.close()
    return [taken]


@pytest.mark.engine
async def test_against_the_engines_own_commands(container: str, small_csv: Path) -> None:
    from blocks.sandboxes import DockerRuntime

    def engine(*arguments: str) -> None:
        subprocess.run(["docker", *arguments], check=True, capture_output=True)

    run = ("run", "--rm", "--network", "none", "--entrypoint", "python3", settings().sandbox_image, "-c", "1")
    async with await Sandbox.open(DockerRuntime(), small_csv) as sandbox:
        session = await sandbox.session()
        await cell_times(session, size(50, 1))
        # Interleaved, so that a busy moment of the machine falls on both.
        cells, execs, sessions, runs, bursts = [], [], [], [], []
        for _ in range(ROUNDS):
            cells += await cell_times(session, CELLS // ROUNDS)
            execs += await asyncio.to_thread(times, lambda: engine("exec", container, "python3", "-c", "1"), AGAINST)
            sessions += await session_times(sandbox, SESSIONS // ROUNDS)
            runs += await asyncio.to_thread(times, lambda: engine(*run), AGAINST)
            bursts += await burst_times(sandbox)
    by_exec, by_run = ratio(cells, execs), ratio(sessions, runs)
    print_table(
        "Docker runtime against the engine's own commands",
        [
            Row("cell `1 + 1`, round trip", ms(cells)),
            Row("`docker exec CONTAINER python3 -c 1`", ms(execs)),
            Row("cell : exec", f"1/{by_exec:.0f}", "1/50", by_exec >= 50),
            Row("new session until its first cell answered", ms(sessions)),
            Row("`docker run IMAGE python3 -c 1`", ms(runs)),
            Row("session : run", f"1/{by_run:.0f}", "1/20", by_run >= 20),
            Row(f"{BURST} new sessions at once, time of each", ms(bursts)),
            Row("session in a burst : run", f"1/{ratio(bursts, runs):.0f}"),
        ],
    )


async def test_recovery_and_output(runtime: Runtime, small_csv: Path) -> None:
    async with await Sandbox.open(runtime, small_csv) as sandbox:
        session = await sandbox.session()
        cells = await cell_times(session, CELLS)
        sessions = await session_times(sandbox, SESSIONS)
        resets = [await recovery(session, by_reset=True) for _ in range(KILLS)]
        kills = [await recovery(session, by_reset=False) for _ in range(KILLS)]
        floods = []
        for code in ("print('x' * 20_000_000)", "for n in range(200_000): print('x' * 99)"):
            floods.append([await flood(session, code) for _ in range(FLOODS)])
    worst = max(max(resets), max(kills))
    print_table(
        f"Recovery and output, {runtime.name} runtime",
        [
            Row("cell `1 + 1`, round trip", ms(cells)),
            Row("new session until its first cell answered", ms(sessions)),
            Row("reset of a hung session until a fresh one answered", ms(resets)),
            Row("SIGKILL of a hung session until a fresh one answered", ms(kills)),
            Row("the slowest of both", f"{1000 * worst:.0f} ms", "300 ms", worst < 0.3),
            Row("20 MB of output, one line", ms(floods[0]), "1 s", max(floods[0]) < 1),
            Row("20 MB of output, 200,000 lines", ms(floods[1]), "1 s", max(floods[1]) < 1),
        ],
    )


async def recovery(session: Session, *, by_reset: bool) -> float:
    """Hang a session so that only SIGKILL helps; seconds from the kill to the answer of its successor."""
    pid, _ = await host.find(session)
    going = asyncio.Event()

    async def hang() -> None:
        async for _ in session.stream(STUBBORN, timeout_s=600):
            going.set()

    task = asyncio.create_task(hang())
    await going.wait()
    start = time.perf_counter()
    if by_reset:
        await session.reset()
    else:
        os.kill(pid, signal.SIGKILL)
    await task
    result = await session.run("len(df)")
    taken = time.perf_counter() - start
    assert result.value == "200"
    return taken


async def flood(session: Session, code: str) -> float:
    """Seconds for a cell with 20 MB of output."""
    start = time.perf_counter()
    result = await session.run(code)
    taken = time.perf_counter() - start
    assert result.status == "ok"
    assert result.stdout_dropped > 19_000_000
    return taken
