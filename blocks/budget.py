"""The Budget block: what runs may spend on a model, by run, by day and by model."""

from __future__ import annotations

from typing import Annotated, ClassVar

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.blocks.core import Block
from pydantic import Field

from blocks.chat.budget import BudgetPlan, Caps


class Budget(Block):
    """What may be spent on models. At a cap nothing more is sent, and the next run goes on where this one ended.

    Attributes:
        run: Of one flow run.
        day: Of all runs that share the store, in a day (UTC).
        models: The same by model, named as its provider names it.
    """

    _block_type_name: ClassVar[str | None] = "Budget"
    _block_type_slug: ClassVar[str | None] = "trigpoint-budget"
    _description: ClassVar[str | None] = "What runs may spend on a model: requests, tokens, US dollars."

    run: Annotated[Caps, Field(title="A run", description="caps of one flow run")] = Caps()
    day: Annotated[Caps, Field(title="A day", description="caps of all runs of a day, UTC")] = Caps()
    models: Annotated[
        dict[str, Caps], Field(title="A model and day", description="caps of a day, UTC, by the model's name")
    ] = Field(default_factory=dict)

    def plan(self) -> BudgetPlan:
        """The caps as the model client takes them."""
        return BudgetPlan(run=self.run, day=self.day, models=self.models)
