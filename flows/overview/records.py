"""What a report says: what requests took, which models are out of order, how far each dataset is."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from blocks.chat.ledger import By
from blocks.chat.outages import Outage
from blocks.frozen import Frozen
from blocks.plurals import several
from flows.display.markdown import MOST_ROWS
from flows.display.notes import and_notes


class Line(Frozen):
    """What a group of requests took."""

    names: tuple[str, ...]
    """What it is told apart by, in the report's order."""
    requests: int
    """That left, retries included."""
    failed: int
    """Of those, the ones that were not answered well."""
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    """US dollars where the cost is known."""
    unreported: int
    """Requests of which nobody says what they took."""


class DatasetStanding(Frozen):
    """How far a dataset is."""

    dataset: str
    questions: int = 0
    open: int = 0
    """Questions without an episode whose verdict stands."""
    verdicts: dict[str, int] = Field(default_factory=dict)
    """Episodes by verdict."""
    notes: tuple[str, ...] = ()
    """What was noticed when its file was read."""
    problem: str = ""
    """Why it, or some of its questions and episodes, cannot be read; empty otherwise."""


class HomeReport(Frozen):
    """The whole."""

    schema_version: Literal[1] = 1
    by: tuple[By, ...]
    lines: tuple[Line, ...]
    outages: tuple[Outage, ...]
    datasets: tuple[DatasetStanding, ...]

    @property
    def exit_code(self) -> int:
        """0: everything is told. 1: of some datasets not everything can be read; the others are told."""
        return 1 if any(each.problem for each in self.datasets) else 0

    def sentence(self) -> str:
        """The report in one sentence, for the state's message."""
        requests, cost = sum(line.requests for line in self.lines), sum(line.cost_usd for line in self.lines)
        episodes = sum(sum(each.verdicts.values()) for each in self.datasets)
        verified = sum(each.verdicts.get("verified", 0) for each in self.datasets)
        told = several(requests, "request") + (f", US$ {cost:,.2f}" if cost else "")
        tables = several(len(self.datasets), "dataset")
        told += f"; {verified:,} of {episodes:,} episodes verified, {tables}"
        told = and_notes(told, sum(len(each.notes) for each in self.datasets))
        down = len(self.outages)
        return told + (f"; {several(down, 'model')} out of order" if down else "")

    def table(self) -> list[dict[str, Any]]:
        """The lines as a table artifact."""
        return [
            {**dict(zip(self.by, line.names, strict=True)), **line.model_dump(exclude={"names"})}
            for line in self.lines[:MOST_ROWS]
        ]
