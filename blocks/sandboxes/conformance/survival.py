"""What happens when the zygote or the owner dies: sandboxes come back and say what was lost, and no orphan stays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from blocks.errors import SandboxError
from blocks.sandboxes.conformance import host
from blocks.sandboxes.conformance.harness import Arena, PromiseBroken, brief, check, expect, within
from blocks.sandboxes.sandbox import Sandbox
from blocks.sandboxes.session import Session

REBUILT_WITHIN_S = 90.0
GONE_WITHIN_S = 90.0
ROOT = Path(__file__).resolve().parents[3]


async def _loses(sandbox: Sandbox, idle: Session, busy: Session, strike: tuple[list[int], signal.Signals]) -> None:
    """Strike at the zygote while one session is idle and one runs; both must say what they lost, then go on."""
    before = len(sandbox.incidents)
    await idle.run("kept = 5")
    await busy.run("kept = 6")
    running = asyncio.create_task(busy.run("import time\nprint('so far', flush=True)\ntime.sleep(600)", timeout_s=900))
    await asyncio.sleep(0.5)
    pids, sign = strike
    for pid in pids:
        os.kill(pid, sign)
    lost = await within(REBUILT_WITHIN_S, running, "the cell of a lost sandbox never ended")
    expect(lost.status == "lost" and not lost.namespace_kept and lost.reason, brief(lost))
    expect(lost.stdout in ("so far\n", ""), brief(lost))
    for session in (idle, busy):
        result = await within(
            REBUILT_WITHIN_S, session.run("'kept' in globals(), len(df)"), "no answer after the rebuild"
        )
        expect(result.status == "ok" and result.value == "(False, 200)", brief(result))
        if session is idle:
            expect(
                not result.namespace_kept and result.reason,
                f"an idle session does not say what it lost: {brief(result)}",
            )
        after = await session.run("1 + 1")
        expect(after.value == "2" and after.namespace_kept, f"the loss is told twice: {brief(after)}")
    expect(len(sandbox.incidents) == before + 1, f"incidents: {sandbox.incidents}")
    incident = sandbox.incidents[-1]
    expect(incident.reason and set(incident.sessions) >= {idle.number, busy.number}, f"the incident says {incident}")


@check
async def a_killed_zygote_is_rebuilt(arena: Arena) -> None:
    """Killing the zygote, nearest process or whole chain, rebuilds the sandbox: lost cells say so, others work on."""
    async with arena.another() as sandbox, await sandbox.session() as idle, await sandbox.session() as busy:
        for nearest in (True, False):
            pid, _ = await host.find(idle)
            chain = host.zygotes(pid, os.getpid())
            seen = [found for found in map(host.look, [pid, *chain]) if found]
            await _loses(sandbox, idle, busy, (chain[:1] if nearest else chain, signal.SIGKILL))
            await host.gone(seen, GONE_WITHIN_S)
    await _siblings_of_another_sandbox_work(arena)


@check
async def a_stuck_zygote_is_rebuilt(arena: Arena) -> None:
    """A zygote that is stopped, and so answers nothing, is found, ended and rebuilt."""
    async with arena.another() as sandbox, await sandbox.session() as idle, await sandbox.session() as busy:
        pid, _ = await host.find(idle)
        chain = host.zygotes(pid, os.getpid())
        seen = [found for found in map(host.look, [pid, *chain]) if found]
        await _loses(sandbox, idle, busy, (chain, signal.SIGSTOP))
        await host.gone(seen, GONE_WITHIN_S)


@check
async def a_stuck_fork_server_hangs_nobody(arena: Arena) -> None:
    """When only the process that forks sessions is stopped, a reset still ends in time, and the sandbox works again."""
    async with arena.another() as sandbox, await sandbox.session() as session:
        pid, _ = await host.find(session)
        os.kill(host.zygotes(pid, os.getpid())[0], signal.SIGSTOP)
        try:
            await within(REBUILT_WITHIN_S, session.reset(), "a reset never ended")
        except SandboxError as error:
            expect(str(error), "no message")
        result = await within(REBUILT_WITHIN_S, session.run("len(df)"), "no answer after the fork server was stuck")
        if result.status == "lost":
            result = await within(REBUILT_WITHIN_S, session.run("len(df)"), "no answer after the loss")
        expect(result.value == "200", brief(result))


@check
async def a_killed_session_process_is_told(arena: Arena) -> None:
    """A session's process that somebody kills, idle or busy, costs only its own variables, and says so."""
    async with arena.scene() as scene:
        session = scene.attacker
        pid, _ = await host.find(session)
        running = asyncio.create_task(session.run("import time\ntime.sleep(600)", timeout_s=900))
        await asyncio.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
        result = await within(20, running, "the cell of a killed process never ended")
        expect(result.status == "killed" and not result.namespace_kept and result.reason, brief(result))
        await session.run("kept = 5")
        pid, _ = await host.find(session)
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.3)
        after = await session.run("'kept' in globals()")
        # Either the cell was not run at all, or it ran in a fresh namespace; both must be said.
        expect(after.status in ("ok", "killed", "lost") and not after.namespace_kept and after.reason, brief(after))
        expect(after.value in ("False", None), brief(after))


async def _siblings_of_another_sandbox_work(arena: Arena) -> None:
    async with arena.scene():
        await asyncio.sleep(0.1)


OWNER = """
import asyncio, json, os, sys
from pathlib import Path
from blocks.sandboxes.conformance import Subject, host
from blocks.sandboxes.conformance.harness import QUICK
from blocks.sandboxes.sandbox import Sandbox


async def main() -> None:
    runtime = Subject.model_validate_json(sys.argv[1]).build()
    sandbox = await Sandbox.open(runtime, Path(sys.argv[2]), limits=QUICK)
    sessions = [await sandbox.session() for _ in range(4)]
    pids, folders = zip(*[await host.find(session) for session in sessions])
    waiting = [
        sessions[1].run("while True: pass", timeout_s=900),
        sessions[2].run(
            "import signal, time\\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\\ntime.sleep(900)",
            timeout_s=900,
        ),
        sessions[3].run("open('left', 'w').write('x')\\nwhile True: print('x' * 10_000)", timeout_s=900),
    ]
    tasks = [asyncio.ensure_future(work) for work in waiting]
    await asyncio.sleep(0.5)
    chain = host.zygotes(pids[0], os.getpid())
    print(json.dumps({"pids": [*pids, *chain], "folders": folders}), flush=True)
    await asyncio.gather(*tasks)


asyncio.run(main())
"""


@check
async def a_killed_owner_leaves_nothing(arena: Arena) -> None:
    """Kill -9 of a sandbox's owner ends every session and zygote; files are gone by themselves or after reap()."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, arena.subject.model_dump_json(), str(arena.folder / "data.csv")),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    try:
        line = await within(90, process.stdout.readline(), "the second owner did not start")
        expect(line, "the second owner died")
        told = json.loads(line)
        seen = [found for found in map(host.look, told["pids"]) if found]
        expect(len(seen) == len(told["pids"]) > 4, "the second owner's processes are not there")
    finally:
        process.kill()
        await process.wait()
    arena.recoveries["processes gone after the owner's kill -9"] = await host.gone(seen, GONE_WITHIN_S)
    if arena.runtime.name == "process":
        await _folders_vanish(arena, told["folders"])
    await _nothing_to_reap(arena)


async def _folders_vanish(arena: Arena, folders: list[str]) -> None:
    """Scratch folders are the host's own in the process runtime: gone by themselves, or reaped."""
    for _ in range(50):
        if not _existing(folders):
            break
        await asyncio.sleep(0.1)
    await arena.runtime.reap()
    expect(not _existing(folders), f"folders are left after reap(): {_existing(folders)}")


def _existing(folders: Iterable[str]) -> list[str]:
    return [folder for folder in folders if os.path.exists(folder)]


async def _nothing_to_reap(arena: Arena) -> None:
    deadline = time.monotonic() + GONE_WITHIN_S
    while await arena.runtime.reap():
        if time.monotonic() > deadline:
            raise PromiseBroken("reap() finds orphans again and again")
        await asyncio.sleep(0.5)


@check
async def a_closed_sandbox_leaves_nothing(arena: Arena) -> None:
    """After close(), also a second one or one under running cells, no process and no file of the sandbox is left."""
    async with arena.another() as sandbox:
        sessions = [await sandbox.session() for _ in range(3)]
        found = [await host.find(session) for session in sessions]
        chain = host.zygotes(found[0][0], os.getpid())
        seen = [process for process in map(host.look, [*(pid for pid, _ in found), *chain]) if process]
        running = asyncio.create_task(sessions[0].run("while True: pass", timeout_s=900))
        await asyncio.sleep(0.3)
        await within(30, sandbox.close(), "close() never ended")
        await sandbox.close()
        result = await within(30, running, "a cell outlived its sandbox")
        expect(result.status in ("lost", "killed") and not result.namespace_kept, brief(result))
    await host.gone(seen, 60)
    if arena.runtime.name == "process":
        left = _existing(folder for _, folder in found)
        expect(not left, f"folders are left: {left}")
    try:
        await sandbox.session()
    except SandboxError as error:
        expect("closed" in str(error), f"a closed sandbox says {error}")
    else:
        expect(False, "a closed sandbox opened a session")
