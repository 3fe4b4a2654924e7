"""The mock provider: answers worked out from the call, through the client every provider has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.chat.client import ModelClient
from blocks.chat.endpoints import parse_model
from blocks.chat.errors import BadRequest, ChatTimeout, ContextOverflow, ServerFailure, UnknownModelName
from blocks.chat.journal import Journal
from blocks.chat.mock import MODELS
from blocks.chat.models import ChatReply, ChatRequest, Message, Sampling
from blocks.chat.retry import RetryPolicy
from blocks.chat_model import ChatModel


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "store.db") as journal:
        yield journal


def asked(model: str, text: str = "hello", **changes: object) -> ChatRequest:
    return ChatRequest.model_validate(
        {"model": model, "messages": (Message(role="user", content=text),), "sampling": Sampling(), **changes}
    )


async def answer(journal: Journal, request: ChatRequest, **client: object) -> ChatReply:
    block = ChatModel(model=f"mock/{request.model}")
    async with ModelClient(block.address().endpoint, journal=journal, **client) as own:  # type: ignore[arg-type]
        return await own.complete(request)


async def test_the_same_call_has_the_same_answer_in_any_journal(journal: Journal, tmp_path: Path) -> None:
    first = await answer(journal, asked("mock"))
    with Journal(tmp_path / "other.db") as other:
        again = await answer(other, asked("mock"))
    unlike = [
        await answer(journal, request)
        for request in (
            asked("mock", "hi"), asked("mock", sample_index=1), asked("mock", sampling=Sampling(temperature=0)),
            asked("mock2"),
        )
    ]  # fmt: skip
    assert (again.message, again.usage, again.latency_s, again.key) == (
        first.message, first.usage, first.latency_s, first.key
    )  # fmt: skip
    assert len({reply.message.content for reply in (first, *unlike)}) == 5
    assert not again.replayed
    stored = await answer(journal, asked("mock"))
    assert (stored.replayed, stored.answered_at) == (True, first.answered_at), "the journal keeps it like any other"


async def test_models_that_misbehave(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(BadRequest):
        await answer(journal, asked("broken"))
    with pytest.raises(ContextOverflow) as caught:
        await answer(journal, asked("small", "x" * 4 * (MODELS["small"].window + 1)))
    assert (caught.value.window, caught.value.asked) == (256, 257)
    with pytest.raises(ChatTimeout):
        await answer(journal, asked("slow"), timeout_s=0.01, retry=RetryPolicy(max_attempts=1))
    replies = [
        await answer(journal, asked("flaky", f"{number}"), retry=RetryPolicy(first_wait_s=0)) for number in range(20)
    ]
    assert {reply.usage.requests for reply in replies} == {1, 2}, "some are answered at the second try"
    again = next(number for number, reply in enumerate(replies) if reply.usage.requests == 2)
    with Journal(tmp_path / "other.db") as other, pytest.raises(ServerFailure):
        await answer(other, asked("flaky", f"{again}"), retry=RetryPolicy(max_attempts=1))


async def test_an_answer_is_cut_at_max_tokens(journal: Journal) -> None:
    reply = await answer(journal, asked("mock", sampling=Sampling(max_tokens=3)))
    assert (reply.finish_reason, reply.usage.completion_tokens) == ("length", 3)
    assert (await answer(journal, asked("echo", "say this"))).message.content == "say this"


def test_its_name_is_a_provider_without_key_or_address() -> None:
    address = parse_model("mock/any/name", environ={})
    assert (address.model, address.endpoint.id, address.endpoint.key) == ("any/name", "mock:", None)
    assert parse_model("mock/m", "http://gpu:8000/v1", environ={}).endpoint.provider == "compatible"
    with pytest.raises(UnknownModelName):
        parse_model("mock/", environ={})
