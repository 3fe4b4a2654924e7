"""A flow as a command: arguments from the flow's signature, one-sentence errors, exit codes.

The flow's signature is the interface: the UI form, `prefect deployment run -p` and this
command line all derive from it.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

import cyclopts
from prefect import Flow, State
from prefect.exceptions import TerminationSignal
from prefect.logging.configuration import setup_logging
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from blocks.errors import TrigpointError, UserError
from blocks.local_server import LocalServer

DONE, SOME_FAILED, NOTHING_DONE = 0, 1, 2
TERMINATED = 128 + signal.SIGTERM


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
        0 all done, 1 some failed or interrupted, 2 nothing done or a user's mistake, 143 terminated.
    """
    parameters = parse(flow, arguments)
    _leave_console_to_display()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        if instead is not None and (code := instead(parameters)) is not None:
            return code
        server = LocalServer()
        if meanwhile is not None:
            meanwhile(parameters)
        server.wait()
        outcome = asyncio.run(_outcome(flow, parameters))
    except UserError as error:
        print_error(error)
        return NOTHING_DONE
    except KeyboardInterrupt:
        print_error(UserError("Interrupted.", "Run the same command again: it goes on where it stopped."))
        return SOME_FAILED
    except TerminationSignal:
        print_error(UserError("Terminated.", "Run the same command again: it goes on where it stopped."))
        return TERMINATED
    finally:
        signal.signal(signal.SIGTERM, before)
    if closing is not None:
        closing(outcome)
    return outcome.exit_code


def _terminate(number: int, _: object) -> NoReturn:
    """As Prefect has it while a flow runs: what is under way is cancelled and puts itself in order."""
    raise TerminationSignal(signal=number)


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


def parse_call(function: Callable[..., Any], name: str, arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """A function's arguments from a command line; see `parse`.

    Args:
        function: Its signature is the interface.
        name: What the user has typed before the arguments.
        arguments: The command line; this process's by default.

    Raises:
        SystemExit: Help was asked for (0) or the arguments do not fit the signature (2).
    """
    app = cyclopts.App(name=name, help=inspect.cleandoc(function.__doc__ or "").split("\nArgs:")[0], version_flags=())
    app.default(function)
    try:
        command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    except (cyclopts.CycloptsError, ValidationError) as error:
        print_error(UserError(_sentence(error), "See --help."))
        raise SystemExit(NOTHING_DONE) from None
    if command is not function:  # --help
        command(*bound.args, **bound.kwargs)
        raise SystemExit(DONE)
    return dict(bound.arguments)


def print_error(error: TrigpointError) -> None:
    """One sentence and the remedy on standard error."""
    text = Text("Error: ", style="bold red")
    text.append(error.message, style="default")
    if error.remedy:
        text.append(f" {error.remedy}", style="cyan")
    Console(stderr=True, soft_wrap=True).print(text)


def _sentence(error: Exception) -> str:
    cause = error if isinstance(error, ValidationError) else error.__cause__
    if isinstance(cause, ValidationError):
        first = cause.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]).replace("_", "-")
        return f"--{where}: {first['msg']} (got {first['input']!r})."
    text = " ".join(str(error).split())
    return text.rstrip(".") + ("" if text.rstrip(".").endswith("?") else ".")


def _leave_console_to_display() -> None:
    """Keep Prefect's run logs and those of its temporary server off the terminal; they are in the server's records."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    setup_logging()
