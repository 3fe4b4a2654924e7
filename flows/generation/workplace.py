"""Where candidates are proven: a dataset opened in a sandbox and profiled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

from blocks.chat.models import ChatClient
from blocks.sandboxes import ReadingRules, Sandbox
from flows.generation.recipes import Workplace
from flows.tables.dataset import Dataset
from flows.tables.profiling import profile_dataset
from flows.verification.work import Sessions

_PARALLEL = 4


class Sandboxes(Protocol):
    """What is needed of a pool."""

    def open(
        self, dataset: Path, *, slug: str = "", rules: ReadingRules | None = None
    ) -> AbstractAsyncContextManager[Sandbox]:
        """Open a sandbox on a dataset."""
        ...


@asynccontextmanager
async def open_workplace(
    sandboxes: Sandboxes,
    record: Dataset,
    *,
    parallel: int = _PARALLEL,
    advance: Callable[[int], None] = lambda _: None,
    client: ChatClient | None = None,
) -> AsyncIterator[Workplace]:
    """Open a dataset's sandbox and profile it, for the length of the body.

    Args:
        sandboxes: The pool.
        record: The dataset.
        parallel: Candidates proven at once; each needs one session at a time.
        advance: Told of each decided candidate, with how many there are.
        client: The model, where one was named.

    Raises:
        DatasetError: The file is no table that can be loaded or profiled.
        SandboxError: The sandbox failed.
        SandboxUnavailable: The runtime cannot be used here.
    """
    async with sandboxes.open(record.path, slug=record.slug, rules=record.reading) as sandbox:
        sessions = Sessions(sandbox, sandbox.limits.max_sessions)
        async with sessions.open() as session:
            profile = await profile_dataset(session)
        yield Workplace(record, profile, sessions.open, parallel, advance, client)
