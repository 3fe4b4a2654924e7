"""The options of an episode run: what may be chosen, with bounds and defaults, as form and command line show it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from blocks.sandboxes.reading import NO_RULES
from flows.runs.options import ModelOptions, SandboxOptions
from flows.tables.reading import Reading
from flows.verification.solving import SolveConfig
from flows.verification.triangulation import TriangulationRule


class _Verifying(ModelOptions):
    """How a model is asked, and its answers verified."""

    seed: Annotated[int | None, Field(ge=0, description="sampling seed; each trace adds its number to it")] = None
    traces: Annotated[
        int | None,
        Field(
            ge=2,
            le=16,
            description="independent traces per question, one more where it has no hint; "
            "empty: 3 easy and medium, 5 hard, 6 very hard",
        ),
    ] = None
    stop_early: Annotated[
        bool, Field(description="launch traces in waves and stop when no further one could change the verdict")
    ] = True
    most_questions: Annotated[
        int | None, Field(ge=1, description="new questions of a dataset in this run, the first ones; empty: all")
    ] = None
    parallel_questions: Annotated[int, Field(ge=1, le=256, description="questions of a dataset at once")] = 4


class EpisodeOptions(SandboxOptions, _Verifying):
    """How questions are answered and verified. The model's options come first in forms and in --help."""

    reading: Reading = NO_RULES

    def solve_config(self, model: str) -> SolveConfig:
        """The part that changes answers, for a model as its provider names it."""
        trace = self.trace_config(model, self.sampling(self.seed), self.cell_timeout)
        rule = TriangulationRule(waves=self.stop_early)
        if self.traces is not None:
            counts = dict.fromkeys(("easy", "medium", "hard", "very_hard"), self.traces)
            rule = TriangulationRule(waves=self.stop_early, **counts)
        return SolveConfig(trace=trace, rule=rule)

    def sessions(self) -> int:
        """Enough for the questions at once, each with a full wave of traces."""
        return min(256, 1 + self.parallel_questions * ((self.traces or 6) + 1))
