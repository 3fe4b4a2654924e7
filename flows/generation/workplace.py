"""Where candidates are proven: a dataset opened in a sandbox and profiled."""

from __future__ import annotations

from collections.abc import Callable

from blocks.chat.models import ChatClient
from flows.generation.recipes import Workplace
from flows.tables.opening import Table
from flows.verification.work import Sessions

_PARALLEL = 4


async def workplace_at(
    table: Table,
    *,
    parallel: int = _PARALLEL,
    advance: Callable[[int], None] = lambda _: None,
    client: ChatClient | None = None,
) -> Workplace:
    """A workplace in the sandbox of a dataset's table, which is opened for it.

    Args:
        table: The table.
        parallel: Candidates proven at once; each needs one session at a time.
        advance: Told of each decided candidate, with how many there are.
        client: The model, where one was named.

    Raises:
        DatasetError: The file is no table that can be loaded or profiled.
        SandboxError: The sandbox failed.
        SandboxUnavailable: The runtime cannot be used here.
    """
    sandbox = await table.sandbox()
    sessions = Sessions(sandbox, sandbox.limits.max_sessions)
    return Workplace(table.dataset, table.profile, sessions.open, parallel, advance, client)
