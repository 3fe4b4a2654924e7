"""What the scripted model server is asked and what it answers, in OpenAI's and Ollama's wire form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Dialect = Literal["openai", "ollama"]


@dataclass(frozen=True)
class Ask:
    """One request that reached the server."""

    dialect: Dialect
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    key: str
    """The Idempotency-Key the client sent, else a hash of the body: the same call has the same key."""
    number: int
    """How often this key has been asked, this time included; counts on over restarts when there is a log."""
    total: int
    """How many requests the server has had, this one included."""
    in_flight: int
    """How many requests are being answered now, this one included."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the request as they came over the wire."""
        messages: list[dict[str, Any]] = self.body.get("messages", [])
        return messages

    @property
    def last(self) -> str:
        """The text of the last message."""
        return str(self.messages[-1].get("content") or "") if self.messages else ""


@dataclass(frozen=True)
class Answer:
    """What the server does with a request: a well-formed reply unless told to misbehave."""

    content: str | None = "ok"
    reasoning: str | None = None
    tool_calls: tuple[tuple[str, str], ...] = ()
    """Pairs of tool name and raw arguments."""
    finish_reason: str = "stop"
    usage: dict[str, Any] | None = field(default_factory=lambda: {"prompt_tokens": 11, "completion_tokens": 7})
    model: str | None = None
    """The model that says it answered; None: the one asked for."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Sent as it is in place of a well-formed reply."""
    delay_s: float = 0.0
    drip_s: float = 0.0
    """Pause before each tenth of the body."""
    cut_at: int | None = None
    """Close the connection after this many bytes of the body; Content-Length promises all of it."""
    drop: bool = False
    """Close the connection without a word."""
    stall: bool = False
    """Never answer; the connection stays open until the client or the server ends."""


Behaviour = Callable[[Ask], "Answer | Awaitable[Answer]"]


def error(status: int, body: Any = None, **changes: Any) -> Answer:
    """An error reply; `body` is JSON, or text as it is."""
    body = {"error": {"message": f"scripted error {status}"}} if body is None else body
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return replace(Answer(status=status, body=raw), **changes)


def echo(ask: Ask) -> Answer:
    """Answers with a text that depends on the whole request, so that mixed-up replies are seen."""
    return Answer(content=f"answer to {body_digest(ask.body)[:16]}")


def in_turn(*answers: Answer) -> Behaviour:
    """The first answer to the first ask of a key, the second to the second, the last one from then on."""
    return lambda ask: answers[min(ask.number, len(answers)) - 1]


def body_digest(body: dict[str, Any]) -> str:
    """sha256 (hex) of a request body's canonical JSON."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def render(ask: Ask, answer: Answer) -> bytes:
    """The body of the HTTP response."""
    if answer.body is not None:
        return answer.body
    return json.dumps(_openai(ask, answer) if ask.dialect == "openai" else _ollama(ask, answer)).encode()


def _openai(ask: Ask, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.content}
    if answer.reasoning is not None:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [
            {"id": f"call_{ask.key[:8]}_{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for i, (name, arguments) in enumerate(answer.tool_calls)
        ]
    reply = {
        "id": f"chatcmpl-{ask.total}",
        "object": "chat.completion",
        "model": answer.model or ask.body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish_reason}],
    }
    return reply if answer.usage is None else {**reply, "usage": answer.usage}


def _ollama(ask: Ask, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.content or ""}
    if answer.reasoning is not None:
        message["thinking"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [
            {"function": {"name": name, "arguments": json.loads(arguments)}} for name, arguments in answer.tool_calls
        ]
    reply = {
        "model": answer.model or ask.body.get("model"),
        "message": message,
        "done": True,
        "done_reason": answer.finish_reason,
    }
    counts = {"prompt_tokens": "prompt_eval_count", "completion_tokens": "eval_count"}
    return reply | {name: (answer.usage or {})[key] for key, name in counts.items() if key in (answer.usage or {})}
