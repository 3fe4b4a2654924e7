"""The models of a provider, as a user sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from blocks.chat.models import ListedModel
from blocks.frozen import Frozen
from blocks.plurals import several


class ModelList(Frozen):
    """What a provider lists."""

    schema_version: Literal[1] = 1
    provider: str
    models: tuple[ListedModel, ...]

    @classmethod
    def of(cls, provider: str, models: Sequence[ListedModel]) -> ModelList:
        """A provider's list."""
        return cls(provider=provider, models=tuple(models))

    @property
    def exit_code(self) -> int:
        """0: there are models."""
        return 0 if self.models else 1

    def sentence(self) -> str:
        """The list in one sentence."""
        return f"{self.provider} lists {several(len(self.models), 'model')}"

    def table(self) -> list[dict[str, Any]]:
        """Rows for a table artifact."""
        return [
            {
                "provider": self.provider, "model": each.id, "context": each.window,
                "input US$/Mtok": each.input_usd_per_mtok, "output US$/Mtok": each.output_usd_per_mtok,
                "about": each.about,
            }
            for each in self.models[:1000]
        ]  # fmt: skip
