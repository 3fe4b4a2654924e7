"""What a run reports: per dataset the rows of its questions and what went wrong around them, and the exit code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from blocks.frozen import Frozen
from flows.display.notes import and_notes
from flows.display.rows import QuestionRow


class DatasetReport(Frozen):
    """What became of one dataset."""

    schema_version: Literal[1] = 1
    dataset: str
    rows: tuple[QuestionRow, ...] = ()
    error: str = ""
    """Why the dataset could not be worked on at all; empty otherwise."""
    problems: tuple[str, ...] = ()
    """Bad lines of question files, damaged records: what was left out."""
    incidents: tuple[str, ...] = ()
    """Rebuilt sandboxes."""
    notes: tuple[str, ...] = ()
    """What was noticed when the file was read."""


class RunReport(Frozen):
    """What became of a run."""

    schema_version: Literal[1] = 1
    run: str
    replay: bool = False
    """Whether the replies were those of the bundled recording."""
    datasets: tuple[DatasetReport, ...]

    @property
    def rows(self) -> tuple[QuestionRow, ...]:
        """The rows of all datasets."""
        return tuple(row for dataset in self.datasets for row in dataset.rows)

    @property
    def failed(self) -> int:
        """Questions without a standing verdict, plus datasets that could not be worked on."""
        return sum(row.state == "unfinished" for row in self.rows) + sum(bool(d.error) for d in self.datasets)

    @property
    def exit_code(self) -> int:
        """0: every question has a standing verdict. 1: some have not, or input was left out. 2: none has."""
        if all(row.state == "unfinished" for row in self.rows):
            return 2
        return 1 if self.failed or any(dataset.problems for dataset in self.datasets) else 0

    def sentence(self) -> str:
        """The run in one sentence, for the state's message."""
        verified = sum(row.state == "verified" for row in self.rows)
        text = f"{verified} of {len(self.rows)} questions verified"
        text = f"{text}, {self.failed} failed" if self.failed else text
        return and_notes(text, sum(len(dataset.notes) for dataset in self.datasets))


def run_name(flow_run: UUID | str | None) -> str:
    """A run's name, for its folder of logs: when it began and, for telling two apart, its flow run's first digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{str(flow_run or 'local')[:8]}"
