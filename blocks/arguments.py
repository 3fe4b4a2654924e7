"""A command line from a function's signature, with one-sentence errors. It imports no Prefect, to be quick."""

from __future__ import annotations

import ast
import inspect
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cyclopts
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from blocks.errors import TrigpointError, UserError
from blocks.interrupts import run_command
from blocks.proxies import wrong_proxy

DONE, SOME_FAILED, NOTHING_DONE = 0, 1, 2


def parse_call(function: Callable[..., Any], name: str, arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """A function's arguments from a command line; prints help, or one sentence for a mistake, and exits.

    Args:
        function: Its signature is the interface.
        name: What the user has typed before the arguments.
        arguments: The command line; this process's by default.

    Raises:
        SystemExit: Help was asked for (0) or the arguments do not fit the signature (2).
    """
    _refuse_odd_bytes(sys.argv[1:] if arguments is None else arguments)
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


def _refuse_odd_bytes(arguments: Sequence[str]) -> None:
    """What stands in a command line as bytes that are no UTF-8 cannot be told to Prefect, nor written into a record."""
    for each in arguments:
        if not each.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in each):
            shown = each.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            print_error(UserError(f"{shown} is not written in UTF-8.", "Rename the file, or set a locale of UTF-8."))
            raise SystemExit(NOTHING_DONE)


def run_work(work: Callable[[], int]) -> int:
    """The work of a command, a user's mistake told in one sentence: the exit code. See `run_command` for signals."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A tick that a terminal's encoding lacks must not cost the work that it stands for.
            stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")

    def told() -> int:
        try:
            if wrong := wrong_proxy():
                raise UserError(f"{wrong}.", "Set it as http://HOST:PORT, or unset it.")
            return work()
        except UserError as error:
            print_error(error)
            return NOTHING_DONE
        except OSError as error:
            if not _cannot_be_printed():
                raise
            print_error(UserError(f"What is printed cannot be written: {error.strerror}.", "The work itself is kept."))
            return NOTHING_DONE

    return run_command(told)


def _cannot_be_printed() -> bool:
    """Whether standard output takes nothing, as where it is a file on a full disk."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return False


def print_error(error: TrigpointError) -> None:
    """One sentence and the remedy on standard error."""
    text = Text("Error: ", style="bold red")
    text.append(error.message, style="default")
    if error.remedy:
        text.append(f" {error.remedy}", style="cyan")
    Console(stderr=True, soft_wrap=True).print(text)


def print_note(sentence: str) -> None:
    """What is good to know, on standard error."""
    Console(stderr=True, soft_wrap=True).print(Text(sentence, style="dim"))


def declared(file: Path, name: str) -> Callable[..., Any]:
    """The signature and the docstring of a function of a file, as a function that does nothing.

    Only what the signature names is imported: the file itself may take seconds, most of them for Prefect, which no
    signature needs.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    (found,) = [each for each in functions if each.name == name]
    words = ast.Constant(ast.get_docstring(found, clean=False) or "")
    plain = ast.FunctionDef(name=name, args=found.args, body=[ast.Expr(words)], decorator_list=[], returns=None)
    needed = [*_needed(tree, plain), plain]
    future = ast.ImportFrom(module="__future__", names=[ast.alias("annotations")], level=0)
    module = ast.fix_missing_locations(ast.Module(body=[future, *needed], type_ignores=[]))
    namespace: dict[str, Any] = {"__name__": f"{file.stem} (signature)"}
    exec(compile(module, str(file), "exec"), namespace)
    function: Callable[..., Any] = namespace[name]
    return function


def _needed(tree: ast.Module, function: ast.FunctionDef) -> list[ast.stmt]:
    """The statements of a module that a signature cannot do without, in their order; of imports only what it names."""
    named = _names(function)
    kept: list[ast.stmt] = []
    for statement in reversed(tree.body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            aliases = [each for each in statement.names if _bound_name(each) in named]
            if aliases and getattr(statement, "module", "") != "__future__":
                kept.append(_with_names(statement, aliases))
        elif named & set(_assigned(statement)):
            kept.append(statement)
            named |= _names(statement)
    return kept[::-1]


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _bound_name(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _with_names(statement: ast.Import | ast.ImportFrom, aliases: list[ast.alias]) -> ast.stmt:
    if isinstance(statement, ast.Import):
        return ast.Import(names=aliases)
    return ast.ImportFrom(module=statement.module, names=aliases, level=statement.level)


def _assigned(statement: ast.stmt) -> Iterator[str]:
    """Names that a plain assignment of the module gives values to."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    for target in targets:
        yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))


def _sentence(error: Exception) -> str:
    cause = error if isinstance(error, ValidationError) else error.__cause__
    if isinstance(cause, ValidationError):
        first = cause.errors(include_url=False)[0]
        # The rules for reading a file are options of their own, without the name of the field that holds them.
        where = ".".join(str(part) for part in first["loc"] if part != "reading").replace("_", "-")
        return f"--{where}: {first['msg']} (got {first['input']!r})."
    text = " ".join(str(error).split())
    return text.rstrip(".") + ("" if text.rstrip(".").endswith("?") else ".")
