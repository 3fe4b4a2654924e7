"""What is kept of a model's part in making questions: its explorations, and its wordings of what a program asks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from blocks.chat.models import Sampling
from blocks.frozen import Frozen
from flows.questions.proving import Reason
from flows.verification.attempts import CallFacts, CellRecord, PromptId, RecordedMessage, Trace, UsageTotals

ExplorationEnd = Literal["enough", "nothing_more", "turn_limit", "rejection_limit", "context_overflow"]
"""enough: as many questions as wanted were accepted. nothing_more: it said so, or nothing of what it proposed was
accepted any more. The rest cut it short."""


class Decision(Frozen):
    """What became of one proposed question."""

    name: str
    accepted: bool
    reason: Reason | None = None
    detail: str = ""
    """Why it was not accepted, in words the model was told."""


class ExplorationTurn(Frozen):
    """One reply of the model and what was done with it: code that ran, proposals that were judged, or neither."""

    index: Annotated[int, Field(ge=1)]
    reply_at: Annotated[int, Field(ge=0, description="the reply's place among the messages")]
    code: str | None = None
    cell: CellRecord | None = None
    decisions: tuple[Decision, ...] = ()
    rejected: str = ""
    """Why the reply could not be used; empty otherwise."""


class Exploration(Frozen):
    """A conversation in which a model looked at a table and proposed questions; whole, nothing left out."""

    schema_version: Literal[1] = 1
    kind: Literal["exploration"] = "exploration"
    index: Annotated[int, Field(ge=0)]
    model: str
    endpoint: str
    sampling: Sampling
    prompt: PromptId
    messages: tuple[RecordedMessage, ...]
    turns: tuple[ExplorationTurn, ...]
    ended_by: ExplorationEnd
    usage: UsageTotals
    started: datetime
    ended: datetime


class WordingTried(Frozen):
    """One wording and what became of it."""

    text: str
    reason: Literal["kept", "loses", "wording", "contaminated", "duplicate", "another_answer", "no_answer"]
    detail: str = ""
    trace: Annotated[Trace | None, Field(description="the round trip: an attempt from these words alone")] = None


class Rewording(Frozen):
    """How a question was put into a model's words."""

    schema_version: Literal[1] = 1
    kind: Literal["rewording"] = "rewording"
    question: str
    """Id of the question."""
    model: str
    prompt: PromptId
    tried: tuple[WordingTried, ...]
    usage: UsageTotals

    @property
    def kept(self) -> str | None:
        """The wording that passed, if any."""
        return next((each.text for each in self.tried if each.reason == "kept"), None)


def usage_of(messages: Iterable[RecordedMessage]) -> UsageTotals:
    """The sums over the model calls of a conversation."""
    calls: list[CallFacts] = [message.call for message in messages if message.call is not None]
    return UsageTotals.of(calls)
