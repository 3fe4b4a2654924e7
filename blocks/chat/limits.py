"""Requests and tokens per minute: what fits into the last minute, as plain arithmetic.

A request is counted from the moment the store lets it go. It leaves within `LATEST_S` of that, or is entered anew, and
reaches the server within `JITTER_S` of leaving. So a window that is longer by both never lets more than the limit into
any minute of the server's, whoever is killed meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import Field

from blocks.chat.counts import written_count
from blocks.chat.models import ChatRequest
from blocks.frozen import Frozen

LATEST_S = 2.0
JITTER_S = 1.0
WINDOW_S = 60.0 + LATEST_S + JITTER_S

ANSWER_TOKENS = 4096
"""Taken for the longest answer of a call that names none, where only the server's own limit counts."""
BYTES_PER_TOKEN = 2
"""Fewer than any usual text has, so that a prompt is rather over- than underestimated."""
MESSAGE_TOKENS = 16


class Limits(Frozen):
    """What an account may send in any minute; None: no limit is known."""

    requests_per_minute: Annotated[int | None, Field(ge=1)] = None
    tokens_per_minute: Annotated[int | None, Field(ge=1)] = None

    def tightened(self, learnt: Limits) -> Limits:
        """These, or those the server has told where they are lower."""
        return Limits(
            requests_per_minute=_least(self.requests_per_minute, learnt.requests_per_minute),
            tokens_per_minute=_least(self.tokens_per_minute, learnt.tokens_per_minute),
        )

    def __bool__(self) -> bool:
        return self.requests_per_minute is not None or self.tokens_per_minute is not None


class Used(NamedTuple):
    """What is counted in the window."""

    requests: int
    tokens: int

    def fits(self, limits: Limits, tokens: int) -> bool:
        """Whether another request may go. One that is larger than the limit goes alone."""
        if limits.requests_per_minute is not None and self.requests >= limits.requests_per_minute:
            return False
        allowed = limits.tokens_per_minute
        return allowed is None or self.tokens + tokens <= allowed or not self.tokens

    def plus(self, tokens: int) -> Used:
        """With another request."""
        return Used(self.requests + 1, self.tokens + tokens)


def worst_case(request: ChatRequest) -> tuple[int, int | None]:
    """The tokens of a call at most: of the prompt, estimated from its bytes; of the answer, None when it has no end."""
    texts = sum(len(message.content.encode(errors="replace")) for message in request.messages)
    texts += sum(len(call.arguments) + len(call.name) for message in request.messages for call in message.tool_calls)
    texts += sum(len(tool.description) + len(str(tool.parameters)) for tool in request.tools)
    prompt = texts // BYTES_PER_TOKEN + MESSAGE_TOKENS * (len(request.messages) + len(request.tools))
    return prompt, request.sampling.max_tokens


def learnt(headers: Mapping[str, str]) -> Limits:
    """The limits a reply tells of; what is no whole number is as if it were not there."""
    return Limits(
        requests_per_minute=written_count(headers.get("x-ratelimit-limit-requests", "")) or None,
        tokens_per_minute=written_count(headers.get("x-ratelimit-limit-tokens", "")) or None,
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)
