"""A flow as a command: arguments from the flow's signature, one-sentence errors, exit codes.

The flow's signature is the interface: the UI form, `prefect deployment run -p` and this
command line all derive from it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect import Flow, State
from prefect.logging.configuration import setup_logging

from blocks.arguments import parse_call, print_note, run_work
from blocks.errors import UserError
from blocks.flow_runs import crash_the_dead
from blocks.interrupts import run_until_told
from blocks.local_server import LocalServer
from blocks.settings import settings

log = logging.getLogger(__name__)


class Outcome(Protocol):
    """What a flow run from the shell returns."""

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some failed, 2 nothing done."""
        ...


def run_flow(
    flow: Flow[..., Any],
    *,
    arguments: Sequence[str] | None = None,
    instead: Callable[[Mapping[str, Any]], int | None] | None = None,
    meanwhile: Callable[[Mapping[str, Any]], None] | None = None,
    closing: Callable[[Any], None] | None = None,
) -> int:
    """Parse the arguments, run the flow, and return the exit code.

    Args:
        flow: An async flow that returns an `Outcome`.
        arguments: The command line; this process's by default.
        instead: Called with the flow's parameters before anything else; where it returns an exit code, that is all: for
            what needs no run.
        meanwhile: Called with the flow's parameters while the temporary server starts, for preparations that
            overlap it.
        closing: Called with what the flow returned, to tell the user about it.

    Returns:
        0 all done, 1 some failed or interrupted, 2 nothing done or a user's mistake; 143 terminated, 129 the terminal
        was closed.
    """
    parameters = parse(flow, arguments)
    _leave_console_to_display()

    def work() -> int:
        if instead is not None and (code := instead(parameters)) is not None:
            return code
        _make_home(settings().home)
        server = LocalServer()
        if meanwhile is not None:
            meanwhile(parameters)
        server.wait()
        if server.started and server.stays_s:
            print_note(_stays(server.stays_s))
        outcome = run_until_told(_outcome(flow, parameters, watched=not server.temporary))
        if closing is not None:
            closing(outcome)
        return outcome.exit_code

    return run_work(work)


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(b"room")
    except OSError as error:
        raise UserError(
            f"The home {home.absolute()} cannot be written to: {error.strerror}.",
            "Set TRIGPOINT_HOME to a folder of yours, or mend this one.",
        ) from error


async def _outcome(flow: Flow[..., Any], parameters: Mapping[str, Any], *, watched: bool) -> Outcome:
    """What the flow returned, also where it ended as failed on purpose; what it raised is raised.

    Args:
        flow: The flow.
        parameters: What it is given.
        watched: Whether others look after runs that died, as upkeep and automations of a real server do.
    """
    run: Callable[..., Awaitable[State[Any]]] = flow
    tidying = asyncio.create_task(asyncio.sleep(0) if watched else _end_the_dead())
    state = await run(**parameters, return_state=True)
    await tidying
    outcome: Outcome | BaseException = await state.aresult(raise_on_failure=False)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def _end_the_dead() -> None:
    try:
        await crash_the_dead()
    except Exception as error:  # The next run does it.
        log.warning("Runs whose processes have died could not be told to the server: %s", error)


def parse(flow: Flow[..., Any], arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """The flow's parameters from a command line; prints help, or one sentence for a mistake, and exits.

    Raises:
        SystemExit: Help was asked for (0) or the arguments do not fit the signature (2).
    """
    module = flow.fn.__module__
    name = f"flows/{module.rpartition('.')[2]}.py" if module != "__main__" else sys.argv[0]
    return parse_call(flow.fn, f"python {name}", arguments)


def _stays(seconds: float) -> str:
    """What is told once, where a server is started."""
    length = f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} seconds"
    return f"A local Prefect server stays {length} for further runs; TRIGPOINT_SERVER_TTL=0 ends it with its run."


def _leave_console_to_display() -> None:
    """Keep Prefect's run logs and those of its temporary server off the terminal; they are in the server's records."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    setup_logging()
