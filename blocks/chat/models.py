"""What crosses the model client's border: messages, sampling, request and reply."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import AwareDatetime, Field

from blocks.frozen import Frozen


class ToolCall(Frozen):
    """A native tool call; `arguments` is the raw string exactly as the model emitted it."""

    id: str
    name: str
    arguments: str


class Message(Frozen):
    """One chat message, OpenAI form."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    reasoning: str | None = None
    """Reasoning content some providers return beside the answer; kept in the record, never sent back."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class Sampling(Frozen):
    """Every sampling parameter that changes an answer. None: not sent, the provider's default."""

    temperature: Annotated[float | None, Field(ge=0, le=2)] = 0.7
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    max_tokens: Annotated[int | None, Field(ge=1)] = 2048
    seed: int | None = None
    stop: tuple[str, ...] = ()


class Tool(Frozen):
    """A tool offered to the model, JSON-schema parameters."""

    name: str
    description: str
    parameters: dict[str, Any]


class ChatRequest(Frozen):
    """One model call: all of it, but for the address, is in the journal key."""

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    sample_index: Annotated[int, Field(ge=0)] = 0
    """Tells apart independent samples of the same messages (trace number)."""


class Usage(Frozen):
    """Tokens and money of one call, as the provider reported them. None: not reported, never guessed."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    requests: int = 1
    """HTTP requests this call took, retries included."""


class ChatReply(Frozen):
    """The model's answer to a request."""

    key: str
    """The journal key of the call."""
    message: Message
    finish_reason: str
    usage: Usage
    model: str
    """The model the provider says answered."""
    latency_s: float
    replayed: bool = False
    """True when the journal answered."""
    answered_at: AwareDatetime | None = None
    """When the answer came, UTC: of one from the journal, when it came there."""


class ListedModel(Frozen):
    """A model as its provider lists it; None: not said."""

    id: str
    """The name to ask it by."""
    window: int | None = None
    """Tokens its context holds."""
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    about: str = Field(default="", description="what the provider says of it, in a few words")


class ChatClient(Protocol):
    """What the rooms need of a model client."""

    async def complete(self, request: ChatRequest) -> ChatReply:
        """Answer the request, from the journal when it has been answered before.

        Raises:
            blocks.chat.errors.ChatError: Every way a call can fail, typed.
        """
        ...
