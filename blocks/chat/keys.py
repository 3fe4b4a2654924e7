"""The identity of a model call: what is sent, in one canonical form, and the journal key over it.

In the key: endpoint, model, messages as sent, sampling, tools, extra parameters, sample index. Not in it: the key to
the account, timeouts, retries, concurrency, prices, and the reasoning a provider returned, which is never sent back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from blocks.chat.models import ChatRequest, Message, Sampling, Tool

KEY_VERSION = 1


def sendable(request: ChatRequest) -> ChatRequest:
    """The request as it goes over the wire: without reasoning, and with nothing in it that UTF-8 cannot carry."""
    messages = tuple(_sendable_message(message) for message in request.messages)
    return request.model_copy(update={"messages": messages})


def call_key(endpoint: str, request: ChatRequest, extra: Mapping[str, Any]) -> str:
    """The journal key, sha256 in hex.

    Args:
        endpoint: The endpoint's id, see `blocks.chat.endpoints.Endpoint`.
        request: The request, `sendable`.
        extra: Parameters sent beside those of the request (provider routing, reasoning effort, context size, …).
    """
    identity = {
        "version": KEY_VERSION,
        "endpoint": endpoint,
        "model": request.model,
        "messages": [canonical_message(message) for message in request.messages],
        "sampling": canonical_sampling(request.sampling),
        "tools": [_canonical_tool(tool) for tool in request.tools],
        "extra": dict(extra),
        "sample_index": request.sample_index,
    }
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def mend(text: str) -> str:
    """The text itself when UTF-8 can carry it, else with surrogate pairs joined and lone ones made U+FFFD."""
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no blanks, no ASCII folding; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_message(message: Message) -> dict[str, Any]:
    """What of a message reaches the model."""
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        sent["tool_calls"] = [[call.id, call.name, call.arguments] for call in message.tool_calls]
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


def canonical_sampling(sampling: Sampling) -> dict[str, Any]:
    """The sampling parameters that are sent; those left to the provider are absent."""
    given = sampling.model_dump(exclude_none=True)
    return {name: value for name, value in given.items() if value != ()}


def _canonical_tool(tool: Tool) -> list[str]:
    # The order of a schema's properties reaches the model's prompt, so it counts: JSON text, unsorted.
    return [tool.name, tool.description, json.dumps(tool.parameters, ensure_ascii=False, allow_nan=False)]


def _sendable_message(message: Message) -> Message:
    texts = (message.content, *(text for call in message.tool_calls for text in (call.name, call.arguments)))
    if message.reasoning is None and all(mend(text) is text for text in texts):
        return message
    calls = tuple(
        call.model_copy(update={"name": mend(call.name), "arguments": mend(call.arguments)})
        for call in message.tool_calls
    )
    return message.model_copy(update={"content": mend(message.content), "tool_calls": calls, "reasoning": None})
