"""Telling what was noticed when a dataset's file was read, where a run takes the file up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flows.display.notes import note_lines
from flows.generation.shelf import made_by_other_rules
from flows.runs.logs import dataset_log
from flows.tables.dataset import Dataset


def tell_notes(
    dataset: Dataset, home: Path, at: str, warn: Callable[[str], None], *logs: Callable[[str], None]
) -> None:
    """Tell what was noticed when a dataset's file was read: all of it in the logs, the first of it at once.

    Args:
        dataset: With its notes.
        home: TRIGPOINT_HOME, where questions may be that were made by other rules for reading it.
        at: Where all of it can be read.
        warn: Told what a user should not miss.
        logs: Each gets everything.
    """
    about_rules = [*filter(None, [dataset.overruled]), *made_by_other_rules(home, dataset)]
    for sentence in (*about_rules, *dataset.how_read):
        for write in logs:
            write(f"{dataset.slug}: {sentence}")
    for line in (*(f"{dataset.slug}: {each}" for each in about_rules), *note_lines(dataset.slug, dataset.notes, at)):
        warn(line)


def log_notes(
    dataset: Dataset, home: Path, run: str, warn: Callable[[str], None], *logs: Callable[[str], None]
) -> None:
    """Tell what was noticed as `tell_notes` does, all of it in the dataset's own log of a run as well.

    Args:
        dataset: With its notes.
        home: TRIGPOINT_HOME.
        run: Name of the run.
        warn: Told what a user should not miss, and where the rest is.
        logs: Each gets everything.
    """
    folder = home / "logs" / run
    with dataset_log(folder, dataset.slug) as log:
        tell_notes(dataset, home, str((folder / f"{dataset.slug}.log").absolute()), warn, log.warning, *logs)
