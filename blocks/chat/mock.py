"""The mock provider: answers worked out from the request itself, the same for the same call, without any network.

It stands where the transport stands, so journal, keys, retries and the reading of replies are those of every provider.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import ChatTimeout
from blocks.chat.transport import Departure, Exchange, Transport

WINDOW = 32_768
CHARS_PER_TOKEN = 4
_WORDS = (
    "answer", "pillar", "survey", "angle", "measure", "baseline", "river", "summit", "map", "north", "line", "point",
    "valley", "height", "distance", "station", "marker", "level", "chain", "bearing", "ridge", "stone", "grid",
    "scale", "record", "signal", "tower", "path", "field", "slope",
)  # fmt: skip


@dataclass(frozen=True)
class MockModel:
    """What a mock model is for."""

    does: str
    window: int = WINDOW


MODELS: Mapping[str, MockModel] = {
    "mock": MockModel("a few sentences that depend on the whole request; so does every model not listed here"),
    "echo": MockModel("the last message as it was sent"),
    "json": MockModel("a JSON object in a code fence: label, score, words, tags"),
    "slow": MockModel("like mock, after half a second to two seconds"),
    "flaky": MockModel("like mock, but every third call gets a 503 first"),
    "broken": MockModel("always HTTP 400"),
    "small": MockModel("like mock, with a context window of 256 tokens", window=256),
}


class Poster(Protocol):
    """What carries a call to a model."""

    async def post(
        self, endpoint: Endpoint, body: Mapping[str, Any], key: str, timeout_s: float, leg: Departure | None = None
    ) -> Exchange:
        """Sends a chat call and reads the whole reply, whatever its status."""
        ...

    async def close(self) -> None:
        """Gives back what it holds."""
        ...


def transport_to(endpoint: Endpoint, *, trust_proxy: bool = False) -> Poster:
    """What carries calls to an endpoint."""
    return MockTransport() if endpoint.provider == "mock" else Transport(trust_proxy=trust_proxy)


class MockTransport:
    """Answers in the place of a server, in OpenAI's wire form."""

    def __init__(self) -> None:
        self._turned_away: set[str] = set()

    async def post(
        self, endpoint: Endpoint, body: Mapping[str, Any], key: str, timeout_s: float, leg: Departure | None = None
    ) -> Exchange:
        """Answers a call; the seconds it says it took are worked out from the call as well, so they never differ.

        Raises:
            ChatTimeout: The model is slower than that.
        """
        model, chance = str(body["model"]), _Chance(key)
        seconds = 0.5 + 1.5 * chance.share("latency") if model == "slow" else 0.05 + 0.4 * chance.share("latency")
        if seconds > timeout_s:
            raise ChatTimeout(f"{endpoint.id} gave no complete answer within {timeout_s:g} s.", "Raise the timeout.")
        if leg is not None:
            leg.leaves()
            leg.has_left()
        # One turn of the event loop at least, as of any other provider.
        await asyncio.sleep(seconds if model == "slow" else 0)
        status, reply = self._reply(model, body, key, chance)
        return Exchange(status, {}, json.dumps(reply, ensure_ascii=False), round(seconds, 4))

    async def close(self) -> None:
        """There is nothing to give back."""

    def _reply(self, model: str, body: Mapping[str, Any], key: str, chance: _Chance) -> tuple[int, dict[str, Any]]:
        prompt = sum(_tokens(str(message.get("content") or "")) for message in body["messages"])
        window = MODELS[model].window if model in MODELS else WINDOW
        if model == "broken":
            return 400, {"error": {"message": "this mock model refuses every request"}}
        if prompt > window:
            told = f"This model's maximum context length is {window} tokens. However, you requested {prompt} tokens."
            return 400, {"error": {"message": told, "code": "context_length_exceeded"}}
        if model == "flaky" and chance.share("flaky") < 1 / 3 and key not in self._turned_away:
            self._turned_away.add(key)
            return 503, {"error": {"message": "this mock model is busy at the first try"}}
        self._turned_away.discard(key)
        text, reason = _cut(_text(model, body, chance), body.get("max_tokens"))
        usage = {"prompt_tokens": prompt, "completion_tokens": _tokens(text), "cost": 0}
        message = {"role": "assistant", "content": text}
        return 200, {"model": model, "choices": [{"message": message, "finish_reason": reason}], "usage": usage}


class _Chance:
    """Numbers that look like chance and follow from a key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def number(self, name: str) -> int:
        return int.from_bytes(hashlib.blake2b(f"{self._key}/{name}".encode(), digest_size=8).digest())

    def share(self, name: str) -> float:
        return self.number(name) / 2**64


def _text(model: str, body: Mapping[str, Any], chance: _Chance) -> str:
    last = str(body["messages"][-1].get("content") or "") if body["messages"] else ""
    if model == "echo":
        return last or "(nothing was sent)"
    if model == "json":
        count = 1 + chance.number("tags") % 3
        tags = [_WORDS[chance.number(f"tag {at}") % len(_WORDS)] for at in range(count)]
        fields = {"label": tags[0], "score": round(chance.share("score"), 3), "words": len(last.split()), "tags": tags}
        return f"```json\n{json.dumps(fields, indent=2)}\n```"
    sentences = (_sentence(chance, at) for at in range(2 + chance.number("sentences") % 4))
    return f"Mock answer of {model}: " + " ".join(sentences)


def _sentence(chance: _Chance, number: int) -> str:
    count = 5 + chance.number(f"length {number}") % 9
    words = [_WORDS[chance.number(f"{number} {at}") % len(_WORDS)] for at in range(count)]
    return " ".join(words).capitalize() + "."


def _cut(text: str, most: Any) -> tuple[str, str]:
    if isinstance(most, int) and _tokens(text) > most:
        return text[: most * CHARS_PER_TOKEN], "length"
    return text, "stop"


def _tokens(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)
