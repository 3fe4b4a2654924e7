"""The options of a question run: what may be chosen, with bounds and defaults, as form and command line show it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from blocks.commas import COMMAS
from blocks.sandboxes.reading import NO_RULES
from flows.generation.exploring import AT_ONCE as EXPLORATIONS_AT_ONCE
from flows.generation.recipes import Asking, Recipe, Source
from flows.generation.vetting import Naming
from flows.questions.contamination import DEFAULT_WORDS
from flows.questions.proving import Bars
from flows.runs.options import ModelOptions, SandboxOptions
from flows.tables.reading import Reading


class _Choosing(ModelOptions):
    """Which questions are made, and whose words they are in."""

    # A reply may propose a dozen questions with their programs.
    max_tokens: Annotated[int, Field(ge=16, description="tokens of one reply")] = 8192
    source: Annotated[
        tuple[Source, ...],
        COMMAS,
        Field(min_length=1, description="where questions come from, in the order of the file; commas may part them"),
    ] = ("template", "program")
    per_source: Annotated[int, Field(ge=1, le=10_000, description="questions kept of each source and dataset")] = 40
    wording: Annotated[
        Literal["auto", "plain", "model"],
        Field(description="of template and program questions; auto: a model's where one is named, else plain"),
    ] = "auto"
    naming: Annotated[
        Naming, Field(description="columns in a model's words: plain words for them, never named, or any way")
    ] = "plain"
    explore_turns: Annotated[int, Field(ge=3, le=100, description="replies of a model that looks for questions")] = 16
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

    reading: Reading = NO_RULES

    @property
    def asks_a_model(self) -> bool:
        """Whether any part of the run needs one."""
        return "llm" in self.source or self.rewords

    @property
    def rewords(self) -> bool:
        """Whether template and program questions are put into a model's words."""
        has_plain = any(source != "llm" for source in self.source)
        return has_plain and (self.wording == "model" or (self.wording == "auto" and self.model is not None))

    def recipes(self, asking: Asking | None = None) -> list[Recipe]:
        """One per source, each once; what a model makes comes last, and does not repeat the others.

        Args:
            asking: How the model is asked, where there is one.
        """
        bars = Bars(
            min_rows=self.min_rows,
            min_margin=self.min_margin,
            max_p_value=self.max_p_value,
            timeout_s=self.cell_timeout,
        )
        return [
            Recipe(
                source=source, seed=self.seed, most=self.per_source, bars=bars,
                asking=asking if source == "llm" else None,
            )
            for source in sorted(dict.fromkeys(self.source), key="llm".__eq__)
        ]  # fmt: skip

    def asking(self, model: str, endpoint: str) -> Asking:
        """How the model is asked.

        Args:
            model: As its provider names it.
            endpoint: Where it is.
        """
        trace = self.trace_config(model, self.sampling(), self.cell_timeout)
        return Asking(trace=trace, endpoint=endpoint, turns=self.explore_turns, naming=self.naming)

    def sessions(self) -> int:
        """One for each program at once, one for each exploration, and one for the profile."""
        return 1 + self.parallel_programs + (EXPLORATIONS_AT_ONCE if self.asks_a_model else 0)
