"""A flow as a command: arguments from the flow's signature, one-sentence errors, exit codes.

The flow's signature is the interface: the UI form, `prefect deployment run -p` and this
command line all derive from it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect import Flow, State
from prefect.logging.configuration import setup_logging

from blocks.arguments import parse_call, run_work
from blocks.interrupts import run_until_told
from blocks.local_server import LocalServer


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
        server = LocalServer()
        if meanwhile is not None:
            meanwhile(parameters)
        server.wait()
        outcome = run_until_told(_outcome(flow, parameters))
        if closing is not None:
            closing(outcome)
        return outcome.exit_code

    return run_work(work)


async def _outcome(flow: Flow[..., Any], parameters: Mapping[str, Any]) -> Outcome:
    """What the flow returned, also where it ended as failed on purpose; what it raised is raised."""
    run: Callable[..., Awaitable[State[Any]]] = flow
    state = await run(**parameters, return_state=True)
    outcome: Outcome | BaseException = await state.aresult(raise_on_failure=False)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def parse(flow: Flow[..., Any], arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """The flow's parameters from a command line; prints help, or one sentence for a mistake, and exits.

    Raises:
        SystemExit: Help was asked for (0) or the arguments do not fit the signature (2).
    """
    module = flow.fn.__module__
    name = f"flows/{module.rpartition('.')[2]}.py" if module != "__main__" else sys.argv[0]
    return parse_call(flow.fn, f"python {name}", arguments)


def _leave_console_to_display() -> None:
    """Keep Prefect's run logs and those of its temporary server off the terminal; they are in the server's records."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    setup_logging()
