"""Which models an endpoint has, and how large their contexts are, as the provider itself says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from blocks.chat.counts import told_count, written_count
from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import MalformedReply
from blocks.chat.faults import fault
from blocks.chat.mock import MODELS
from blocks.chat.models import ListedModel
from blocks.chat.quoting import quoted, shortened
from blocks.chat.retry import RetryPolicy, persist
from blocks.chat.transport import Transport

TIMEOUT_S = 30.0
_WINDOWS = ("context_length", "max_model_len", "context_window", "max_context_length")
"""What servers with OpenAI's API call it, where they say it at all: OpenRouter, vLLM, Groq, Mistral."""
MTOK = 1_000_000


async def list_models(endpoint: Endpoint, *, trust_proxy: bool = False) -> list[ListedModel]:
    """The models of an endpoint, by name. Ollama's windows are asked model by model, see `ollama_window`.

    Raises:
        ChatError: It cannot be asked, or answers with no list of models.
    """
    if endpoint.provider == "mock":
        return [ListedModel(id=name, window=model.window, about=model.does) for name, model in MODELS.items()]
    if endpoint.provider == "ollama":
        entries = _entries(await _look_up(endpoint, "/tags", None, trust_proxy), "models")
        found = [_ollama(entry) for entry in entries]
    else:
        entries = _entries(await _look_up(endpoint, "/models", None, trust_proxy), "data")
        found = [_openai(entry) for entry in entries]
    return sorted((model for model in found if model is not None), key=lambda model: model.id)


async def ollama_window(endpoint: Endpoint, model: str, *, trust_proxy: bool = False) -> int | None:
    """The context an Ollama model has: what its file sets, else what it was made for.

    Raises:
        ChatError: It cannot be asked, or does not know the model.
    """
    body = await _look_up(endpoint, "/show", {"model": model}, trust_proxy, model)
    for line in str(body.get("parameters") or "").splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "num_ctx" and (window := written_count(value)) is not None:
            return window
    info = body.get("model_info")
    facts = info if isinstance(info, dict) else {}
    return next((told_count(value) for name, value in facts.items() if name.endswith(".context_length")), None)


async def _look_up(
    endpoint: Endpoint, path: str, body: Mapping[str, Any] | None, trust_proxy: bool, model: str = "a list of models"
) -> Mapping[str, Any]:
    transport = Transport(trust_proxy=trust_proxy)

    async def attempt() -> Mapping[str, Any]:
        exchange = await transport.look_up(endpoint, endpoint.id + path, body, TIMEOUT_S)
        if not 200 <= exchange.status < 300:
            raise fault(exchange.status, exchange.headers, exchange.text, endpoint, model)
        try:
            found = json.loads(exchange.text)
        except (ValueError, RecursionError) as error:
            detail = shortened(exchange.text)
            raise MalformedReply(f"{endpoint.id}{path} is no JSON{quoted(detail)}.", detail=detail) from error
        if not isinstance(found, dict):
            detail = shortened(exchange.text)
            raise MalformedReply(f"{endpoint.id}{path} is no JSON object{quoted(detail)}.", detail=detail)
        return found

    try:
        return await persist(attempt, RetryPolicy(max_attempts=3, max_total_s=60.0))
    finally:
        await transport.close()


def _entries(body: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    entries = body.get(name)
    if not isinstance(entries, list):
        raise MalformedReply(f"The list of models holds no `{name}`.")
    return [entry for entry in entries if isinstance(entry, dict)]


def _openai(entry: Mapping[str, Any]) -> ListedModel | None:
    if not isinstance(entry.get("id"), str):
        return None
    meta = entry.get("meta")
    windows = [told_count(entry.get(name)) for name in _WINDOWS]
    # llama.cpp says what the model was trained for; what it was started with it tells nobody here.
    windows += [told_count(meta.get("n_ctx")), told_count(meta.get("n_ctx_train"))] if isinstance(meta, dict) else []
    pricing = entry.get("pricing")
    prices = pricing if isinstance(pricing, dict) else {}
    return ListedModel(
        id=entry["id"],
        window=next((window for window in windows if window), None),
        input_usd_per_mtok=_price(prices.get("prompt")),
        output_usd_per_mtok=_price(prices.get("completion")),
        about=str(entry.get("name") or entry.get("owned_by") or ""),
    )


def _ollama(entry: Mapping[str, Any]) -> ListedModel | None:
    name = entry.get("model") or entry.get("name")
    details = entry.get("details")
    fields = details if isinstance(details, dict) else {}
    about = " ".join(str(fields[key]) for key in ("parameter_size", "quantization_level") if fields.get(key))
    return ListedModel(id=name, about=about) if isinstance(name, str) else None


def _price(value: Any) -> float | None:
    """US$ per million tokens; OpenRouter gives dollars for one, as text, and -1 where it depends."""
    try:
        dollars = float(value)
    except (TypeError, ValueError):
        return None
    return round(dollars * MTOK, 6) if 0 <= dollars < 1 else None
