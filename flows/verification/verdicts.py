"""Verdicts: what was decided about a question's answer, and on which votes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field

from blocks.frozen import Frozen
from flows.answers.answers import Answer
from flows.answers.tiers import Tier

Outcome = Literal["answered", "no_answer", "failed", "budget", "error"]
"""How a trace ended, as far as a vote is concerned.

answered: it submitted an answer. no_answer: it ran to its end and submitted none. failed: its code failed to the end.
budget: the budget cut it off, or kept it from being launched. error: something that is not its own fault cut it off
(the provider, the sandbox).
"""

VerdictName = Literal["verified", "ambiguous", "hint_misleading", "too_hard", "execution_failed", "budget", "mismatch"]


CUT_BY_LENGTH = "max_tokens cut every reply off"
"""Why a trace has no answer, where that is so."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """How one trace ended, with its answer if it gave one.

    Attributes:
        outcome: How it ended.
        answer: Its answer; given exactly when the outcome is `answered`.
        detail: More about the end, one sentence for people; may be empty.

    Raises:
        ValueError: An answer without the outcome `answered`, or that outcome without an answer.
    """

    outcome: Outcome
    answer: Answer | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if (self.outcome == "answered") != (self.answer is not None):
            raise ValueError("a ballot has an answer exactly when its outcome is 'answered'")

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """The ballot of a trace that submitted an answer.

        An answer that cannot be one (of another kind than the question asks for, None, or not comparable) is a vote for
        nothing: the ballot says `no_answer` and why.
        """
        if answer.usable:
            return cls("answered", answer)
        return cls("no_answer", detail=answer.problem)


class Votes(Frozen):
    """The independent traces, counted."""

    agree: Annotated[
        int, Field(ge=0, description="traces in the gold answer's cluster; without a gold trace, in the largest")
    ]
    answered: Annotated[int, Field(ge=0, description="traces that gave a usable answer")]
    no_answer: Annotated[int, Field(ge=0, description="traces that ended without one")] = 0
    failed: Annotated[int, Field(ge=0, description="traces whose code failed to the end")] = 0
    cut_off: Annotated[int, Field(ge=0, description="traces cut off by budget, provider or sandbox")] = 0
    launched: Annotated[int, Field(ge=0, description="traces launched")]
    planned: Annotated[int, Field(ge=0, description="traces the rule asks for; the quorum is over these")]


class AnswerCluster(Frozen):
    """Answers that all match each other."""

    members: Annotated[tuple[int, ...], Field(description="indices of the independent traces, from 0")]
    has_gold: Annotated[bool, Field(description="whether a gold answer or a reference matches every member")]
    answer: Annotated[str, Field(description="the representative, rendered")]
    tier: Annotated[Tier, Field(description="the loosest match between two members, the gold answer included")]


class Verdict(Frozen):
    """What was decided about a question's answer."""

    schema_version: Literal[1] = 1
    verdict: VerdictName
    explanation: Annotated[str, Field(description="one sentence for people")]
    votes: Votes
    quorum: Annotated[int, Field(ge=0, description="traces that must agree; 0 where a reference decides")]
    clusters: tuple[AnswerCluster, ...] = ()
    gold: Annotated[
        str | None, Field(description="the gold answer or the reference, rendered; none among equal traces")
    ] = None
    tier: Annotated[Tier, Field(description="how closely the agreeing answers match; none unless verified")] = "none"
    traces_saved: Annotated[int, Field(ge=0, description="planned traces that need not be launched")] = 0
    comparator_version: str

    @property
    def verified(self) -> bool:
        """Whether the answer may be trusted."""
        return self.verdict == "verified"
