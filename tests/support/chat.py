"""Model clients for tests: requests in one line, waits that are noted and not waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from blocks.chat.backends import Place
from blocks.chat.client import ModelClient
from blocks.chat.endpoints import Provider, parse_model
from blocks.chat.journal import Journal
from blocks.chat.keys import call_key
from blocks.chat.models import ChatRequest, Message, Sampling, Usage
from blocks.chat.records import JournalRecord
from tests.support.model_server import ModelServer

MODEL = "test-model"
KEY = "sk-test-0123456789abcdefghij"


class Waits:
    """Stands in for asyncio.sleep between attempts: notes how long each wait would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def ask(text: str = "How many rows?", *, sample: int = 0, **changes: Any) -> ChatRequest:
    """A request with one user message."""
    request = ChatRequest(
        model=MODEL, messages=(Message(role="user", content=text),), sampling=Sampling(), sample_index=sample
    )
    return request.model_copy(update=changes)


def record_of(text: str, *, at: datetime, reply: str = "five", cost_usd: float | None = None) -> JournalRecord:
    """An answered call with a system message that all such calls share.

    Args:
        text: What was asked.
        at: When.
        reply: What was answered.
        cost_usd: What it cost, if known.
    """
    messages = (Message(role="system", content="You answer."), Message(role="user", content=text))
    request = ChatRequest(model="m", messages=messages)
    return JournalRecord(
        key=call_key("http://e/v1", request, {}),
        created_at=at,
        endpoint="http://e/v1",
        provider="compatible",
        request=request,
        extra={},
        message=Message(role="assistant", content=reply),
        finish_reason="stop",
        model="m",
        usage=Usage(prompt_tokens=10, completion_tokens=5, cost_usd=cost_usd),
        latency_s=1.5,
        raw="{}",
    )


@asynccontextmanager
async def opened(
    server: ModelServer | str,
    store: Place | Journal,
    *,
    provider: Provider = "compatible",
    key: str | None = KEY,
    **options: Any,
) -> AsyncIterator[ModelClient]:
    """A client of a scripted server; waits between attempts take no time.

    Args:
        server: The server, or a base URL.
        store: The journal, or the place of one that the client opens and closes.
        provider: The dialect to speak.
        key: The API key.
        **options: Further arguments of `ModelClient`.
    """
    url = server if isinstance(server, str) else server.ollama_url if provider == "ollama" else server.base_url
    address = parse_model(MODEL, url, provider=provider, api_key=SecretStr(key) if key else None)
    options.setdefault("sleep", Waits())
    if not isinstance(store, Journal):
        store, options["owns_journal"] = Journal(store), True
    async with ModelClient(address.endpoint, journal=store, **options) as client:
        yield client
