"""The wire forms: a chat request as OpenAI's and Ollama's APIs want it, and their replies read back.

A reply is read leniently where providers differ and strictly where an answer could be mistaken: what is no answer is
a `MalformedReply`, what a filter held back keeps its finish reason, what was not reported stays None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from blocks.chat.errors import MalformedReply
from blocks.chat.keys import canonical_json, mend
from blocks.chat.models import ChatRequest, Message, Tool, ToolCall, Usage

FILTERED = "content_filter"
"""Finish reason of an answer that a filter held back."""


@dataclass(frozen=True)
class Answer:
    """What a reply's body says."""

    message: Message
    finish_reason: str
    usage: Usage
    model: str


class Dialect(Protocol):
    """One wire form."""

    def body(self, request: ChatRequest, extra: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON body of the call; `extra` goes in beside the request's own parameters and wins over them."""
        ...

    def read(self, body: Mapping[str, Any], key: str, request: ChatRequest) -> Answer:
        """Reads a reply's body; `key` names tool calls that came without an id of their own.

        Raises:
            MalformedReply: It holds no answer.
        """
        ...


class OpenAIDialect:
    """`/v1/chat/completions`, as OpenAI, OpenRouter, vLLM, llama.cpp and others speak it.

    Args:
        max_tokens_name: `max_tokens`, or OpenAI's newer `max_completion_tokens`.
        fixed: Parameters of every call that change no answer.
    """

    def __init__(self, max_tokens_name: str = "max_tokens", fixed: Mapping[str, Any] | None = None) -> None:
        self._max_tokens_name = max_tokens_name
        self._fixed = dict(fixed or {})

    def body(self, request: ChatRequest, extra: Mapping[str, Any]) -> dict[str, Any]:
        """See `Dialect.body`."""
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [self._message(message) for message in request.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._max_tokens_name: sampling.max_tokens,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
            "tools": [_tool(tool) for tool in request.tools] or None,
        }
        return {name: value for name, value in body.items() if value is not None} | self._fixed | dict(extra)

    @staticmethod
    def _message(message: Message) -> dict[str, Any]:
        sent: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            # Some servers refuse an empty text beside tool calls; all take null.
            sent["content"] = message.content or None
            sent["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            sent["tool_call_id"] = message.tool_call_id
        return sent

    def read(self, body: Mapping[str, Any], key: str, request: ChatRequest) -> Answer:
        """See `Dialect.read`."""
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(choice, dict) or not isinstance(message, dict):
            raise MalformedReply("The model's reply holds no choice with a message.")
        usage = _openai_usage(body.get("usage"))
        content, thinking = _content(message.get("content"))
        reason = _text(choice.get("finish_reason")) or "unknown"
        refusal = _text(message.get("refusal"))
        if refusal and not content:
            content, reason = refusal, FILTERED
        reasoning = _first_text(message, ("reasoning_content", "reasoning", "thinking")) or thinking
        return _answer(content, reasoning, _tool_calls(message, key, request), reason, usage, body, request.model)


class OllamaDialect:
    """Ollama's `/api/chat`."""

    def body(self, request: ChatRequest, extra: Mapping[str, Any]) -> dict[str, Any]:
        """See `Dialect.body`; `options` in `extra` join those of the request."""
        sampling = request.sampling
        options: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "num_predict": sampling.max_tokens,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
        }
        names = {call.id: call.name for message in request.messages for call in message.tool_calls}
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [self._message(message, names) for message in request.messages],
            "stream": False,
            # Left alone, Ollama silently cuts a conversation that does not fit; better an error one can see.
            "truncate": False,
            "shift": False,
        }
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        body |= {name: value for name, value in extra.items() if name != "options"}
        given = {name: value for name, value in options.items() if value is not None} | dict(extra.get("options") or {})
        return {**body, "options": given} if given else body

    @staticmethod
    def _message(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
        sent: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            sent["tool_calls"] = [
                {"function": {"name": call.name, "arguments": _as_object(call.arguments)}}
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            sent["tool_call_id"] = message.tool_call_id
            sent["tool_name"] = names.get(message.tool_call_id, "")
        return sent

    def read(self, body: Mapping[str, Any], key: str, request: ChatRequest) -> Answer:
        """See `Dialect.read`."""
        message = body.get("message")
        if not isinstance(message, dict) or body.get("done") is not True:
            raise MalformedReply("The model's reply holds no finished message.")
        usage = Usage(
            prompt_tokens=_count(body.get("prompt_eval_count")), completion_tokens=_count(body.get("eval_count"))
        )
        content, _ = _content(message.get("content"))
        reasoning = _first_text(message, ("thinking", "reasoning_content", "reasoning"))
        reason = _text(body.get("done_reason")) or "stop"
        return _answer(content, reasoning, _tool_calls(message, key, request), reason, usage, body, request.model)


def dialect_for(provider: str) -> Dialect:
    """The wire form of a provider."""
    if provider == "ollama":
        return OllamaDialect()
    if provider == "openai":
        return OpenAIDialect(max_tokens_name="max_completion_tokens")
    # OpenRouter reports the price of a call only when asked to.
    return OpenAIDialect(fixed={"usage": {"include": True}}) if provider == "openrouter" else OpenAIDialect()


def _answer(
    content: str,
    reasoning: str | None,
    calls: tuple[ToolCall, ...],
    reason: str,
    usage: Usage,
    body: Mapping[str, Any],
    asked_model: str,
) -> Answer:
    if reason == "error":
        raise MalformedReply("The provider broke the model's answer off.")
    # An empty answer that cost tokens is the model's answer; one that cost nothing is no answer.
    if not (content or reasoning or calls or usage.completion_tokens or reason == FILTERED):
        raise MalformedReply("The model's reply is empty.")
    message = Message(role="assistant", content=content, reasoning=reasoning, tool_calls=calls)
    return Answer(message, reason, usage, _text(body.get("model")) or asked_model)


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _tool_calls(message: Mapping[str, Any], key: str, request: ChatRequest) -> tuple[ToolCall, ...]:
    # Call and result are paired by id, but some servers give none, or the same ones at each turn.
    taken = {call.id for earlier in request.messages for call in earlier.tool_calls}
    found = message.get("tool_calls") or []
    if not isinstance(found, list):
        raise MalformedReply("The model's reply holds tool calls that are no list.")
    calls: list[ToolCall] = []
    for index, call in enumerate(found):
        function = call.get("function") if isinstance(call, dict) else None
        name = _text(function.get("name")) if isinstance(function, dict) else None
        if not isinstance(function, dict) or not name:
            raise MalformedReply("The model's reply holds a tool call without a name.")
        arguments = function.get("arguments")
        raw = mend(arguments if isinstance(arguments, str) else canonical_json(arguments or {}))
        given = _text(call.get("id"))
        unique = given if given and given not in taken else f"call_{key[:16]}_{index}"
        taken.add(unique)
        calls.append(ToolCall(id=unique, name=name, arguments=raw))
    return tuple(calls)


def _content(content: Any) -> tuple[str, str | None]:
    """A message's text, and the thinking that some providers put in as a part of it."""
    if content is None or isinstance(content, str):
        return mend(content or ""), None
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise MalformedReply("The model's reply holds a content that is no text.")
    texts = [part["text"] for part in content if part.get("type") == "text" and isinstance(part.get("text"), str)]
    thinking = [_thinking(part.get("thinking")) for part in content if part.get("type") == "thinking"]
    return mend("".join(texts)), mend("".join(thinking)) or None


def _thinking(part: Any) -> str:
    if isinstance(part, str):
        return part
    pieces = part if isinstance(part, list) else []
    return "".join(str(piece.get("text", "")) for piece in pieces if isinstance(piece, dict))


def _openai_usage(usage: Any) -> Usage:
    usage = usage if isinstance(usage, dict) else {}
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(prompt.get("cached_tokens")) if isinstance(prompt, dict) else None,
        reasoning_tokens=_count(completion.get("reasoning_tokens")) if isinstance(completion, dict) else None,
        cost_usd=_money(usage.get("cost")),
    )


def _as_object(arguments: str) -> dict[str, Any]:
    """Ollama takes arguments as an object only; a text that is none goes under a name of its own."""
    try:
        value = json.loads(arguments)
    except ValueError:
        value = arguments
    return value if isinstance(value, dict) else {"arguments": value}


def _first_text(message: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((text for text in (_text(message.get(name)) for name in names) if text), None)


def _text(value: Any) -> str | None:
    return mend(value) if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    """A token count: a whole number of plausible size, else not reported."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53 or value != value // 1:
        return None
    return int(value)


def _money(value: Any) -> float | None:
    plausible = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    return float(value) if plausible else None
