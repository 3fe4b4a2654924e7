"""The record of one attempt at a question: the whole conversation, the turns read from it, and how it ended."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from blocks.chat.models import ChatReply, Message, Sampling, ToolCall, Usage
from blocks.frozen import Frozen
from blocks.sandboxes.models import CellError, CellResult, CellStatus, Note, TaggedValue

Role = Literal["gold", "independent", "reference"]
Outcome = Literal["answered", "no_answer", "code_failed", "no_code", "context_overflow", "model_error", "sandbox_lost"]
"""answered: a cell that ended well submitted. no_answer: code ran, its last cell ended well, nothing was submitted.
code_failed: the attempt ended on a cell that failed. no_code: no reply held code. The rest name what broke off the
attempt from outside: no answer of the model, and so nothing that a verdict could rest on."""
EndedBy = Literal[
    "submission", "turn_limit", "rejection_limit", "program_end", "context_overflow", "model_error", "sandbox_lost"
]
RejectionReason = Literal["no_code", "empty_code", "cut_off", "bad_call", "unknown_tool"]
Via = Literal["block", "tool", "program"]


class TraceConfig(Frozen):
    """How attempts are made: everything here that changes an answer is part of the episode key."""

    model: str
    sampling: Sampling = Sampling()
    style: Annotated[Literal["full", "compact"], Field(description="prompt style; compact suits small models")] = "full"
    act: Annotated[
        Literal["block", "tool"],
        Field(description="how the model is asked to act; a code block and a native tool call are accepted either way"),
    ] = "block"
    max_turns: Annotated[int, Field(ge=1, le=100, description="replies of the model per attempt")] = 10
    max_rejected: Annotated[int, Field(ge=1, description="replies without code after which an attempt ends")] = 3
    cell_timeout_s: Annotated[
        float | None, Field(gt=0, description="wall clock of a cell, seconds; empty: the sandbox's own limit")
    ] = None
    feedback_chars: Annotated[int, Field(ge=200, description="characters of a cell's result shown to the model")] = (
        6_000
    )
    context_chars: Annotated[
        int, Field(ge=1_000, description="characters of conversation sent per call; older turns are left out")
    ] = 60_000
    profile_chars: Annotated[int, Field(ge=200, description="characters of the table's profile in the prompt")] = 6_000
    notes: Annotated[bool, Field(description="ask for note() checkpoints (full style only)")] = True

    @classmethod
    def compact(cls, model: str, sampling: Sampling | None = None) -> TraceConfig:
        """The configuration for small models: short prompt, short feedback, few turns."""
        return cls(
            model=model,
            sampling=sampling or Sampling(temperature=0.7, max_tokens=256),
            style="compact",
            max_turns=5,
            feedback_chars=1_000,
            context_chars=9_000,
            profile_chars=900,
            notes=False,
        )


class PromptId(Frozen):
    """Which prompt was used: its style, version, and the sha256 of all its texts."""

    style: str
    version: str
    sha256: str


class CallFacts(Frozen):
    """What is known of the model call behind an assistant message."""

    key: str
    """The journal key: it covers everything that was sent."""
    model: str
    finish_reason: str
    usage: Usage
    latency_s: float
    replayed: bool

    @classmethod
    def of(cls, reply: ChatReply) -> CallFacts:
        """The facts of a reply."""
        return cls(
            key=reply.key,
            model=reply.model,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            latency_s=reply.latency_s,
            replayed=reply.replayed,
        )


class RecordedMessage(Frozen):
    """One message of the conversation, OpenAI form, exactly as emitted or composed, plus what ties it together."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    turn: int = 0
    """The turn this message belongs to; 0 for the system prompt and the task."""
    answers: str | None = None
    """The id of the call whose result this message gives, also where the call was a code block."""
    call: CallFacts | None = None
    hint_span: tuple[int, int] | None = None
    """Where in `content` the hint stands, for leaving it out of training data."""

    @classmethod
    def of(cls, reply: ChatReply, turn: int) -> RecordedMessage:
        """The message of a reply.

        Args:
            reply: The model's.
            turn: The turn it begins.
        """
        message = reply.message
        return cls(
            role="assistant",
            content=message.content,
            reasoning=message.reasoning,
            tool_calls=message.tool_calls,
            turn=turn,
            call=CallFacts.of(reply),
        )

    def message(self) -> Message:
        """The bare message."""
        return Message(
            role=self.role,
            content=self.content,
            reasoning=self.reasoning,
            tool_calls=self.tool_calls,
            tool_call_id=self.tool_call_id,
        )


class Figure(Frozen):
    """A figure a cell drew: kept by its hash, not by its bytes."""

    sha256: str
    bytes: int


class CellRecord(Frozen):
    """A cell's result as an episode keeps it: everything but the figures' bytes."""

    cell: int
    status: CellStatus
    reason: str = ""
    namespace_kept: bool
    stdout: str = ""
    stderr: str = ""
    stdout_dropped: int = 0
    stderr_dropped: int = 0
    value: str | None = None
    value_truncated: bool = False
    error: CellError | None = None
    figures: tuple[Figure, ...] = ()
    submission: TaggedValue | None = None
    notes: tuple[Note, ...] = ()
    events_dropped: int = 0
    wall_s: float
    cpu_s: float
    peak_bytes: int

    @classmethod
    def of(cls, result: CellResult) -> CellRecord:
        """The record of a result."""
        figures = tuple(Figure(sha256=hashlib.sha256(png).hexdigest(), bytes=len(png)) for png in result.figures)
        data = {name: getattr(result, name) for name in cls.model_fields if name not in ("figures", "submission")}
        submission = result.submission.value if result.submission is not None else None
        return cls(**data, figures=figures, submission=submission)


class Correction(Frozen):
    """How a turn answers a failure: filled on the first turn with code after a cell that failed."""

    corrects_turn: int
    error_kind: str
    """The exception's name, or the cell's status where there was no exception."""
    message: str
    attempts_since_error: int
    """1 for the first new attempt since code last ran well, and so on."""
    diff: str
    """Unified diff from the failed code to this turn's."""
    resolved: bool
    """Whether this turn's cell ended well."""


class GroundedNote(Frozen):
    """A checkpoint note, and whether its code line really ran."""

    name: str
    value: TaggedValue
    code_line: str
    depends_on: tuple[str, ...]
    grounded: bool
    reason: str = ""
    """Why it is not grounded."""
    unknown_dependencies: tuple[str, ...] = ()
    """Names in depends_on that no earlier note of the attempt has."""


class Turn(Frozen):
    """One reply of the model, or the one run of a reference program."""

    index: int
    """From 1."""
    reply_at: int | None = None
    """Position of the reply in `messages`; None for a program."""
    window_from: int = 1
    """The earliest turn whose messages were sent with this call."""
    thinking: str = ""
    reasoning: str = ""
    """The reply's prose, without thinking and code."""
    via: Via | None = None
    call_id: str | None = None
    blocks: int = 0
    """Code blocks or tool calls that were joined into the cell."""
    code: str | None = None
    rejected: RejectionReason | None = None
    cell: CellRecord | None = None
    correction: Correction | None = None
    notes: tuple[GroundedNote, ...] = ()


class UsageTotals(Frozen):
    """Sums over calls. A None sum: no call reported it; nothing is guessed."""

    calls: int = 0
    replayed: int = 0
    """Calls the journal answered; their tokens and cost are in the sums, but were paid earlier."""
    requests: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None

    @classmethod
    def of(cls, calls: Iterable[CallFacts]) -> UsageTotals:
        """The sums over the calls."""
        facts = list(calls)
        return cls(
            calls=len(facts),
            replayed=sum(call.replayed for call in facts),
            requests=sum(call.usage.requests for call in facts),
            prompt_tokens=_sum(call.usage.prompt_tokens for call in facts),
            completion_tokens=_sum(call.usage.completion_tokens for call in facts),
            cached_tokens=_sum(call.usage.cached_tokens for call in facts),
            reasoning_tokens=_sum(call.usage.reasoning_tokens for call in facts),
            cost_usd=_float_sum(call.usage.cost_usd for call in facts),
        )

    def plus(self, other: UsageTotals) -> UsageTotals:
        """The sums of both."""
        sums = {name: (getattr(self, name), getattr(other, name)) for name in type(self).model_fields}
        return UsageTotals(
            **{name: None if a is None and b is None else (a or 0) + (b or 0) for name, (a, b) in sums.items()}
        )


class TraceError(Frozen):
    """What broke an attempt off from outside."""

    kind: str
    """The error's class name."""
    message: str
    remedy: str = ""
    users: bool = False
    """Whether it is the user's to mend."""

    @property
    def sentences(self) -> str:
        """What broke it off, and what can be done."""
        return f"{self.message} {self.remedy}".rstrip()


class Trace(Frozen):
    """One attempt, whole."""

    schema_version: Literal[1] = 1
    role: Role
    index: int
    """The sample index: 0 for a gold trace, which there is only where a hint is, from 1 for the independent ones."""
    hinted: bool = False
    model: str | None = None
    """The model asked; None for a reference program. What answered is on each message."""
    sampling: Sampling | None = None
    prompt: PromptId | None = None
    messages: tuple[RecordedMessage, ...] = ()
    turns: tuple[Turn, ...] = ()
    outcome: Outcome
    ended_by: EndedBy
    error: TraceError | None = None
    answer: TaggedValue | None = None
    """The submitted value; None unless the outcome is answered."""
    usage: UsageTotals = UsageTotals()
    started: datetime
    ended: datetime

    @classmethod
    def without_sandbox(cls, role: Role, index: int, error: TraceError) -> Trace:
        """An attempt that never began, because no session could be had."""
        now = datetime.now(UTC)
        return cls(
            role=role, index=index, outcome="sandbox_lost", ended_by="sandbox_lost", error=error, started=now, ended=now
        )

    @property
    def answered(self) -> bool:
        """Whether an answer stands."""
        return self.outcome == "answered"

    @property
    def broken_off(self) -> bool:
        """Whether the attempt ended for a reason outside it, so that it says nothing about the question."""
        return self.outcome in ("context_overflow", "model_error", "sandbox_lost")

    @property
    def rejected(self) -> int:
        """Replies that held no runnable code."""
        return sum(turn.rejected is not None for turn in self.turns)

    @property
    def cut_by_length(self) -> bool:
        """Whether every reply reached the most tokens that an answer may have."""
        calls = [message.call for message in self.messages if message.call is not None]
        return bool(calls) and all(call.finish_reason == "length" for call in calls)

    @property
    def cells(self) -> tuple[CellRecord, ...]:
        """The cells that ran, in order."""
        return tuple(turn.cell for turn in self.turns if turn.cell is not None)

    @property
    def notes(self) -> tuple[GroundedNote, ...]:
        """All checkpoint notes, in order."""
        return tuple(note for turn in self.turns for note in turn.notes)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _float_sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
