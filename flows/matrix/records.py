"""What became of a row, and the columns of the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import AwareDatetime

from blocks.frozen import Frozen

Status = Literal["ok", "warning", "error"]

BEFORE = ("provider", "model")
RESULT = ("status", "input_tokens", "context_window", "output_tokens", "output", "error_message")
OURS = (
    "latency_s",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "attempts",
    "started_at",
    "row",
    "call_key",
)
TYPES: Mapping[str, type] = {
    "input_tokens": int, "context_window": int, "output_tokens": int, "latency_s": float, "prompt_tokens": int,
    "completion_tokens": int, "cost_usd": float, "attempts": int, "row": int,
}  # fmt: skip
"""Columns that hold no text."""
TAKEN = frozenset((*BEFORE, *RESULT, *OURS))


class Result(Frozen):
    """One row with its answer, or with what kept it from one."""

    schema_version: Literal[1] = 1
    row: int
    """From 1, as in the experiments when it was answered."""
    call_key: str = ""
    """The journal key of its call; empty where it came to none."""
    provider: str
    model: str
    variables: dict[str, str]
    status: Status
    """error: no answer. warning: an answer, and something about it that the user should know."""
    input_tokens: int | None = None
    """Estimated from the characters, before sending."""
    context_window: int | None = None
    """Of the model, as its provider lists it."""
    output_tokens: int | None = None
    """Estimated from the characters."""
    output: str = ""
    error_message: str = ""
    latency_s: float | None = None
    """Of the request that was answered."""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    """As the provider counted."""
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """None: unknown, never a guess."""
    attempts: int | None = None
    """HTTP requests, retries included."""
    started_at: AwareDatetime | None = None

    @property
    def finished(self) -> bool:
        """Whether a later run leaves it alone."""
        return self.status != "error"

    def line(self) -> bytes:
        """The result as a line of the file of rows."""
        return self.model_dump_json(exclude_defaults=True).encode() + b"\n"

    def cells(self) -> dict[str, Any]:
        """Its cells but those of the variables, by column."""
        cells = {name: getattr(self, name) for name in (*BEFORE, *RESULT, *OURS)}
        started = self.started_at
        cells["started_at"] = "" if started is None else started.isoformat(timespec="milliseconds")
        return cells


def variable_column(name: str) -> str:
    """The output's column of a variable: its own name, unless a column of the results has that."""
    return f"var_{name}" if name in TAKEN else name
