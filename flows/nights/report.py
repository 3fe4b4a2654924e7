"""What a night reports: a row per dataset, the page for the UI, the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.text import Text

from blocks.frozen import Frozen
from blocks.terminal import plain_table
from flows.display.markdown import cell, markdown_table, notes_section
from flows.display.notes import and_notes, note_lines

State = Literal["worked on", "done before", "not begun", "failed"]
SYMBOLS: dict[State, str] = {"worked on": "✓", "done before": "=", "not begun": "–", "failed": "✗"}
FIGURES = ("questions", "asked", "verified", "minutes")


class NightRow(Frozen):
    """What became of one dataset, or of the downloads."""

    dataset: str
    state: State
    questions: int = 0
    """That there are about it."""
    asked: int = 0
    """In this night."""
    verified: int = 0
    """Of those asked."""
    minutes: float = 0.0
    detail: str = ""
    """Why it failed or was not begun; what its flows said."""
    problems: tuple[str, ...] = ()
    """What of its questions and episodes cannot be used: damaged records, those of a newer Trigpoint."""
    notes: tuple[str, ...] = ()
    """What was noticed when its file was read."""

    @property
    def symbol(self) -> str:
        """One sign for its state."""
        return SYMBOLS[self.state]

    def after(self, earlier: NightRow) -> NightRow:
        """With what had been done before it was taken up again."""
        return self.model_copy(
            update={
                "state": "worked on" if "worked on" in (self.state, earlier.state) else self.state,
                "asked": self.asked + earlier.asked,
                "verified": self.verified + earlier.verified,
            }
        )

    def figures(self) -> tuple[str, ...]:
        """Its numbers, in the order of `FIGURES`."""
        return (str(self.questions), str(self.asked), str(self.verified), f"{self.minutes:.1f}")

    def sentence(self) -> str:
        """One line for people."""
        asked = f", {self.verified} of {self.asked} verified" if self.asked else ""
        return f"{self.dataset}: {self.state}{asked}" + (f" ({self.detail})" if self.detail else "")


class NightReport(Frozen):
    """What became of a night."""

    schema_version: Literal[1] = 1
    run: str
    download: NightRow | None = None
    rows: tuple[NightRow, ...] = ()

    @property
    def failed(self) -> int:
        """Datasets that failed, and the downloads if they did."""
        return sum(row.state == "failed" for row in self._all())

    @property
    def exit_code(self) -> int:
        """0: nothing failed. 1: something did, or was left out. 2: all that was begun failed, or there was nothing."""
        begun = [row for row in self._all() if row.state != "not begun"]
        if not self.rows or (begun and all(row.state == "failed" for row in begun)):
            return 2
        return 1 if self.failed or any(row.problems for row in self.rows) else 0

    def sentence(self) -> str:
        """The night in one sentence, for the state's message."""
        counts = Counter(row.state for row in self.rows)
        asked, verified = sum(row.asked for row in self.rows), sum(row.verified for row in self.rows)
        parts = [f"{counts[state]} {state}" for state in SYMBOLS if counts[state]]
        text = f"{verified} of {asked} questions verified; datasets: {', '.join(parts) or 'none'}"
        text = f"{text}; the download failed" if self.download and self.download.state == "failed" else text
        return and_notes(text, sum(len(row.notes) for row in self.rows))

    def page(self) -> str:
        """The night as a page of markdown."""
        lines = [f"# Night {self.run}", "", f"{self.sentence()}.", ""]
        if self.download:
            lines += [f"Download: {SYMBOLS[self.download.state]} {cell(self.download.detail)}", ""]
        rows = [
            (row.dataset, f"{SYMBOLS[row.state]} {row.state}", *row.figures(), " ".join((row.detail, *row.problems)))
            for row in self.rows
        ]
        lines += markdown_table(("dataset", "", *FIGURES, ""), rows, numbers=FIGURES)
        lines += notes_section((row.dataset, row.notes) for row in self.rows)
        return "\n".join(lines)

    def _all(self) -> Sequence[NightRow]:
        return (*((self.download,) if self.download else ()), *self.rows)


def print_night(report: NightReport, *, home: Path, console: Console | None = None) -> None:
    """Print the table, every reason, and where the files are.

    Args:
        report: The night.
        home: TRIGPOINT_HOME.
        console: Where; standard output by default.
    """
    console = console or Console()
    table = plain_table("dataset", "", numbers=FIGURES)
    for row in report.rows:
        table.add_row(Text(row.dataset), f"{SYMBOLS[row.state]} {row.state}", *row.figures())
    if report.rows:
        console.print(table)
    console.print(Text(f"{report.sentence()}."), soft_wrap=True)
    for each in (*((report.download,) if report.download else ()), *report.rows):
        if each.state in ("failed", "not begun"):
            console.print(Text(f"! {each.dataset}: {each.detail}", style="yellow"), soft_wrap=True)
        for problem in each.problems:
            console.print(Text(f"! {problem}", style="yellow"), soft_wrap=True)
        for line in note_lines(each.dataset, each.notes, "the night's page"):
            console.print(Text(f"! {line}", style="yellow"), soft_wrap=True)
    console.print(Text(f"  episodes  {home.absolute() / 'episodes'}", style="dim"), soft_wrap=True)
