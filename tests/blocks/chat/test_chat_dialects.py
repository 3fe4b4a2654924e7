"""What goes over the wire to each provider, and what is read from their replies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.chat.dialects import dialect_for
from blocks.chat.endpoints import Provider
from blocks.chat.errors import MalformedReply
from blocks.chat.models import ChatReply, ChatRequest, Message, Sampling, Tool, ToolCall
from tests.support.chat import KEY, MODEL, ask, opened
from tests.support.model_answers import Answer
from tests.support.model_server import ModelServer

RUN = Tool(name="run_python", description="Runs code.", parameters={"type": "object", "properties": {"code": {}}})
CONVERSATION = ChatRequest(
    model=MODEL,
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content="Count."),
        Message(
            role="assistant",
            reasoning="never sent back",
            tool_calls=(ToolCall(id="c1", name="run_python", arguments='{"code": "len(df)"}'),),
        ),
        Message(role="tool", content="344", tool_call_id="c1"),
    ),
    sampling=Sampling(temperature=0.2, top_p=0.9, max_tokens=50, seed=3, stop=("END",)),
    tools=(RUN,),
)


async def _round_trip(
    request: ChatRequest, answer: Answer, tmp_path: Path, provider: Provider = "compatible", **options: Any
) -> tuple[dict[str, Any], dict[str, str], ChatReply]:
    """Body and headers as the server saw them, and the reply; the replayed reply must equal it."""
    with ModelServer(lambda _: answer) as server:
        async with opened(server, tmp_path / "store.db", provider=provider, **options) as client:
            reply = await client.complete(request)
            again = await client.complete(request)
        assert again == reply.model_copy(update={"replayed": True})
        assert server.tally.asked.total() == 1
        return server.asks[0].body, dict(server.asks[0].headers), reply


async def test_openai_wire(tmp_path: Path) -> None:
    body, headers, reply = await _round_trip(CONVERSATION, Answer(), tmp_path)
    assert body == {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Count."},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "run_python", "arguments": '{"code": "len(df)"}'},
                    }
                ],
            },
            {"role": "tool", "content": "344", "tool_call_id": "c1"},
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "max_tokens": 50,
        "seed": 3,
        "stop": ["END"],
        "tools": [{"type": "function", "function": RUN.model_dump()}],
    }
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["idempotency-key"] == reply.key


async def test_ollama_wire(tmp_path: Path) -> None:
    body, _, _ = await _round_trip(CONVERSATION, Answer(), tmp_path, "ollama")
    assert body["options"] == {"temperature": 0.2, "top_p": 0.9, "num_predict": 50, "seed": 3, "stop": ["END"]}
    assert body["stream"] is False
    assert body["truncate"] is False, "a conversation that does not fit must not be cut in silence"
    assert body["messages"][2]["tool_calls"] == [{"function": {"name": "run_python", "arguments": {"code": "len(df)"}}}]
    assert body["messages"][3] == {"role": "tool", "content": "344", "tool_call_id": "c1", "tool_name": "run_python"}


async def test_openrouter_is_asked_for_the_cost_and_openai_for_its_own_parameter_name(tmp_path: Path) -> None:
    router, _, _ = await _round_trip(ask(), Answer(), tmp_path / "a", "openrouter")
    assert router["usage"] == {"include": True}
    openai, _, _ = await _round_trip(ask(), Answer(), tmp_path / "b", "openai")
    assert (openai.get("max_tokens"), openai["max_completion_tokens"]) == (None, 2048)


async def test_what_is_not_set_is_not_sent(tmp_path: Path) -> None:
    bare = ask(sampling=Sampling(temperature=None, max_tokens=None))
    body, _, _ = await _round_trip(bare, Answer(), tmp_path / "a")
    assert set(body) == {"model", "messages"}
    body, _, _ = await _round_trip(bare, Answer(), tmp_path / "b", "ollama")
    assert "options" not in body


async def test_extra_parameters_are_sent(tmp_path: Path) -> None:
    body, _, _ = await _round_trip(ask(), Answer(), tmp_path / "a", extra={"reasoning": {"effort": "low"}})
    assert body["reasoning"] == {"effort": "low"}
    extra = {"options": {"num_ctx": 8192}, "think": False}
    body, _, _ = await _round_trip(ask(), Answer(), tmp_path / "b", "ollama", extra=extra)
    assert (body["think"], body["options"]["num_ctx"], body["options"]["temperature"]) == (False, 8192, 0.7)


@pytest.mark.parametrize("provider", ["compatible", "ollama"])
async def test_a_reply_is_read_whole(provider: Provider, tmp_path: Path) -> None:
    answer = Answer(
        content="<think>hm</think>\n```python\n1\n```",
        reasoning="because",
        tool_calls=(("run_python", '{"code":"1"}'), ("run_python", '{"code":"2"}')),
        finish_reason="length",
        model="the-model-that-answered",
        usage={"prompt_tokens": 12, "completion_tokens": 34},
    )
    _, _, reply = await _round_trip(ask(), answer, tmp_path, provider)
    assert reply.message.content == answer.content, "thinking inside the text stays as the model emitted it"
    assert reply.message.reasoning == "because"
    assert [call.arguments for call in reply.message.tool_calls] == ['{"code":"1"}', '{"code":"2"}']
    assert len({call.id for call in reply.message.tool_calls}) == 2
    assert (reply.finish_reason, reply.model) == ("length", "the-model-that-answered")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (12, 34)


async def test_arguments_stay_exactly_as_emitted(tmp_path: Path) -> None:
    raw = '{ "code" : "print(\\u00e4)" , '
    _, _, reply = await _round_trip(ask(), Answer(tool_calls=(("run_python", raw),)), tmp_path)
    assert reply.message.tool_calls[0].arguments == raw


async def test_all_of_the_usage_is_read(tmp_path: Path) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cost": 0.00125,
        "prompt_tokens_details": {"cached_tokens": 80},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    _, _, reply = await _round_trip(ask(), Answer(usage=usage), tmp_path)
    assert reply.usage.model_dump() == {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cached_tokens": 80,
        "reasoning_tokens": 15,
        "cost_usd": 0.00125,
        "requests": 1,
    }


async def test_what_is_not_reported_is_none(tmp_path: Path) -> None:
    odd = {"prompt_tokens": "many", "completion_tokens": -1, "cost": "free", "prompt_tokens_details": None}
    for name, usage in (("none", None), ("odd", odd)):
        _, _, reply = await _round_trip(ask(), Answer(usage=usage), tmp_path / name)
        assert set(reply.usage.model_dump(exclude={"requests"}).values()) == {None}


async def test_a_model_that_says_nothing_has_answered_if_it_was_paid(tmp_path: Path) -> None:
    _, _, reply = await _round_trip(ask(), Answer(content="", usage={"completion_tokens": 1}), tmp_path)
    assert reply.message.content == ""


def _read(message: dict[str, Any], key: str = "k" * 64, request: ChatRequest = CONVERSATION) -> Message:
    body = {"choices": [{"message": message, "finish_reason": "stop"}]}
    return dialect_for("compatible").read(body, key, request).message


def test_content_in_parts() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "let me "}, {"type": "text", "text": "see"}]},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "5."},
    ]
    message = _read({"content": parts})
    assert (message.content, message.reasoning) == ("It is 5.", "let me see")


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_by_any_name(name: str) -> None:
    assert _read({"content": "x", name: "why"}).reasoning == "why"


def test_a_refusal_is_a_filtered_answer() -> None:
    body = {"choices": [{"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}]}
    answer = dialect_for("openai").read(body, "k", CONVERSATION)
    assert (answer.finish_reason, answer.message.content) == ("content_filter", "I cannot.")


@pytest.mark.parametrize("ids", [(None, None), ("", ""), ("same", "same"), ("c1", "c1")])
def test_every_call_of_a_conversation_gets_an_id_of_its_own(ids: tuple[str | None, str | None]) -> None:
    calls = [{"id": given, "function": {"name": "f", "arguments": {"b": 1, "a": 2}}} for given in ids]
    one, other = _read({"tool_calls": calls}, "1" * 64), _read({"tool_calls": calls}, "2" * 64)
    assert len({"c1", one.tool_calls[0].id, one.tool_calls[1].id}) == 3, "c1 is taken by an earlier turn"
    assert one.tool_calls[1].id != other.tool_calls[1].id
    assert one == _read({"tool_calls": calls}, "1" * 64), "the same call always gets the same ids"
    assert one.tool_calls[0].arguments == '{"a":2,"b":1}'


@pytest.mark.parametrize(
    "message",
    [
        {"content": 5},
        {"content": ["text"]},
        {"content": "x", "tool_calls": {"id": 1}},
        {"content": "x", "tool_calls": [{"function": {"arguments": "{}"}}]},
        {"content": "x", "tool_calls": [None]},
    ],
)
def test_what_cannot_be_told_apart_from_an_answer_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(MalformedReply):
        _read(message)


def test_an_unfinished_ollama_reply_is_refused() -> None:
    with pytest.raises(MalformedReply):
        dialect_for("ollama").read({"message": {"content": "half"}, "done": False}, "k", CONVERSATION)


# Lone surrogates are valid in JSON and cannot be stored.
texts = st.text(st.characters(exclude_categories=()), max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["content", "tool_calls", "reasoning", "refusal", "role", "thinking"])


@settings(deadline=None)
@given(st.dictionaries(fields, json_values), st.dictionaries(st.sampled_from(["usage", "model"]), json_values))
def test_no_reply_breaks_the_reader(message: dict[str, Any], rest: dict[str, Any]) -> None:
    """Whatever a server sends, the outcome is an answer that can be stored or a MalformedReply."""
    openai = {"choices": [{"message": message, "finish_reason": "stop"}], **rest}
    for provider, body in (("compatible", openai), ("ollama", {"message": message, "done": True, **rest})):
        try:
            answer = dialect_for(provider).read(body, "k" * 64, CONVERSATION)
        except MalformedReply:
            continue
        assert json.loads(answer.message.model_dump_json().encode()) == answer.message.model_dump(mode="json")
