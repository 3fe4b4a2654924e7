"""What the displays show of one question: a small frozen row, the same live, in the table and in the artifact."""

from __future__ import annotations

from typing import Literal

from blocks.frozen import Frozen

RowState = Literal["verified", "other", "unfinished"]


class QuestionRow(Frozen):
    """The outcome of one question as a table row."""

    schema_version: Literal[1] = 1
    dataset: str
    question: str
    verdict: str
    state: RowState
    """verified; other: finished with another verdict; unfinished: to be redone by the next run."""
    votes: str
    """Agreeing of launched independent traces, e.g. `3/3`; empty where nothing was voted on."""
    turns: int
    cells: int
    calls: int
    replayed: int
    """Model calls answered by the journal."""
    traces_saved: int
    """Traces not launched because they could not have changed the verdict."""
    calls_saved: int = 0
    """About how many model calls those would have made: as many each as the question's launched ones on average."""
    cut_by_length: int = 0
    """Attempts of which `max_tokens` has cut off every reply."""
    seconds: float
    cached: bool
    """True when an earlier run had finished it."""
    explanation: str
