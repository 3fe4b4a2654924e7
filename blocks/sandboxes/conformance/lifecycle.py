"""The session as its owner uses it: interrupt, reset, streaming, statistics, many at once, all kinds of datasets."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from blocks.errors import DatasetError, SandboxError
from blocks.sandboxes.conformance.harness import LIMITS, QUICK, Arena, answer, brief, check, expect, within
from blocks.sandboxes.conformance.patience import patient
from blocks.sandboxes.models import CellResult, OutputChunk
from blocks.sandboxes.sandbox import Sandbox
from blocks.sandboxes.session import Session

ENDLESS = "print('go', flush=True)\nwhile True: pass"


async def _started(session: Session, code: str = ENDLESS) -> asyncio.Task[CellResult]:
    """A cell that is known to run: its first output has been seen."""
    seen = asyncio.Event()

    async def run() -> CellResult:
        async for piece in session.stream(code):
            seen.set()
            if isinstance(piece, CellResult):
                return piece
        raise AssertionError("a stream ended without a result")

    task = asyncio.create_task(run())
    await within(100, seen.wait(), "no output arrived while the cell ran")
    return task


@check
async def an_interrupt_keeps_the_variables(arena: Arena) -> None:
    """Interrupting a running cell ends it as an error and keeps the namespace; an idle session takes no notice."""
    async with patient(arena), arena.scene() as scene:
        session = scene.attacker
        await session.run("kept = 5")
        task = await _started(session)
        await session.interrupt()
        result = await within(100, task, "the interrupted cell did not end")
        expect(result.status == "error" and result.error is not None, brief(result))
        assert result.error is not None
        expect(result.error.name == "KeyboardInterrupt" and result.namespace_kept, brief(result))
        for _ in range(3):
            await session.interrupt()
        after = await session.run("import time; time.sleep(0.1); kept")
        expect((after.status, after.value) == ("ok", "5"), f"an idle interrupt had an effect: {brief(after)}")


@check
async def output_arrives_while_the_cell_runs(arena: Arena) -> None:
    """A stream gives the output in order and live, no character torn, and the result last."""
    code = """
import os, time
for n in range(20):
    print(n, flush=True)
for byte in "Grüße, 世界 \U0001f600\\n".encode():
    os.write(1, bytes([byte]))
    time.sleep(0.005)
print("done")
"""
    async with patient(arena), arena.scene() as scene:
        pieces = [piece async for piece in scene.attacker.stream(code)]
        result = pieces[-1]
        expect(isinstance(result, CellResult), "the last item is no result")
        assert isinstance(result, CellResult)
        chunks = [piece for piece in pieces if isinstance(piece, OutputChunk)]
        text = "".join(chunk.text for chunk in chunks)
        expect(
            text == "".join(f"{n}\n" for n in range(20)) + "Grüße, 世界 \U0001f600\ndone\n", f"the stream said {text!r}"
        )
        expect(result.stdout == text, f"{len(chunks)} pieces: {brief(result)}")
        # Live: the interrupt is sent when the first piece is there, and only it ends the cell.
        last: OutputChunk | CellResult | None = None
        async for piece in scene.attacker.stream(
            "import sys\nprint('go', file=sys.stderr, flush=True)\nwhile True: pass"
        ):
            if isinstance(piece, OutputChunk):
                expect(piece.stream == "stderr", f"a piece of the wrong stream: {piece}")
                await scene.attacker.interrupt()
            last = piece
        expect(isinstance(last, CellResult) and last.status == "error", f"the stream ended with {last}")


@check
async def a_cut_falls_between_characters(arena: Arena) -> None:
    """Output too long is cut between characters of any width and offset; bytes that are no text do no harm."""
    async with arena.scene() as scene:
        for sign in ("é", "世", "\U0001f600"):
            for offset in range(4):
                result = await scene.attacker.run(f"print('a' * {offset} + {sign!r} * 100_000)")
                expect(result.status == "ok" and result.stdout_dropped > 0, brief(result))
                expect("\ufffd" not in result.stdout, f"{sign} at {offset} was torn")
                size, cut = len(sign.encode()), result.stdout_dropped
                whole = offset + 100_000 * size + 1
                signs = result.stdout.count(sign)
                expect(offset + size * signs + 1 + cut == whole, f"{signs} of {sign!r} kept, {cut} bytes told as cut")
                kept = LIMITS.output_head_bytes + LIMITS.output_tail_bytes
                expect(whole - cut > kept - 4 * size, f"{cut} of {whole} bytes cut where {kept} may be kept")
        binary = await scene.attacker.run("import os\nos.write(1, bytes(range(256)) * 4)")
        expect(binary.status == "ok" and "ABCDEF" in binary.stdout and "\ufffd" in binary.stdout, brief(binary))


@check
async def cells_of_a_session_queue(arena: Arena) -> None:
    """Cells asked for at once on one session run one after the other, in order, on the same namespace."""
    async with arena.scene() as scene:
        await scene.attacker.run("seen = []")
        cells = [scene.attacker.run(f"seen.append({n})\nprint({n})") for n in range(10)]
        results = await asyncio.gather(*cells)
        expect([result.stdout for result in results] == [f"{n}\n" for n in range(10)], "outputs are mixed")
        expect((await scene.attacker.run("seen")).value == str(list(range(10))), "cells ran out of order")


@check
async def cancelling_leaves_a_usable_session(arena: Arena) -> None:
    """A caller that goes away (cancelled, or a stream left early) interrupts the cell and costs no variables."""
    async with patient(arena), arena.scene() as scene:
        session = scene.attacker
        await session.run("kept = 5")
        for seconds in (0.0, 0.001, 0.01, 0.1, 1.0):
            task = asyncio.create_task(session.run(ENDLESS))
            await asyncio.sleep(seconds)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            result = await within(100, session.run("kept"), "the session is stuck after a cancelled cell")
            expect(result.value == "5" and result.namespace_kept, f"cancelled after {seconds:g} s: {brief(result)}")
        stream = session.stream(ENDLESS)
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator behind its interface
        result = await within(100, session.run("kept"), "the session is stuck after a stream that was left")
        expect(result.value == "5", brief(result))


@check
async def reset_and_close_end_a_running_cell(arena: Arena) -> None:
    """A reset or close of a busy session ends its cell truthfully; closing twice and running afterwards are told."""
    async with arena.scene() as scene:
        task = await _started(scene.attacker)
        await within(30, scene.attacker.reset(), "a busy session cannot be reset")
        result = await within(30, task, "the cell outlived the reset")
        expect(result.status == "killed" and not result.namespace_kept and result.reason, brief(result))
        for _ in range(10):
            # At once, while the killed process may still be ending.
            task = await _started(scene.attacker, "import signal\nsignal.signal(2, signal.SIG_IGN)\n" + ENDLESS)
            await within(30, scene.attacker.reset(), "a busy session cannot be reset")
            after = await scene.attacker.run("print(len(df))")
            expect((after.status, after.stdout) == ("ok", "200\n"), f"right after a reset: {brief(after)}")
            await task
        other = await arena.sandbox.session()
        task = await _started(other)
        await within(30, other.close(), "a busy session cannot be closed")
        result = await within(30, task, "the cell outlived the close")
        expect(result.status == "killed" and not result.namespace_kept, brief(result))
        await other.close()
        expect(not other.alive, "a closed session says it is alive")
        try:
            await other.run("1")
        except SandboxError as error:
            expect(str(error), "no message")
        else:
            expect(False, "a closed session ran a cell")


@check
async def sixteen_sessions_work_side_by_side(arena: Arena) -> None:
    """Sixteen sessions run at the same time; none waits for another, none sees another's variables or output."""
    sessions = await asyncio.gather(*(arena.sandbox.session() for _ in range(16)))
    try:
        expect(len({session.number for session in sessions}) == 16, "numbers are not unique")
        for turn in range(4):
            code = "import time\nmine = globals().get('mine', 0) + {n}\ntime.sleep(0.5)\nprint({n}, mine)\nsubmit(mine)"
            results = await asyncio.gather(*(s.run(code.format(n=n)) for n, s in enumerate(sessions)))
            for n, result in enumerate(results):
                expect(result.status == "ok", brief(result))
                expect(result.stdout == f"{n} {n * (turn + 1)}\n", f"session {n} printed {result.stdout!r}")
                expect(answer(result) == n * (turn + 1), brief(result))
        waiting = [session.run("import time\ntime.sleep(3)") for session in sessions]
        await within(40, asyncio.gather(*waiting), "sixteen sleeps of 3 s took 40 s: they wait for each other")
    finally:
        await asyncio.gather(*(session.close() for session in sessions))


@check
async def opening_and_closing_leaks_nothing(arena: Arena) -> None:
    """A hundred sessions opened, used, reset and closed leave the sandbox as it was: no session, no growing memory."""
    async with arena.scene():
        before = await arena.sandbox.stats()
        for _ in range(25):
            sessions = await asyncio.gather(*(arena.sandbox.session() for _ in range(4)))
            await asyncio.gather(*(session.run("held = np.ones(10**5)") for session in sessions))
            await sessions[0].reset()
            await asyncio.gather(*(session.close() for session in sessions))
        after = await arena.sandbox.stats()
        expect(set(after.sessions) == set(before.sessions), f"sessions are left: {sorted(after.sessions)}")
        grown = after.zygote.get("rss_bytes", 0) - before.zygote.get("rss_bytes", 0)
        expect(grown < 8 * 2**20, f"the zygote grew by {grown} bytes over 100 sessions")


@check
async def limits_of_the_sandbox_hold(arena: Arena) -> None:
    """More sessions than allowed are refused with a clear sentence; one that is closed makes room."""
    limits = LIMITS.model_copy(update={"max_sessions": 2, "max_figures": 1, "cell_timeout_s": 1.0})
    async with arena.another(limits) as sandbox:
        one, _two = await sandbox.session(), await sandbox.session()
        try:
            await sandbox.session()
        except SandboxError as error:
            expect("2" in str(error), f"the limit is not named: {error}")
        else:
            expect(False, "a third session opened where two are allowed")
        figures = await one.run("for n in range(3): plt.figure(); plt.plot([n])", timeout_s=60)
        expect(len(figures.figures) == 1, f"{len(figures.figures)} figures where one is allowed")
        timed = await one.run("while True: pass")
        expect(timed.status == "timeout", f"the sandbox's own time limit did not hold: {brief(timed)}")
        await one.close()
        async with await sandbox.session() as third:
            expect((await third.run("len(df)", timeout_s=60)).value == "200", "the freed place does not work")


@check
async def what_a_cell_cost_is_told(arena: Arena) -> None:
    """Wall clock, CPU and memory of a cell, statistics of a session and facts of the sandbox are real numbers."""
    async with arena.scene() as scene:
        session = scene.attacker
        busy = await session.run("import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass")
        expect(0.35 < busy.cpu_s <= busy.wall_s + 0.1, f"0.4 s of CPU were told as {brief(busy)}")
        asleep = await session.run("time.sleep(0.4)")
        expect(asleep.cpu_s < 0.2 and asleep.wall_s >= 0.39, f"0.4 s of sleep were told as {brief(asleep)}")
        told = await session.run(
            "import os, sys\nheld = np.ones(8 * 2**20)\nopen('f', 'wb').write(bytes(2**20))\n"
            "submit([os.getpid(), pd.__version__, sys.version_info[:3]])"
        )
        pid, pandas, python = answer(told)
        stats = (await arena.sandbox.stats()).sessions[session.number]
        expect(stats.pid == pid, f"the statistics tell pid {stats.pid}, the session {pid}")
        expect(stats.cells == 3 and stats.cpu_s > 0.35, f"the statistics tell {stats}")
        expect(
            stats.private_bytes > 60 * 2**20 and stats.rss_bytes >= stats.private_bytes, f"64 MiB are told as {stats}"
        )
        expect(stats.scratch_bytes >= 2**20, f"1 MiB of files is told as {stats}")
        info = arena.sandbox.info
        expect(info.runtime == arena.runtime.name, f"the runtime calls itself {info.runtime}")
        expect(info.libraries["pandas"] == pandas, f"the libraries are told as {info.libraries}")
        expect(info.python.startswith(".".join(map(str, python))), f"Python {python} is told as {info.python}")
        expect(info.walls.get("seccomp") and info.walls.get("landlock_abi"), f"the walls are told as {info.walls}")
        expect(info.image_digest, "the sandbox has no identity")
        dataset = arena.sandbox.dataset
        expect((dataset.rows, dataset.columns) == (200, 5), f"the dataset is told as {dataset}")


@check
async def sandboxes_keep_apart(arena: Arena) -> None:
    """Sandboxes on different datasets live side by side; a session of one can reach nothing of another."""
    other = arena.folder / "other.csv"
    other.write_text("only\n1\n2\n")
    async with await Sandbox.open(arena.runtime, other, limits=QUICK) as second, await second.session() as stranger:
        secret = "of-the-other-sandbox"
        left = await stranger.run(
            f"import os\nkept = {secret!r}\nopen('keepsake.txt', 'w').write(kept)\n"
            "submit([os.getpid(), os.getcwd()])\nlist(df)"
        )
        pid, scratch = answer(left)
        expect(left.value == "['only']", brief(left))
        async with arena.scene() as scene:
            told = await scene.findings(
                f"""
                def read():
                    # In a process namespace of its own the same number and path are the reader's own.
                    return open({scratch + "/keepsake.txt"!r}).read()
                told = {{"read": tried(read), "rows": len(df)}}
                if os.getpid() != {pid} and os.getppid() != {pid}:
                    told["kill"] = tried(os.kill, {pid}, 0)
                submit(told)
                """
            )
            expect(told["rows"] == 200 and secret not in told["read"], f"another sandbox was read: {told}")
            expect(not told["read"].startswith("DONE") and told.get("kill") != "DONE None", f"reached: {told}")
        again = await stranger.run("kept, len(df)")
        expect(again.value == f"({secret!r}, 2)", brief(again))


BAD = {
    "empty.csv": b"",
    "nul.csv": b"a,b\n1,\x00\x00\n" * 3 + bytes(100),
    "wide.csv": ",".join(f"c{n}" for n in range(100_000)).encode() + b"\n",
}
ODD = {
    "latin.csv": ("name;größe\nZoë;1,5\n".encode("latin-1"), ["name", "größe"]),
    "hostile.csv": (
        b"__import__('os').system('x'),{evil},\"'); raise SystemExit\"\n1,2,3\n",
        ["__import__('os').system('x')", "{evil}", "'); raise SystemExit"],
    ),
}


@check
async def bad_datasets_are_one_clear_sentence(arena: Arena) -> None:
    """A file that is missing, empty, no text or too wide is a DatasetError of one sentence; odd tables open."""

    async def told(path: Path) -> str:
        try:
            sandbox = await Sandbox.open(arena.runtime, path, limits=QUICK)
        except DatasetError as error:
            return str(error)
        await sandbox.close()
        return ""

    for name, content in BAD.items():
        (arena.folder / name).write_bytes(content)
    opened = asyncio.gather(*(told(arena.folder / name) for name in BAD))
    for name, sentence in zip(BAD, await within(150, opened, "bad files are still being opened"), strict=True):
        expect(sentence, f"{name} was opened")
        expect("\n" not in sentence and "Traceback" not in sentence, f"{name}: {sentence}")
    expect("missing.csv" in await told(arena.folder / "missing.csv"), "a missing file is not named")
    for name, (content, columns) in ODD.items():
        (arena.folder / name).write_bytes(content)
        sandbox = await Sandbox.open(arena.runtime, arena.folder / name, limits=QUICK)
        async with sandbox, await sandbox.session() as session:
            result = await session.run("submit([str(c) for c in df.columns])")
            expect(answer(result) == columns, f"{name}: {brief(result)}")
