"""What a conformance check stands on: the runtime under test, an attacked session, two siblings that must not notice.

Checks run model-like hostile code in a real session and judge it by effects: what came back over the control channel,
what the siblings saw, what the host's own files and processes look like afterwards. Hostile code reports through
`submit`, so a finding is a typed value and never text to be searched.

Hostile code must do no harm to a machine on which a wall is missing: bombs are bounded, and what is done to files,
processes and the kernel outside of the sandbox changes nothing where it succeeds. Only what the suite itself made, its
folder and its siblings, may be damaged.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import inspect
import os
import re
import secrets
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from blocks.sandboxes.models import CellResult, CellStatus, SandboxLimits, TaggedValue
from blocks.sandboxes.runtime import Runtime
from blocks.sandboxes.sandbox import Sandbox
from blocks.sandboxes.session import Session

SECRET_VARIABLE = "TRIGPOINT_CONFORMANCE_SECRET"
"""Environment variable of the host process that holds a secret no session may learn."""

ANSWER_WITHIN_S = 25.0
"""Generous bound for a slot to answer after an attack, on a machine that stalls; the benchmark prints the real one."""

REFUSED = frozenset({"EPERM", "EACCES", "ENOSYS"})
"""What a wall answers. ENOENT and the like say that the attack was aimed badly, not that a wall stood."""

LIMITS = SandboxLimits(
    max_sessions=24,
    cell_timeout_s=30.0,
    grace_s=0.5,
    memory_bytes=256 * 2**20,
    scratch_bytes=16 * 2**20,
    max_threads=32,
    max_event_bytes=400_000,
    start_timeout_s=240.0,
)
"""Tight limits, so that every bomb goes off fast."""
QUICK = LIMITS.model_copy(update={"preload": "tables"})
"""For sandboxes of which a check wants several, and no library."""

PRELUDE = '''
import ctypes, errno, os, platform, sys, time

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def syscall(number, *arguments):
    """A raw system call: its result, or the name of its error."""
    ctypes.set_errno(0)
    done = _libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return done if done != -1 else errno.errorcode[ctypes.get_errno()]


def tried(action, *arguments, **options):
    """The name of the error that ended an action, or DONE and what it gave."""
    try:
        done = action(*arguments, **options)
    except OSError as failure:
        return errno.errorcode.get(failure.errno, type(failure).__name__)
    except BaseException as failure:
        return type(failure).__name__
    return f"DONE {done!r}"[:200]


def raw(number, *arguments):
    """A raw system call in the words of tried()."""
    done = syscall(number, *arguments)
    return done if isinstance(done, str) else f"DONE {done}"


X86 = platform.machine() == "x86_64"
'''
"""Put before every hostile cell: raw system calls, and attempts that report instead of raising."""

_T = TypeVar("_T")


class PromiseBroken(AssertionError):
    """A runtime did not keep one of the promises."""


def expect(kept: object, broken: str) -> None:
    """Raise when a promise is broken.

    Args:
        kept: Truthy when the promise was kept.
        broken: What was seen instead.

    Raises:
        PromiseBroken: `kept` is false.
    """
    if not kept:
        raise PromiseBroken(broken)


def plain(value: TaggedValue) -> Any:
    """A tagged value as a Python object; what has no plain form comes back as its text."""
    match value["t"]:
        case "none":
            return None
        case "int":
            return int(value["v"])
        case "float":
            return float(value["v"])
        case "list" | "set":
            return [plain(item) for item in value["v"]]
        case "map":
            return {plain(key): plain(item) for key, item in value["v"]}
        case _:
            return value.get("v")


def answer(result: CellResult) -> Any:
    """What a cell submitted, as a Python object.

    Raises:
        PromiseBroken: Nothing arrived.
    """
    if result.submission is None:
        raise PromiseBroken(f"no answer arrived: {brief(result)}")
    return plain(result.submission.value)


class Subject(BaseModel):
    """The runtime under test, in a form that a second process can build it from.

    Attributes:
        factory: Where to find it, `package.module:name`.
        options: Keyword arguments for it, plain JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    factory: str
    options: dict[str, Any] = {}

    def build(self) -> Runtime:
        """A new runtime."""
        module, _, name = self.factory.partition(":")
        return cast("Runtime", getattr(importlib.import_module(module), name)(**self.options))


Check = Callable[["Arena"], Awaitable[None]]
CHECKS: dict[str, Check] = {}
"""Every promise by name. A check takes an arena, returns when the promise held and raises PromiseBroken when not."""


def check(function: Check) -> Check:
    """Register a check under its function's name; its docstring is the promise."""
    name = getattr(function, "__name__", "")
    if name in CHECKS or not inspect.getdoc(function):
        raise TypeError(f"the check {name!r} exists already or says no promise")

    @functools.wraps(function)
    async def promise(arena: Arena) -> None:
        arena.current = name
        await function(arena)

    CHECKS[name] = promise
    return promise


class Arena:
    """One sandbox of the runtime under test, shared by the checks, and what the host keeps from it.

    Attributes:
        subject: How to build the runtime again, for checks that need a second owner.
        runtime: The runtime under test.
        sandbox: A sandbox on a small dataset with tight limits.
        folder: A private folder of the host with the dataset and a secret file.
        secret: Stands in the host's environment and in `folder / "secret.txt"`.
        current: Name of the check that runs.
        recoveries: Check name to seconds between the end of its last attack and the next answer of the same slot.
    """

    def __init__(self, subject: Subject, runtime: Runtime, sandbox: Sandbox, folder: Path, secret: str) -> None:
        self.subject = subject
        self.runtime = runtime
        self.sandbox = sandbox
        self.folder = folder
        self.secret = secret
        self.recoveries: dict[str, float] = {}
        self.current = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, subject: Subject, folder: Path, limits: SandboxLimits = LIMITS) -> AsyncIterator[Arena]:
        """Plant the secrets, open the sandbox, and take everything away again.

        Args:
            subject: The runtime to prove.
            folder: An empty folder of the host, readable by everyone.
            limits: Of its sandbox; whoever runs all checks needs the libraries.

        Raises:
            SandboxUnavailable: The runtime cannot be used here.
        """
        runtime = subject.build()
        await runtime.check()
        secret = secrets.token_hex(16)
        os.environ[SECRET_VARIABLE] = secret
        (folder / "secret.txt").write_text(secret)
        (folder / "secret.txt").chmod(0o644)
        try:
            async with await Sandbox.open(runtime, write_dataset(folder), limits=limits) as sandbox:
                yield cls(subject, runtime, sandbox, folder, secret)
        finally:
            os.environ.pop(SECRET_VARIABLE, None)

    @contextlib.asynccontextmanager
    async def scene(self) -> AsyncIterator[Scene]:
        """An attacked session and two siblings at work; leaving it judges that the siblings never noticed.

        Raises:
            PromiseBroken: A sibling saw something, the sandbox had to be rebuilt, or the slot did not answer again.
        """
        incidents = len(self.sandbox.incidents)
        async with await self.sandbox.session() as attacker, Sibling.at_work(self.sandbox) as siblings:
            scene = Scene(self, attacker, siblings)
            yield scene
            await scene.answers_again()
        expect(len(self.sandbox.incidents) == incidents, f"the sandbox was rebuilt: {self.sandbox.incidents[-1:]}")

    @contextlib.asynccontextmanager
    async def another(self, limits: SandboxLimits = QUICK) -> AsyncIterator[Sandbox]:
        """A sandbox of its own, for a check that breaks it or needs other limits."""
        async with await Sandbox.open(self.runtime, self.folder / "data.csv", limits=limits) as sandbox:
            yield sandbox


class Scene:
    """One attack: the attacked session, and the siblings that live beside it."""

    def __init__(self, arena: Arena, attacker: Session, siblings: tuple[Sibling, Sibling]) -> None:
        self.arena = arena
        self.attacker = attacker
        self.siblings = siblings

    async def attack(self, code: str, *, timeout_s: float | None = None) -> CellResult:
        """Run hostile code; never waits much longer than the cell may take."""
        patience = (timeout_s or LIMITS.cell_timeout_s) + self.arena.sandbox.limits.grace_s + 20
        cell = PRELUDE + self.facts() + textwrap.dedent(code)
        return await within(patience, self.attacker.run(cell, timeout_s=timeout_s), "the attacked cell never ended")

    async def findings(self, code: str, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Run hostile code that reports what it could do: the dict it submitted."""
        result = await self.attack(code, timeout_s=timeout_s)
        expect(result.status == "ok", f"the attempts did not report: {brief(result)}")
        return cast("dict[str, Any]", answer(result))

    async def ends(self, code: str, *statuses: CellStatus, timeout_s: float | None = None) -> CellResult:
        """Run hostile code, expect one of the statuses and a slot that answers again."""
        result = await self.attack(code, timeout_s=timeout_s)
        expect(result.status in statuses, f"expected {' or '.join(statuses)}, got {brief(result)}")
        if result.status in ("timeout", "memory", "killed"):
            expect(result.reason, f"no reason is given: {brief(result)}")
        await self.answers_again()
        return result

    async def answers_again(self) -> None:
        """Expect the attacked slot to compute again, at once, and remember how long it took."""
        start = time.monotonic()
        result = await within(60, self.attacker.run("1 + 1"), "the slot does not answer after the attack")
        took = time.monotonic() - start
        expect(result.status == "ok" and result.value == "2", f"the slot is not usable afterwards: {brief(result)}")
        expect(took < ANSWER_WITHIN_S, f"the slot answered only after {took:.2f} s")
        told = self.arena.recoveries
        told[self.arena.current] = max(took, told.get(self.arena.current, 0.0))

    def facts(self) -> str:
        """What an attacker may well know: the names and numbers of its neighbours."""
        one, two = self.siblings
        return (
            f"SIBLING, SIBLING_SCRATCH, SIBLING_FD = {one.pid}, {one.scratch!r}, {one.descriptor}\n"
            f"SIBLING_SECRET_AT, SIBLING_NUMBER, OTHER = {one.address}, {one.session.number}, {two.pid}\n"
            f"HOST_FOLDER = {str(self.arena.folder)!r}\n"
        )


class Sibling:
    """A session that minds its own business and checks that nobody meddles with it."""

    SETTLE = """
        import ctypes, os
        os.environ["SIBLING_TOKEN"] = TOKEN
        with open("keepsake.txt", "w") as file:
            file.write(TOKEN)
        keepsake = open("keepsake.txt")
        cell_of_memory = ctypes.create_string_buffer(TOKEN.encode())
        beats = 0
        df["mine"] = range(len(df))
        submit([os.getpid(), os.getcwd(), keepsake.fileno(), ctypes.addressof(cell_of_memory)])
    """
    SHORT_BEAT = """
        beats += 1
        print("beat", beats, TOKEN)
    """
    LONG_BEAT = """
        import time
        beats += 1
        for tick in range(10):
            print("beat", beats, TOKEN, flush=True)
            time.sleep(0.03)
        submit([beats, TOKEN])
    """
    LAST = """
        import os
        keepsake.seek(0)
        submit([TOKEN, keepsake.read(), os.environ["SIBLING_TOKEN"], cell_of_memory.value.decode(),
                sorted(os.listdir()), int(df["mine"].sum()), os.getpid()])
    """

    def __init__(self, session: Session, *, long: bool) -> None:
        self.session = session
        self.long = long
        self.token = secrets.token_hex(8)
        self.pid = self.descriptor = self.address = self.beats = 0
        self.scratch = ""
        self._stop = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def at_work(cls, sandbox: Sandbox) -> AsyncIterator[tuple[Sibling, Sibling]]:
        """Two siblings, one running many short cells, one long ones; judged on leaving."""
        async with await sandbox.session() as first, await sandbox.session() as second:
            one, two = cls(first, long=False), cls(second, long=True)
            await one.settle()
            await two.settle()
            work = [asyncio.ensure_future(one.work()), asyncio.ensure_future(two.work())]
            try:
                yield one, two
            except BaseException:
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
                raise
            for sibling in (one, two):
                sibling._stop.set()
            await asyncio.gather(*work)
            await one.farewell()
            await two.farewell()

    async def run(self, code: str) -> CellResult:
        """A cell that nothing but honest work may come back from."""
        result = await within(60, self.session.run(textwrap.dedent(code)), "a sibling's cell never ended")
        expect(result.status == "ok", f"a sibling's cell ended with {brief(result)}")
        expect(result.namespace_kept, f"a sibling lost its variables: {brief(result)}")
        expect(not result.stderr, f"a sibling read on its stderr: {result.stderr[:500]}")
        expect(not (result.notes or result.figures or result.events_dropped), f"a sibling got events: {brief(result)}")
        return result

    async def settle(self) -> None:
        """Keep secrets in every place where a sibling could look for them."""
        result = await self.run(f"TOKEN = {self.token!r}\n" + textwrap.dedent(self.SETTLE))
        self.pid, self.scratch, self.descriptor, self.address = answer(result)

    async def work(self) -> None:
        """Beat until told to stop, at least once."""
        while not self.beats or not self._stop.is_set():
            self.beats += 1
            line = f"beat {self.beats} {self.token}\n"
            result = await self.run(self.LONG_BEAT if self.long else self.SHORT_BEAT)
            expect(result.stdout == line * (10 if self.long else 1), f"a sibling read {result.stdout[:500]!r}")
            said = plain(result.submission.value) if result.submission else None
            expect(said == ([self.beats, self.token] if self.long else None), f"a sibling's answer became {said!r}")
            await asyncio.sleep(0.01)

    async def farewell(self) -> None:
        """Expect everything kept to be as it was left."""
        result = await self.run(self.LAST)
        said = plain(result.submission.value) if result.submission else None
        kept = [self.token] * 4 + [["keepsake.txt"], sum(range(DATASET_ROWS)), self.pid]
        expect(said == kept, f"a sibling's keepsakes changed: {said!r}, expected {kept!r}")


DATASET_ROWS = 200


def write_dataset(folder: Path) -> Path:
    """A small CSV with numbers, texts and dates; returns its path."""
    path = folder / "data.csv"
    lines = [
        f"{n},{n * 0.5},{'abc'[n % 3]},2024-01-{n % 28 + 1:02d},{n % 7 if n % 10 else ''}" for n in range(DATASET_ROWS)
    ]
    path.write_text("\n".join(["n,half,kind,day,gaps", *lines]) + "\n")
    path.chmod(0o644)
    return path


def snippets(text: str) -> dict[str, str]:
    """Pieces of code by name, from a text where a line `### name` begins each."""
    pieces = re.split(r"^### (.+)\n", textwrap.dedent(text), flags=re.MULTILINE)[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


async def within(seconds: float, work: Awaitable[_T], otherwise: str) -> _T:
    """Await something, or say what did not happen in time.

    Raises:
        PromiseBroken: It took longer.
    """
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise PromiseBroken(f"{otherwise} (waited {seconds:.0f} s)") from None


def brief(result: CellResult) -> str:
    """A cell's result in a few lines, for the message of a broken promise."""
    told = result.model_dump(exclude={"figures", "stdout", "stderr"}, exclude_defaults=True)
    return f"{told} stdout={result.stdout[-300:]!r} stderr={result.stderr[-300:]!r}"


def refused(findings: dict[str, Any], also: frozenset[str] = frozenset()) -> None:
    """Expect every attempt to have met a wall.

    Args:
        findings: Attempt to the name of its error, or to `DONE ...`.
        also: Further errors that count as a wall for these attempts.

    Raises:
        PromiseBroken: One did not; the message names them all.
    """
    expect(findings, "nothing was attempted")
    open_doors = {name: told for name, told in findings.items() if told not in REFUSED | also}
    expect(not open_doors, f"not refused: {open_doors}")
