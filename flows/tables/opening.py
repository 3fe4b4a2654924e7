"""A dataset's table in a run: what is known of it, and its sandbox, opened only when it is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from blocks.sandboxes import Sandbox, SandboxLimits, SandboxPool
from flows.tables.dataset import Dataset
from flows.tables.facts import FactsFile, read_facts
from flows.tables.profiling import CellRunner, DatasetProfile


@dataclass(frozen=True)
class Table:
    """A dataset's table, as it is read in a run.

    Attributes:
        dataset: The dataset, with what was noticed when its file was read.
        profile: What is in the table.
        image_digest: What its sandbox is made of.
        limits: What sessions of the sandbox may use.
        sandbox: The sandbox with the table; opened when it is first asked for. Raises as `table_of`.
    """

    dataset: Dataset
    profile: DatasetProfile
    image_digest: str
    limits: SandboxLimits
    sandbox: Callable[[], Awaitable[Sandbox]]


@asynccontextmanager
async def table_of(sandboxes: SandboxPool, record: Dataset, home: Path) -> AsyncIterator[Table]:
    """A dataset's table for the length of the body; a sandbox reads the file, unless it is known what is in it.

    Args:
        sandboxes: The pool.
        record: The dataset.
        home: TRIGPOINT_HOME, where what was found in the file is kept.

    Raises:
        DatasetError: The file is no table that can be loaded or profiled.
        SandboxError: The sandbox failed.
        SandboxUnavailable: The runtime cannot be used here.
    """
    image = await sandboxes.runtime.identity()
    file = FactsFile(home, record, image)
    opened: list[Sandbox] = []
    async with AsyncExitStack() as stack:

        async def sandbox() -> Sandbox:
            if not opened:
                opening = sandboxes.open(record.path, slug=record.slug, rules=record.reading)
                opened.append(await stack.enter_async_context(opening))
            return opened[0]

        facts = file.load()
        if facts is None:
            box = await sandbox()
            facts = await read_facts(file, box.dataset, lambda: _session(box))
        yield Table(facts.told(record), facts.profile, image, sandboxes.limits, sandbox)


@asynccontextmanager
async def _session(sandbox: Sandbox) -> AsyncIterator[CellRunner]:
    session = await sandbox.session()
    try:
        yield session
    finally:
        await session.close()
