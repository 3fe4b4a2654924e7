"""What the user is told of an exception: their own frames, under their cells' names, and no path of the machine."""

from __future__ import annotations

import re
import sys
import traceback
import types
import warnings
from collections.abc import Iterator
from typing import Any

_CELL_FILE = re.compile(r"<cell (\d+)>")
_CELL_PLACE = re.compile(r'File "<cell (\d+)>"')
_MAX_MESSAGE = 10_000
_MAX_TRACEBACK = 30_000


def cell_file(cell: int) -> str:
    """The file name a cell is compiled under."""
    return f"<cell {cell}>"


def describe(error: BaseException, scratch: str) -> dict[str, str]:
    """Name, message and traceback of an exception. Never raises, whatever its class overrides.

    Args:
        error: The exception that ended the cell.
        scratch: The session's folder; modules the user wrote there count as the user's frames.
    """
    try:
        text = _format(error, scratch)
    except BaseException as failure:
        text = f"{_places(error)}{class_name(error)} (formatting it failed with {class_name(failure)})\n"
    return {
        "name": class_name(error),
        "message": _shorten(_message(error), _MAX_MESSAGE),
        "traceback": _shorten(text, _MAX_TRACEBACK),
    }


def class_name(error: BaseException) -> str:
    """The name of an exception's class, whatever the class says of itself."""
    name: str = type.__dict__["__name__"].__get__(type(error))
    return name


def install_hooks(scratch: str) -> None:
    """Warnings, threads and destructors report without paths too."""

    def format_warning(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        cell = _CELL_FILE.fullmatch(filename)
        place = f"Cell {cell[1]}, line {lineno}: " if cell else ""
        return f"{place}{category.__name__}: {message}\n"

    def thread_failed(arguments: Any) -> None:
        if arguments.exc_value is not None and arguments.exc_type is not SystemExit:
            sys.stderr.write(describe(arguments.exc_value, scratch)["traceback"])

    def unraisable(arguments: Any) -> None:
        if arguments.exc_value is not None:
            sys.stderr.write(f"Ignored: {describe(arguments.exc_value, scratch)['traceback']}")

    import threading

    warnings.formatwarning = format_warning
    threading.excepthook = thread_failed
    sys.unraisablehook = unraisable
    sys.excepthook = lambda _, value, __: sys.stderr.write(describe(value, scratch)["traceback"]) and None


def _message(error: BaseException) -> str:
    try:
        text = str(error)
        return str.__str__(text)
    except BaseException as failure:
        return f"<no message: __str__ failed with {class_name(failure)}>"


def _shorten(text: str, limit: int) -> str:
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n… [{len(text) - limit} characters left out] …\n{text[-half:]}"
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _format(error: BaseException, scratch: str) -> str:
    report = traceback.TracebackException(type(error), error, error.__traceback__, lookup_lines=False, compact=True)
    for part in _parts(report):
        own = [frame for frame in part.stack if _is_own(frame.filename, scratch)]
        part.stack = traceback.StackSummary.from_list(own) if own else None  # type: ignore[assignment]
    text = _CELL_PLACE.sub(r"Cell \1", "".join(report.format()))
    return text.replace(f'File "{scratch}/', 'File "')


def _places(error: BaseException) -> str:
    """The lines of the user's cells the exception passed through, for one whose class breaks the usual formatting."""
    lines, trace = [], strip_machinery(error)
    while trace is not None:
        cell = _CELL_FILE.fullmatch(trace.tb_frame.f_code.co_filename)
        if cell:
            lines.append(f"  Cell {cell[1]}, line {trace.tb_lineno}\n")
        trace = trace.tb_next
    return "Traceback (most recent call last):\n" + "".join(lines[-20:])


def _parts(report: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    pending, seen = [report], set()
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        inner = [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]
        pending.extend(other for other in inner if other is not None)


def _is_own(filename: str, scratch: str) -> bool:
    return _CELL_FILE.fullmatch(filename) is not None or filename.startswith(scratch + "/")


def strip_machinery(error: BaseException) -> types.TracebackType | None:
    """The exception's traceback from the first of the user's frames on."""
    trace: types.TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    while trace is not None and _CELL_FILE.fullmatch(trace.tb_frame.f_code.co_filename) is None:
        trace = trace.tb_next
    return trace
