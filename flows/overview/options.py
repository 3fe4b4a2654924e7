"""The options of a report: which requests are counted, and what is told apart."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from blocks.chat.ledger import By
from blocks.commas import COMMAS
from blocks.frozen import Frozen

Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class ReportOptions(Frozen):
    """What a report is about."""

    by: Annotated[
        tuple[By, ...],
        COMMAS,
        Field(min_length=1, description="what requests are told apart by; commas may part them"),
    ] = ("endpoint", "model")
    since: Annotated[Day | None, Field(description="first day counted (UTC), as 2026-01-31; empty: from the start")] = (
        None
    )
    until: Annotated[Day | None, Field(description="last day counted (UTC); empty: to the end")] = None
    run: Annotated[str | None, Field(description="only requests of this flow run, by its id")] = None
    flow: Annotated[str | None, Field(description="only requests of this flow, as episode")] = None
    model: Annotated[str | None, Field(description="only requests to this model, as its provider names it")] = None
