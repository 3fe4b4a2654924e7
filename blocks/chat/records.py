"""The journal record: one answered model call, whole."""

from __future__ import annotations

import json
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field

from blocks.chat.keys import call_key
from blocks.chat.models import ChatReply, ChatRequest, Message, Usage
from blocks.chat.prices import Price
from blocks.frozen import Frozen


class JournalRecord(Frozen):
    """What was asked, what came back and what it took. One line of an exported journal."""

    schema_version: Literal[1] = 1
    key: str
    created_at: AwareDatetime
    """When the answer came, UTC."""
    endpoint: str
    provider: str
    request: ChatRequest
    """As sent: without the reasoning of earlier turns."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Parameters sent beside the request's own; part of the key."""
    message: Message
    finish_reason: str
    model: str
    """The model the provider says answered."""
    usage: Usage
    price: Price | None = None
    """The user's price that `usage.cost_usd` was worked out with; None: the provider's own figure, or unknown."""
    latency_s: float
    """From sending the request that was answered to the last byte of the answer."""
    raw: str = ""
    """The body of the provider's reply, secrets struck out."""

    def reply(self, *, replayed: bool) -> ChatReply:
        """The reply a caller gets."""
        return ChatReply(
            key=self.key,
            message=self.message,
            finish_reason=self.finish_reason,
            usage=self.usage,
            model=self.model,
            latency_s=self.latency_s,
            replayed=replayed,
            answered_at=self.created_at,
        )

    def is_whole(self) -> bool:
        """Whether the key is that of the request: False when one of them was edited."""
        return self.key == call_key(self.endpoint, self.request, self.extra)

    def line(self) -> str:
        """The record as a line of an exported journal: JSON, fields in the order of this class, no line end."""
        fields = self.model_dump(mode="json")
        for message in [*fields["request"]["messages"], fields["message"]]:
            for name in ("reasoning", "tool_calls", "tool_call_id"):
                if not message[name]:
                    del message[name]
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str | bytes) -> Self:
        """Reads a line.

        Raises:
            ValueError: It is no record.
        """
        return cls.model_validate_json(line)
