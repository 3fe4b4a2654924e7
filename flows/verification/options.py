"""The options of an episode run: what may be chosen, with bounds and defaults, as form and command line show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from blocks.chat.models import Sampling
from blocks.frozen import Frozen
from blocks.specs import ModelSpec
from flows.runs.options import SandboxOptions
from flows.verification.attempts import TraceConfig
from flows.verification.solving import SolveConfig
from flows.verification.triangulation import TriangulationRule


class _Asking(Frozen):
    """How a model is asked."""

    model: Annotated[
        str | None,
        Field(description="openrouter/VENDOR/MODEL, openai/MODEL, ollama/MODEL, or a plain name with --base-url"),
    ] = None
    base_url: Annotated[str | None, Field(description="an OpenAI-compatible endpoint, http(s)://HOST/v1")] = None
    offline: Annotated[bool, Field(description="answer from the journal only; a missing call is an error")] = False
    temperature: Annotated[float, Field(ge=0, le=2, description="sampling temperature")] = 0.7
    top_p: Annotated[float | None, Field(gt=0, le=1, description="nucleus sampling; empty: the provider's")] = None
    max_tokens: Annotated[int, Field(ge=16, description="tokens of one reply")] = 2048
    seed: Annotated[int | None, Field(ge=0, description="sampling seed; each trace adds its number to it")] = None
    prompt: Annotated[Literal["full", "compact"], Field(description="compact suits small models")] = "full"
    act: Annotated[Literal["block", "tool"], Field(description="code as a block or as a native tool call")] = "block"
    max_turns: Annotated[int, Field(ge=1, le=100, description="replies per trace")] = 10
    traces: Annotated[
        int | None,
        Field(
            ge=2, le=16, description="independent traces per question; empty: 3 easy and medium, 5 hard, 6 very hard"
        ),
    ] = None
    stop_early: Annotated[
        bool, Field(description="launch traces in waves and stop when no further one could change the verdict")
    ] = True
    parallel_questions: Annotated[int, Field(ge=1, le=256, description="questions of a dataset at once")] = 4
    parallel_calls: Annotated[int, Field(ge=1, le=1024, description="model calls under way at once")] = 8


class EpisodeOptions(SandboxOptions, _Asking):
    """How questions are answered and verified. The model's options come first in forms and in --help."""

    def solve_config(self, model: str) -> SolveConfig:
        """The part that changes answers, for a model as its provider names it."""
        sampling = Sampling(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens, seed=self.seed)
        base = TraceConfig.compact(model, sampling) if self.prompt == "compact" else TraceConfig(model=model)
        trace = base.model_copy(
            update={
                "sampling": sampling,
                "act": self.act,
                "max_turns": self.max_turns,
                "cell_timeout_s": self.cell_timeout,
            }
        )
        rule = TriangulationRule(waves=self.stop_early)
        if self.traces is not None:
            counts = dict.fromkeys(("easy", "medium", "hard", "very_hard"), self.traces)
            rule = TriangulationRule(waves=self.stop_early, **counts)
        return SolveConfig(trace=trace, rule=rule)

    def model_spec(self, recorded: Path) -> ModelSpec:
        """The model; offline, a recorded journal may answer too."""
        replay = (recorded,) if self.offline and recorded.exists() else ()
        return ModelSpec(self.model or "", self.base_url, self.offline, replay, self.parallel_calls)

    def sessions(self) -> int:
        """Enough for the questions at once, each with a full wave of traces."""
        return min(256, 1 + self.parallel_questions * (self.traces or 6))
