"""The options of a report: which requests are counted, and what is told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from blocks.chat.ledger import By
from blocks.frozen import Frozen

Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


def _apart(names: Any) -> Any:
    """`--by day,model` and `--by day --by model` say the same."""
    given: Sequence[Any] = [names] if isinstance(names, str) else names
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        return names
    return tuple(dict.fromkeys(name.strip() for each in given for name in each.split(",") if name.strip()))


class ReportOptions(Frozen):
    """What a report is about."""

    by: Annotated[
        tuple[By, ...],
        BeforeValidator(_apart),
        Field(min_length=1, description="what requests are told apart by; commas may part them"),
    ] = ("endpoint", "model")
    since: Annotated[Day | None, Field(description="first day counted (UTC), as 2026-01-31; empty: from the start")] = (
        None
    )
    until: Annotated[Day | None, Field(description="last day counted (UTC); empty: to the end")] = None
    run: Annotated[str | None, Field(description="only requests of this flow run, by its id")] = None
    flow: Annotated[str | None, Field(description="only requests of this flow, as episode")] = None
    model: Annotated[str | None, Field(description="only requests to this model, as its provider names it")] = None
