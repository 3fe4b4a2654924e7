"""Runs one cell: compiles it, shows its last value as a notebook does, reports what ended it."""

from __future__ import annotations
import __future__

import ast
import asyncio
import inspect
import io
import linecache
import os
import sys
import tokenize
from types import CodeType
from typing import Any, Literal

from sandbox_image.zygote import failures
from sandbox_image.zygote.events import EventPipe
from sandbox_image.zygote.figures import Figures
from sandbox_image.zygote.interrupts import Interrupts

Ending = Literal["ok", "error", "memory"]

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag


class CellRunner:
    """Runs cells in one namespace, one after the other."""

    def __init__(
        self,
        names: dict[str, Any],
        events: EventPipe,
        figures: Figures,
        interrupts: Interrupts,
        scratch: str,
        shown: int,
    ) -> None:
        self._names = names
        self._events = events
        self._figures = figures
        self._interrupts = interrupts
        self._scratch = scratch
        self._shown = shown
        self._futures = 0

    def run(self, cell: int, code: str) -> Ending:
        """Run a cell; never raises for what the code does."""
        error: BaseException | None = None
        try:
            # No context manager: those of the library touch the exception, whose class may be the user's.
            self._interrupts.arm()
            self._execute(cell, code)
            self._interrupts.disarm()
        except BaseException as raised:
            self._interrupts.disarm()
            error = raised
        sys.setrecursionlimit(1_000)
        sys.settrace(None)
        sys.setprofile(None)
        if error is None:
            return "ok"
        self._report(error)
        # Asked of the type: an instance can claim to be of any class.
        return "memory" if issubclass(type(error), MemoryError) else "error"

    def _execute(self, cell: int, code: str) -> None:
        filename = failures.cell_file(cell)
        linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
        self._figures.begin()
        try:
            body, last = self._compile(code, filename)
            self._evaluate(body)
            if last is not None:
                self._show(self._evaluate(last))
        finally:
            self._show_figures()

    def _compile(self, code: str, filename: str) -> tuple[CodeType, CodeType | None]:
        tree = ast.parse(code, filename)
        last: ast.expr | None = None
        if tree.body and isinstance(tree.body[-1], ast.Expr) and not _ends_in_semicolon(code):
            last = tree.body.pop().value  # type: ignore[attr-defined]
        body = self._code(tree, filename, "exec")
        return body, None if last is None else self._code(ast.Expression(last), filename, "eval")

    def _code(self, tree: ast.Module | ast.Expression, filename: str, mode: str) -> CodeType:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | self._futures
        # This module's own __future__ imports must not reach the user's code.
        code: CodeType = compile(tree, filename, mode, flags=flags, dont_inherit=True)
        self._futures |= code.co_flags & _FUTURES
        return code

    def _evaluate(self, code: CodeType) -> object:
        value = eval(code, self._names)
        if code.co_flags & inspect.CO_COROUTINE:
            return asyncio.run(value)
        return value

    def _show(self, value: object) -> None:
        if value is None:
            return
        text = str.__str__(repr(value))
        truncated = len(text) > self._shown
        if truncated:
            text = text[: self._shown]
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        self._events.event(type="value", repr=text, truncated=truncated)

    def _show_figures(self) -> None:
        if "matplotlib.pyplot" in sys.modules and sys.modules["matplotlib.pyplot"].get_fignums():
            self._figures.show()

    def _report(self, error: BaseException) -> None:
        BaseException.with_traceback(error, failures.strip_machinery(error))
        report = failures.describe(error, self._scratch)
        if not self._events.event(type="error", **report):
            self._events.event(type="error", name=report["name"], message="", traceback="")


def _ends_in_semicolon(code: str) -> bool:
    last = ""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.INDENT, tokenize.DEDENT)
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type not in skipped:
            last = token.string
    return last == ";"


def restore_folder(scratch: str) -> None:
    """Go back to the scratch folder when the current one has been removed."""
    try:
        os.getcwd()
    except OSError:
        os.makedirs(scratch, exist_ok=True)
        os.chdir(scratch)
