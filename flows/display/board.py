"""Live progress of a run: one place that is told what happens, and shows it on a terminal or as plain lines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from blocks.plurals import several
from flows.display.noticed import noticed
from flows.display.rows import QuestionRow

SYMBOLS = {"verified": "✓", "other": "○", "unfinished": "✗"}
STYLES = {"verified": "green", "other": "yellow", "unfinished": "red"}


@dataclass
class _Dataset:
    total: int
    done: int = 0
    states: Counter[str] = field(default_factory=Counter)
    active: dict[str, str] = field(default_factory=dict)
    phase: str = "waiting"


class Board:
    """Told of every step of a run; draws a live view on a terminal, else prints one line per finished question.

    Args:
        console: Where to draw; standard error by default, so that standard output stays free.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console if console is not None else Console(stderr=True)
        self.rows: list[QuestionRow] = []
        self._datasets: dict[str, _Dataset] = {}
        self._message = ""
        self._started = time.monotonic()
        self._live: Live | None = None

    @contextmanager
    def live(self) -> Iterator[Board]:
        """Draw while the body runs (terminals only)."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(
            get_renderable=self._view,
            console=self.console,
            refresh_per_second=4,
            transient=True,
            redirect_stderr=True,
            redirect_stdout=False,
        ) as self._live:
            yield self
        self._live = None

    def say(self, message: str) -> None:
        """A sentence about the run as a whole."""
        self._message = message
        if self._live is None:
            self.console.print(Text(message, style="dim"))

    def warn(self, message: str) -> None:
        """A sentence the user should not miss; stays on screen."""
        self.console.print(Text(f"! {message}", style="yellow"))

    def warn_all(self, messages: Iterable[str]) -> None:
        """Several such sentences."""
        for message in messages:
            self.warn(message)

    def dataset(self, slug: str, *, total: int, phase: str) -> None:
        """A dataset with that many questions enters a phase."""
        entry = self._datasets.setdefault(slug, _Dataset(total))
        entry.total, entry.phase = total, phase

    def step(self, slug: str, question: str, doing: str) -> None:
        """What a question is doing now."""
        self._datasets[slug].active[question] = doing

    def finished(self, row: QuestionRow) -> QuestionRow:
        """A question ended; returns its row."""
        entry = self._datasets.setdefault(row.dataset, _Dataset(1))
        entry.active.pop(row.question, None)
        entry.done += 1
        entry.states[row.state] += 1
        self.rows.append(row)
        if not row.cached:
            self.console.print(self._line(row))
        return row

    def _line(self, row: QuestionRow) -> Text:
        text = Text(f"{time.monotonic() - self._started:6.1f}s ", style="dim")
        text.append(f"{SYMBOLS[row.state]} {row.verdict:<16}", style=STYLES[row.state])
        text.append(f" {row.dataset}/{row.question}", style="bold")
        text.append(
            f"  {row.votes}  {several(row.turns, 'turn')}, {several(row.cells, 'cell')}, {row.seconds:.1f} s",
            style="default",
        )
        return text

    def _view(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for slug, entry in self._datasets.items():
            busy = "  ".join(f"{name}: {doing}" for name, doing in list(entry.active.items())[:3])
            rest = "done" if entry.done >= entry.total else entry.phase
            table.add_row(
                Text(slug, style="bold"),
                ProgressBar(total=max(entry.total, 1), completed=entry.done, width=24),
                Text(f"{entry.done}/{entry.total}"),
                Text(f"{entry.states['verified']} verified", style="green"),
                Text(busy or rest, style="dim", overflow="ellipsis", no_wrap=True),
            )
        clock = Text(f"{time.monotonic() - self._started:5.0f}s  {self._message}", style="dim")
        return Group(table, clock)


_current: ContextVar[Board | None] = ContextVar("board", default=None)


@contextmanager
def current_board() -> Iterator[Board]:
    """The board of the run around it, or a new one for the length of the body."""
    shared = _current.get()
    if shared is not None:
        yield shared
        return
    board = Board()
    token = _current.set(board)
    try:
        with board.live(), noticed(board.warn):
            yield board
    finally:
        _current.reset(token)
