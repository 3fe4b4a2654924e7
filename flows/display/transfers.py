"""Downloads in the terminal: a bar with bytes and rate for each transfer, and the closing table."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from blocks.terminal import plain_table
from flows.display.markdown import MOST_ROWS
from flows.display.notes import counted, note_lines
from flows.runs.downloads import DownloadReport, DownloadRow

SYMBOLS = {"accepted": "✓", "already there": "✓", "duplicate": "○", "refused": "○", "failed": "✗"}
STYLES = {"accepted": "green", "already there": "dim", "duplicate": "yellow", "refused": "yellow", "failed": "red"}


class Transfers:
    """Told of bytes from any thread; draws bars on a terminal, else prints one line for each finished dataset.

    Args:
        console: Where to draw; standard error by default, so that standard output stays free.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console if console is not None else Console(stderr=True)
        self._bars = Progress(
            TextColumn("[bold]{task.fields[name]}", markup=True),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TextColumn("{task.fields[phase]}", style="dim"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._bytes: dict[str, int] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._last = (self._started, 0)

    @contextmanager
    def live(self) -> Iterator[Transfers]:
        """Draw while the body runs (terminals only)."""
        with self._bars:
            yield self

    def bytes(self, name: str, done: int, total: int | None) -> None:
        """A transfer's bytes so far, and in all where that is known."""
        with self._lock:
            self._bytes[name] = max(done, self._bytes.get(name, 0))
            task = self._task(name)
        self._bars.update(task, completed=done, total=total)

    def phase(self, name: str, phase: str) -> None:
        """What is being done to a dataset."""
        with self._lock:
            task = self._task(name)
        self._bars.update(task, phase=phase)

    def knows(self, name: str) -> bool:
        """Whether anything was done about a dataset in this run."""
        with self._lock:
            return name in self._tasks

    def finished(self, row: DownloadRow) -> DownloadRow:
        """A dataset's outcome; returns its row."""
        with self._lock:
            task = self._tasks.pop(row.reference, None)
        if task is not None:
            self._bars.remove_task(task)
        if row.state != "already there":
            self.console.print(_line(row), soft_wrap=True)
        return row

    def warn(self, message: str) -> None:
        """A sentence the user should not miss."""
        self.console.print(Text(f"! {message}", style="yellow"), soft_wrap=True)

    def rate(self) -> str:
        """Bytes in all and bytes per second since this was last asked, in words."""
        with self._lock:
            total, now = sum(self._bytes.values()), time.monotonic()
            before, seen = self._last
            self._last = (now, total)
        per_second = (total - seen) / max(now - before, 1e-3)
        return f"{decimal(total)}, {decimal(int(per_second))}/s"

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=None, name=_short(name), phase="")
        return self._tasks[name]


def downloads_table(rows: Sequence[DownloadRow]) -> Table:
    """One line for each dataset, in the order they were given."""
    common = common_folder([row.reference for row in rows])
    table = plain_table("source")
    table.add_column("outcome", no_wrap=True)
    table.add_column("dataset", overflow="fold")
    noted = any(row.notes for row in rows)
    for name in ("rows", "columns", "size", *(("notes",) if noted else ())):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            Text(row.reference.removeprefix(common)),
            Text(f"{SYMBOLS[row.state]} {row.state}", style=STYLES[row.state]),
            row.dataset,
            f"{row.rows:,}" if row.rows else "",
            f"{row.columns:,}" if row.columns else "",
            decimal(row.bytes) if row.bytes else "",
            *([str(len(row.notes) or "")] if noted else []),
        )
    return table


def common_folder(references: Sequence[str]) -> str:
    """The folder, with its slash, that several addresses of files have in common; empty where they lie apart."""
    folders = {reference.rpartition("/")[0] for reference in references}
    return f"{folders.pop()}/" if len(references) > 1 and len(folders) == 1 and "://" in references[0] else ""


def artifact_rows(rows: Sequence[DownloadRow]) -> list[dict[str, Any]]:
    """The rows as a table artifact takes them."""
    return [
        {
            "source": row.reference,
            "outcome": f"{SYMBOLS[row.state]} {row.state}",
            "dataset": row.dataset,
            "rows": row.rows,
            "columns": row.columns,
            "bytes": row.bytes,
            "transferred": row.transferred,
            "seconds": round(row.seconds, 1),
            "why": row.detail,
            "how it was read": "; ".join(row.notes),
        }
        for row in rows[:MOST_ROWS]
    ]


def print_downloads(report: DownloadReport, *, home: Path, console: Console | None = None) -> None:
    """Print the table, every reason, where the files are and what to do next.

    Args:
        report: The run.
        home: TRIGPOINT_HOME.
        console: Where; standard output by default.
    """
    console = console or Console()
    if report.rows:
        console.print(downloads_table(report.rows))
        if common := common_folder([row.reference for row in report.rows]):
            console.print(Text(f"Sources in {common}"), soft_wrap=True)
    console.print(Text(report.sentence() + "."), soft_wrap=True)
    for row in report.rows:
        if row.detail:
            console.print(Text(f"! {row.reference}: {row.detail}", style="yellow"), soft_wrap=True)
        # A table may have been refused for what reading made of it.
        for note in row.notes if row.state == "refused" else ():
            console.print(Text(f"    as it was read: {note}", style="yellow"), soft_wrap=True)
    for row in (each for each in report.rows if each.state == "accepted"):
        for line in note_lines(row.dataset, row.notes, f"datasets/{row.dataset}/dataset.json"):
            console.print(Text(f"! {line}", style="yellow"), soft_wrap=True)
    folder = home.absolute() / "datasets"
    console.print(Text(f"  datasets  {folder}", style="dim"), soft_wrap=True)
    kept = [row.dataset for row in report.rows if row.state in ("accepted", "already there")]
    if kept:
        console.print(Text(f"→ python flows/episode.py {folder / kept[0]} …", style="cyan"), soft_wrap=True)
    if any(row.state == "failed" for row in report.rows):
        text = "→ Run the same command again: what is here is not fetched twice, and broken transfers go on."
        console.print(Text(text, style="cyan"), soft_wrap=True)


def _line(row: DownloadRow) -> Text:
    text = Text(f"{SYMBOLS[row.state]} {row.state:<10}", style=STYLES[row.state])
    text.append(f" {row.reference}", style="bold")
    if row.state == "accepted":
        text.append(f"  {row.rows:,} × {row.columns:,}, {decimal(row.bytes)}, {row.seconds:.1f} s", style="default")
        if row.notes:
            text.append(f", {counted(len(row.notes))}", style="yellow")
    elif row.detail:
        text.append(f"  {row.detail}", style="default")
    return text


def _short(name: str) -> str:
    return (name if len(name) <= 40 else "…" + name[-39:]).replace("[", r"\[")
