"""The options of a question run: what may be chosen, with bounds and defaults, as form and command line show it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from blocks.frozen import Frozen
from flows.questions.contamination import DEFAULT_WORDS
from flows.questions.generating import Recipe, Source
from flows.questions.proving import Bars
from flows.runs.options import SandboxOptions


class _Choosing(Frozen):
    """Which questions are made."""

    source: Annotated[
        tuple[Source, ...], Field(min_length=1, description="where questions come from, in the order of the file")
    ] = ("template", "program")
    per_source: Annotated[int, Field(ge=1, le=10_000, description="questions kept of each source and dataset")] = 40
    seed: Annotated[int, Field(ge=0, description="same seed, same data, same questions")] = 0
    benchmarks: Annotated[
        str | None, Field(description="folder of benchmark questions; what shares words with one is left out")
    ] = None
    benchmark_words: Annotated[
        int, Field(ge=3, le=50, description="words in a row that two questions may not share")
    ] = DEFAULT_WORDS
    min_rows: Annotated[int, Field(ge=1, description="rows an answer must rest on")] = 30
    min_margin: Annotated[
        float, Field(ge=0, le=1, description="gap of winner and runner-up, relative to the larger")
    ] = 0.02
    max_p_value: Annotated[float, Field(gt=0, le=1, description="of a test whose outcome is asked for")] = 0.05
    parallel_programs: Annotated[int, Field(ge=1, le=64, description="programs of a dataset at once")] = 4


class QuestionOptions(SandboxOptions, _Choosing):
    """How questions are generated."""

    def recipes(self) -> list[Recipe]:
        """One per source, each once."""
        bars = Bars(
            min_rows=self.min_rows,
            min_margin=self.min_margin,
            max_p_value=self.max_p_value,
            timeout_s=self.cell_timeout,
        )
        return [
            Recipe(source=source, seed=self.seed, most=self.per_source, bars=bars)
            for source in dict.fromkeys(self.source)
        ]

    def sessions(self) -> int:
        """One for each program at once, and one for the profile."""
        return 1 + self.parallel_programs
