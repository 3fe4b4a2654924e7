"""What a batch of questions is made by, where, and what comes of it: recipe, workplace, batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from blocks.chat.models import ChatClient
from blocks.frozen import Frozen
from blocks.sandboxes import SandboxLimits
from flows.answers.comparator import COMPARATOR_VERSION
from flows.generation.prompts import explore_system, explore_tools, prompt_id
from flows.generation.records import Exploration, Rewording
from flows.generation.vetting import Naming
from flows.questions.contamination import Benchmarks
from flows.questions.programs.grammar import VERSION as GRAMMAR_VERSION
from flows.questions.proving import Bars, Refusal
from flows.questions.records import Difficulty, Question, content_key
from flows.questions.templates import CATALOGUE_VERSION
from flows.tables.dataset import Dataset
from flows.tables.profiling import DatasetProfile
from flows.verification.attempts import TraceConfig, UsageTotals
from flows.verification.solving import OpenSession

Source = Literal["template", "program", "llm"]
SHARES: dict[Difficulty, float] = {"easy": 0.3, "medium": 0.3, "hard": 0.2, "very_hard": 0.2}
"""How a choice is spread over difficulties, where each has enough."""
LLM_VERSION = "2"
"""Goes up when what is accepted from a model changes."""
_VERSIONS: dict[Source, int | str] = {"template": CATALOGUE_VERSION, "program": GRAMMAR_VERSION, "llm": LLM_VERSION}


class Asking(Frozen):
    """How a model is asked for questions and wordings; all of it that changes an answer is part of the batch's key."""

    trace: Annotated[TraceConfig, Field(description="how the model acts, here and in round trips")]
    endpoint: Annotated[str, Field(description="where the model is, as the client names it")]
    turns: Annotated[int, Field(ge=3, le=100, description="replies of one exploration")] = 16
    at_once: Annotated[int, Field(ge=1, le=50, description="questions asked of one exploration")] = 15
    naming: Annotated[Naming, Field(description="how questions may name columns")] = "plain"
    wordings: Annotated[int, Field(ge=1, le=10, description="wordings tried for a question")] = 3


class Recipe(Frozen):
    """Everything that decides which questions a source makes of a dataset."""

    source: Source
    seed: Annotated[int, Field(ge=0)] = 0
    most: Annotated[int, Field(ge=1, description="questions kept")] = 40
    bars: Bars = Bars()
    asking: Annotated[Asking | None, Field(description="for the source llm: which model, and how")] = None

    def key(
        self,
        dataset_key: str,
        image_digest: str,
        benchmarks: Benchmarks | None,
        others: tuple[Question, ...] = (),
        told: str = "",
    ) -> str:
        """Identity of the outcome: equal keys, equal questions.

        Args:
            dataset_key: The dataset's `content`.
            image_digest: What the sandbox is made of.
            benchmarks: Questions that none may repeat.
            others: Questions of other sources that a model's may not repeat either.
            told: `told_digest` of what the model is told, where one is asked.
        """
        parts: list[Any] = [
            "generation/1",
            dataset_key,
            self.model_dump(mode="json", exclude_none=True),
            _VERSIONS[self.source],
            image_digest,
            COMPARATOR_VERSION,
            benchmarks.key if benchmarks is not None else None,
        ]
        if self.asking is not None:
            parts.append(prompt_id("explore", self.asking.trace).sha256)
            parts.append(sorted(each.text for each in others))
            parts.append(told)
        return content_key(*parts)


class Batch(Frozen):
    """What one source made of one dataset."""

    schema_version: Literal[1] = 1
    key: str
    source: Source
    proposed: Annotated[int, Field(ge=0)]
    questions: tuple[Question, ...]
    refused: tuple[Refusal, ...]
    explorations: tuple[Exploration, ...] = ()
    """The conversations that questions of the source llm come from."""
    rewordings: tuple[Rewording, ...] = ()
    """How questions were put into other words, where a model was asked to."""

    @property
    def usage(self) -> UsageTotals | None:
        """The model calls that went into it; None where no model was asked."""
        parts = [*(each.usage for each in self.explorations), *(each.usage for each in self.rewordings)]
        return reduce(UsageTotals.plus, parts) if parts else None


class Workplace(NamedTuple):
    """Where candidates are proven.

    Attributes:
        dataset: The dataset.
        profile: Its profile.
        open_session: Opens fresh sessions of its sandbox; may wait for a free one.
        parallel: Candidates at once.
        advance: Told of each candidate that is decided, with how many there are.
        client: The model, where one was named.
    """

    dataset: Dataset
    profile: DatasetProfile
    open_session: OpenSession
    parallel: int
    advance: Callable[[int], None]
    client: ChatClient | None = None


def told_digest(asking: Asking, dataset: Dataset, profile: DatasetProfile, limits: SandboxLimits) -> str:
    """Of what a model is told of a table before it begins, as it is sent, and of what its code may use.

    Args:
        asking: Which model, and how.
        dataset: The dataset, with what was noticed when it was read.
        profile: Its profile.
        limits: What sessions of its sandbox may use.
    """
    system = explore_system(dataset, profile, asking.trace, asking.naming)
    tools = [tool.model_dump(mode="json") for tool in explore_tools(asking.trace)]
    return content_key("told/1", system, tools, limits.deciding())


def quotas(available: dict[Difficulty, int], most: int) -> dict[Difficulty, int]:
    """How many of each difficulty: shares by largest remainder, then one by one to whoever has some left.

    Args:
        available: How many there are of each.
        most: How many at most in all.
    """
    exact = {level: most * share for level, share in SHARES.items()}
    found = {level: int(share) for level, share in exact.items()}
    for level in sorted(exact, key=lambda level: found[level] - exact[level])[: most - sum(found.values())]:
        found[level] += 1
    found = {level: min(quota, available[level]) for level, quota in found.items()}
    while sum(found.values()) < min(most, sum(available.values())):
        for level in SHARES:
            if found[level] < available[level] and sum(found.values()) < most:
                found[level] += 1
    return found
