"""Where results go: one table, or one for each value of the variables in its path; file of rows and page beside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from blocks.errors import UserError
from flows.matrix.paths import PathTemplate
from flows.matrix.sheet import Sheet
from flows.matrix.tables import STDOUT, check_output

FOLDER = "experiments"
"""In the home: results of runs that name no output."""


class Output:
    """Where an experiment's results go.

    Args:
        path: As the user gave it, variables and all; `-`: standard output.
        stem: Where the other files lie where that is no file, without suffix.

    Raises:
        UserError: It is nothing that can be written.
    """

    def __init__(self, path: str, stem: Path) -> None:
        check_output(path)
        self.text = path
        self.template = PathTemplate(path)
        self.stdout = path == STDOUT
        beside = stem if self.stdout else self.template.beside("")
        self.rows_file = beside.with_name(f"{beside.name}.rows.jsonl")
        self.page = beside.with_name(f"{beside.name}.html")
        self.homeless = beside
        """The table of rows that have no other, as a variable of their path is empty."""

    def path_of(self, values: Mapping[str, str]) -> Path | None:
        """A row's table; None: standard output.

        Raises:
            UserError: A variable of the path has no value.
        """
        return None if self.stdout else self.template.fill(values)

    def place_of(self, values: Mapping[str, str]) -> Path | None:
        """The same, also for rows that have none."""
        try:
            return self.path_of(values)
        except UserError:
            return self.homeless

    def tables(self, sheet: Sheet) -> list[Path]:
        """Every table that the rows come to."""
        if self.stdout:
            return []
        if not self.template.names:
            return [Path(self.text)]
        return list(dict.fromkeys(path for row in sheet.rows() if (path := self.place_of(row.values)) is not None))


def named_output(output: str | None, experiments: str, parts: Sequence[str], home: Path) -> Output:
    """The output a user named, or one in the home that belongs to these inputs.

    Args:
        output: As given.
        experiments: The table, as given.
        parts: All that makes it this experiment: paths and digests.
        home: TRIGPOINT_HOME.

    Raises:
        UserError: It is nothing that can be written.
    """
    digest = hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    name = "stdin" if experiments == STDOUT else Path(experiments).stem
    stem = home / FOLDER / f"{name}-{digest}.csv"
    return Output(output or str(stem), stem)
