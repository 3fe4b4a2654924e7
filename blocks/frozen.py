"""The base of every model that crosses a floor."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable, and strict about names: an unknown key is an error, never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")
