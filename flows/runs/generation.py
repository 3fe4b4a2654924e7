"""What a question run reports: per dataset and source what was proposed, kept and refused, and the exit code."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from blocks.frozen import Frozen
from blocks.plurals import several
from flows.display.notes import and_notes
from flows.generation.shelf import SourceReport
from flows.questions.records import Question
from flows.verification.attempts import UsageTotals

LEVELS = ("easy", "medium", "hard", "very_hard")


class SourceRow(Frozen):
    """What one source made of one dataset."""

    dataset: str
    source: str
    proposed: int
    kept: int
    difficulties: dict[str, int]
    refused: dict[str, int]
    """How many for each reason."""
    reworded: int = 0
    """How many of them are in a model's words."""
    calls: int = 0
    """Model calls that went into them, those of earlier runs too."""
    cost_usd: float | None = None
    cached: bool
    """True when an earlier run had made them."""

    @classmethod
    def of(cls, dataset: str, entry: SourceReport, questions: tuple[Question, ...], *, cached: bool) -> SourceRow:
        """The row of a source's report."""
        own = set(entry.questions)
        usage = entry.usage or UsageTotals()
        return cls(
            dataset=dataset,
            source=entry.source,
            proposed=entry.proposed,
            kept=len(own),
            difficulties=dict(Counter(each.difficulty for each in questions if each.id in own)),
            refused=dict(sorted(Counter(refusal.reason for refusal in entry.refused).items())),
            reworded=sum("wording" in each.provenance for each in questions if each.id in own),
            calls=usage.calls,
            cost_usd=usage.cost_usd,
            cached=cached,
        )

    def sentence(self) -> str:
        """One line for people."""
        levels = ", ".join(f"{count} {level.replace('_', ' ')}" for level, count in sorted(self.difficulties.items()))
        left = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in self.refused.items())
        text = f"{self.dataset}: {several(self.kept, f'{self.source} question')} of {self.proposed} proposed"
        text += f" ({levels})" if levels else ""
        text += f", {self.reworded} in the model's words" if self.reworded else ""
        text += f", {several(self.calls, 'model call')}" if self.calls else ""
        return f"{text}; left out: {left}" if left else text


class DatasetQuestions(Frozen):
    """What became of one dataset."""

    schema_version: Literal[1] = 1
    dataset: str
    file: str = ""
    rows: tuple[SourceRow, ...] = ()
    error: str = ""
    """Why the dataset could not be worked on; empty otherwise."""
    notes: tuple[str, ...] = ()
    """What was noticed when its file was read."""


class GenerationReport(Frozen):
    """What became of a run."""

    schema_version: Literal[1] = 1
    run: str
    datasets: tuple[DatasetQuestions, ...]

    @property
    def rows(self) -> tuple[SourceRow, ...]:
        """The rows of all datasets."""
        return tuple(row for dataset in self.datasets for row in dataset.rows)

    @property
    def exit_code(self) -> int:
        """0: every dataset has questions. 1: some have not. 2: none has."""
        without = [each for each in self.datasets if each.error or not any(row.kept for row in each.rows)]
        if len(without) == len(self.datasets):
            return 2
        return 1 if without else 0

    def sentence(self) -> str:
        """The run in one sentence, for the state's message."""
        failed = sum(bool(each.error) for each in self.datasets)
        kept, worked = sum(row.kept for row in self.rows), len(self.datasets) - failed
        text = f"{several(kept, 'question')} about {several(worked, 'dataset')}"
        text = f"{text}, {failed} failed" if failed else text
        return and_notes(text, sum(len(dataset.notes) for dataset in self.datasets))

    def table(self) -> list[dict[str, Any]]:
        """Rows for a table artifact."""
        return [
            {
                "dataset": row.dataset,
                "source": row.source,
                "proposed": row.proposed,
                "kept": row.kept,
                **{level.replace("_", " "): row.difficulties.get(level, 0) for level in LEVELS},
                "reworded": row.reworded,
                "calls": row.calls,
                "left out": ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in row.refused.items()),
                "by": "an earlier run" if row.cached else "this run",
            }
            for row in self.rows
        ]
