"""A small table in a real sandbox, as a workplace with a scripted model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from blocks.sandboxes import ProcessRuntime, Sandbox, SandboxLimits, Session
from flows.generation.recipes import Asking, Workplace
from flows.tables.dataset import read_dataset
from flows.tables.profiling import DatasetProfile, profile_dataset
from flows.verification.attempts import TraceConfig
from tests.support.chat import MODEL, opened
from tests.support.model_answers import Behaviour
from tests.support.model_server import ModelServer

Bench = Callable[[Behaviour], Awaitable[tuple[Workplace, ModelServer]]]
SPECIES = ("oak", "ash", "elm")


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 trees: species, height_m, dbh_cm; some heights missing."""
    path = tmp_path_factory.mktemp("tables") / "trees.csv"
    rows = (
        f"{SPECIES[n % 3]},{'' if n % 20 == 0 else f'{5 + n % 17 + n / 100:.2f}'},{10 + n * 7 % 41}" for n in range(120)
    )
    path.write_text("species,height_m,dbh_cm\n" + "\n".join(rows) + "\n")
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(trees: Path) -> AsyncIterator[Sandbox]:
    """The table's sandbox."""
    limits = SandboxLimits(max_sessions=9, preload="tables")
    async with await Sandbox.open(ProcessRuntime(), trees, limits=limits) as sandbox:
        yield sandbox


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def profile(sandbox: Sandbox) -> DatasetProfile:
    """What is known of the table, which nobody changes."""
    async with await sandbox.session() as session:
        return await profile_dataset(session)


@pytest_asyncio.fixture(loop_scope="module")
async def bench(sandbox: Sandbox, profile: DatasetProfile, trees: Path, tmp_path: Path) -> AsyncIterator[Bench]:
    """A workplace whose model behaves as told."""
    free = asyncio.Semaphore(sandbox.limits.max_sessions)

    @asynccontextmanager
    async def open_session() -> AsyncIterator[Session]:
        async with free, await sandbox.session() as session:
            yield session

    async with AsyncExitStack() as stack:

        async def made(behave: Behaviour) -> tuple[Workplace, ModelServer]:
            server = stack.enter_context(ModelServer(behave))
            client = await stack.enter_async_context(opened(server, tmp_path / "journal.db"))
            return Workplace(read_dataset(trees), profile, open_session, 4, lambda _: None, client), server

        yield made


@pytest.fixture
def asking() -> Asking:
    """How the scripted model is asked."""
    return Asking(trace=TraceConfig(model=MODEL), endpoint="test", turns=8)
