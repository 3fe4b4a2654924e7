"""What an experiment came to: counts, models side by side, where the files are, and the exit code."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from blocks.frozen import Frozen
from blocks.plurals import several
from flows.matrix.records import Result

MOST_SAMPLED = 10_000
"""Latencies of a model that quantiles are computed of: all of them up to here, then a random choice."""
MOST_MODELS = 1_000
MOST_MESSAGES = 1_000


class ModelSummary(Frozen):
    """One model's rows."""

    provider: str
    model: str
    rows: int
    ok: int
    warning: int
    error: int
    latency_p50_s: float | None
    latency_p95_s: float | None
    prompt_tokens: int
    """Sum over the rows whose provider counted."""
    completion_tokens: int
    counted: int
    """How many rows those are."""
    cost_usd: float | None
    """Sum over the rows whose cost is known; None: of none."""
    unpriced: int
    """Answered rows whose cost is unknown."""
    attempts: int

    @property
    def name(self) -> str:
        """Provider and model."""
        return f"{self.provider}/{self.model}"

    @property
    def answered(self) -> int:
        """Rows with an answer."""
        return self.ok + self.warning


class ExperimentReport(Frozen):
    """What became of an experiment."""

    schema_version: Literal[1] = 1
    run: str
    rows: int
    ok: int
    warning: int
    error: int
    earlier: int
    """Rows that an earlier run had finished."""
    models: tuple[ModelSummary, ...]
    messages: tuple[tuple[str, int], ...] = ()
    """What was said of rows that failed or were warned of, and how often; the commonest."""
    outputs: tuple[str, ...]
    rows_file: str
    left_out: int = 0
    """Lines of the file of rows that cannot be read here, as a newer Trigpoint wrote them."""
    page: str = ""

    @property
    def exit_code(self) -> int:
        """0: every row has an answer. 1: some have none, or lines of the file were left out. 2: none has."""
        if self.ok + self.warning == 0:
            return 2
        return 1 if self.ok + self.warning < self.rows or self.left_out else 0

    def sentence(self) -> str:
        """The run in one sentence, for the state's message."""
        parts = [f"{self.ok} ok"]
        parts += [f"{self.warning} with a warning"] if self.warning else []
        parts += [f"{self.error} failed"] if self.error else []
        left = self.rows - self.ok - self.warning - self.error
        parts += [f"{left} open"] if left else []
        return f"{several(self.rows, 'row')}: {', '.join(parts)}"

    def table(self) -> list[dict[str, Any]]:
        """Rows for a table artifact."""
        return [
            {
                "model": each.name, "rows": each.rows, "ok": each.ok, "warning": each.warning, "error": each.error,
                "latency p50 (s)": _rounded(each.latency_p50_s), "latency p95 (s)": _rounded(each.latency_p95_s),
                "prompt tokens": each.prompt_tokens, "completion tokens": each.completion_tokens,
                "cost (US$)": cost_words(each), "requests": each.attempts,
            }
            for each in self.models
        ]  # fmt: skip


def cost_words(model: ModelSummary) -> str:
    """What a model's rows cost, for people; what is unknown is said to be."""
    if model.cost_usd is None:
        return "unknown" if model.answered else "–"
    known = f"{model.cost_usd:.4f}" if 0 < model.cost_usd < 1 else f"{model.cost_usd:.2f}"
    return f"{known} + unknown" if model.unpriced else known


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


class _Tally:
    """Sums over a model's rows as they pass."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()
        self.cost, self.priced = 0.0, 0
        self._latencies = array("d")
        self._seen = 0
        self._dice = random.Random(0)

    def add(self, result: Result) -> None:
        self.states[result.status] += 1
        self.sums["attempts"] += result.attempts or 0
        if not result.finished:
            return
        if result.prompt_tokens is not None and result.completion_tokens is not None:
            self.sums["counted"] += 1
            self.sums["prompt"] += result.prompt_tokens
            self.sums["completion"] += result.completion_tokens
        if result.cost_usd is not None:
            self.cost, self.priced = self.cost + result.cost_usd, self.priced + 1
        if result.latency_s is not None:
            self._sample(result.latency_s)

    def _sample(self, latency_s: float) -> None:
        self._seen += 1
        if len(self._latencies) < MOST_SAMPLED:
            self._latencies.append(latency_s)
        elif (at := self._dice.randrange(self._seen)) < MOST_SAMPLED:
            self._latencies[at] = latency_s

    def summary(self, provider: str, model: str) -> ModelSummary:
        answered = self.states["ok"] + self.states["warning"]
        found = np.quantile(self._latencies, [0.5, 0.95]).tolist() if self._latencies else [None, None]
        return ModelSummary(
            provider=provider, model=model, rows=self.states.total(), ok=self.states["ok"],
            warning=self.states["warning"], error=self.states["error"],
            latency_p50_s=found[0], latency_p95_s=found[1],
            prompt_tokens=self.sums["prompt"], completion_tokens=self.sums["completion"], counted=self.sums["counted"],
            cost_usd=self.cost if self.priced else None, unpriced=answered - self.priced,
            attempts=self.sums["attempts"],
        )  # fmt: skip


class Comparison:
    """Results as they pass by, summed up by model; what it keeps does not grow with the rows."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], _Tally] = {}
        self._messages: Counter[str] = Counter()

    def add(self, result: Result) -> None:
        """Take a result in."""
        place = (result.provider, result.model)
        if place not in self._models and len(self._models) >= MOST_MODELS:
            place = ("…", "further models")
        self._models.setdefault(place, _Tally()).add(result)
        message = result.error_message
        if message and (message in self._messages or len(self._messages) < MOST_MESSAGES):
            self._messages[message] += 1

    def report(
        self, run: str, *, rows: int, earlier: int, outputs: Sequence[str], rows_file: str, left_out: int = 0
    ) -> ExperimentReport:
        """What it comes to.

        Args:
            run: The run's name.
            rows: Rows of the experiments.
            earlier: Those that an earlier run had finished.
            outputs: The tables.
            rows_file: The file of rows.
            left_out: Rows of it that a newer Trigpoint wrote.
        """
        models = tuple(tally.summary(*place) for place, tally in self._models.items())
        return ExperimentReport(
            run=run, rows=rows, earlier=earlier, models=models, outputs=tuple(outputs), rows_file=rows_file,
            left_out=left_out,
            ok=sum(each.ok for each in models), warning=sum(each.warning for each in models),
            error=sum(each.error for each in models), messages=tuple(self._messages.most_common(10)),
        )  # fmt: skip
