"""Progress of work that is only counted: a bar for each piece of work on a terminal, one line when it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from flows.display.noticed import noticed


class Tally:
    """Told of every step of a run.

    Args:
        console: Where to draw; standard error by default, so that standard output stays free.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console if console is not None else Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self._bars: dict[str, TaskID] = {}
        self._started = time.monotonic()

    @contextmanager
    def live(self) -> Iterator[Tally]:
        """Draw while the body runs (terminals only)."""
        with self._progress:
            yield self

    def advance(self, name: str, total: int) -> None:
        """One more of a piece of work is done."""
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=total)
        self._progress.advance(self._bars[name])

    def finished(self, line: str, *, mark: str = "✓", style: str = "green") -> None:
        """A piece of work is done: said at once."""
        text = Text(f"{time.monotonic() - self._started:6.1f}s ", style="dim")
        text.append(f"{mark} ", style=style)
        text.append(line)
        self.console.print(text, soft_wrap=True)

    def warn(self, line: str) -> None:
        """Something went wrong that does not stop the rest."""
        self.console.print(Text(f"! {line}", style="yellow"), soft_wrap=True)


_current: ContextVar[Tally | None] = ContextVar("tally", default=None)


@contextmanager
def current_tally() -> Iterator[Tally]:
    """The tally of the run around it, or a new one for the length of the body."""
    shared = _current.get()
    if shared is not None:
        yield shared
        return
    with Tally().live() as tally, noticed(tally.warn):
        token = _current.set(tally)
        try:
            yield tally
        finally:
            _current.reset(token)
