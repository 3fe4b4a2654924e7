"""The journal key: what changes an answer changes it, nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from blocks.chat.endpoints import parse_model
from blocks.chat.keys import call_key, sendable
from blocks.chat.models import ChatRequest, Message, Sampling, Tool, ToolCall

ENDPOINT = "http://127.0.0.1:8000/v1"

texts = st.text(max_size=30)
calls = st.builds(ToolCall, id=texts, name=texts, arguments=texts)
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant", "tool"]),
    content=texts,
    reasoning=st.none() | texts,
    tool_calls=st.lists(calls, max_size=2).map(tuple),
    tool_call_id=st.none() | texts,
)
samplings = st.builds(
    Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1, exclude_min=True),
    max_tokens=st.none() | st.integers(1, 9999),
    seed=st.none() | st.integers(-5, 5),
    stop=st.lists(texts, max_size=2).map(tuple),
)
tools = st.builds(Tool, name=texts, description=texts, parameters=st.dictionaries(texts, st.integers(), max_size=2))
requests = st.builds(
    ChatRequest,
    model=texts,
    messages=st.lists(messages, min_size=1, max_size=3).map(tuple),
    sampling=samplings,
    tools=st.lists(tools, max_size=2).map(tuple),
    sample_index=st.integers(0, 5),
)
extras = st.dictionaries(texts, st.integers() | texts, max_size=2)


def _key(request: ChatRequest, endpoint: str = ENDPOINT, extra: dict[str, Any] | None = None) -> str:
    return call_key(endpoint, sendable(request), extra or {})


def _what_is_sent(request: ChatRequest, endpoint: str, extra: dict[str, Any]) -> object:
    """All that may change an answer, in a form made another way than the key's."""
    sent = [message.model_copy(update={"reasoning": None}) for message in request.messages]
    # repr keeps the order of a schema's properties; temperature 1 and 1.0 are one number.
    sampling = tuple(sorted((k, v) for k, v in request.sampling if v is not None and v != ()))
    return (
        endpoint,
        request.model,
        repr(sent),
        repr(sampling),
        repr(request.tools),
        request.sample_index,
        sorted(map(repr, extra.items())),
    )


@settings(deadline=None)
@given(requests, requests, st.sets(st.sampled_from(sorted(ChatRequest.model_fields))), extras, extras, st.booleans())
def test_two_calls_have_one_key_exactly_when_the_same_is_sent(
    one: ChatRequest, other: ChatRequest, taken: set[str], extra: dict[str, Any], new: dict[str, Any], moved: bool
) -> None:
    mixed = one.model_copy(update={name: getattr(other, name) for name in taken})
    endpoint, extra_of_mixed = ("http://other/v1", new) if moved else (ENDPOINT, extra)
    same = _what_is_sent(one, ENDPOINT, extra) == _what_is_sent(mixed, endpoint, extra_of_mixed)
    assert (_key(one, ENDPOINT, extra) == _key(mixed, endpoint, extra_of_mixed)) == same


BASE = ChatRequest(
    model="m",
    messages=(
        Message(role="system", content="s"),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="run", arguments="{}"),)),
        Message(role="tool", content="out", tool_call_id="1"),
    ),
    sampling=Sampling(temperature=0.5, seed=1),
    tools=(Tool(name="run", description="d", parameters={"a": 1, "b": 2}),),
)


def _message(index: int, **changes: Any) -> Callable[[ChatRequest], ChatRequest]:
    def change(request: ChatRequest) -> ChatRequest:
        changed = list(request.messages)
        changed[index] = changed[index].model_copy(update=changes)
        return request.model_copy(update={"messages": tuple(changed)})

    return change


def _set(**changes: Any) -> Callable[[ChatRequest], ChatRequest]:
    return lambda request: request.model_copy(update=changes)


def _sampling(**changes: Any) -> Callable[[ChatRequest], ChatRequest]:
    return lambda request: request.model_copy(update={"sampling": request.sampling.model_copy(update=changes)})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_set(model="M"), id="model"),
        pytest.param(_set(sample_index=1), id="sample"),
        pytest.param(_set(messages=BASE.messages[1:]), id="fewer messages"),
        pytest.param(_set(messages=BASE.messages[::-1]), id="order of messages"),
        pytest.param(_set(tools=()), id="no tools"),
        pytest.param(_set(tools=(BASE.tools[0].model_copy(update={"description": "D"}),)), id="tool description"),
        pytest.param(
            _set(tools=(BASE.tools[0].model_copy(update={"parameters": {"b": 2, "a": 1}}),)), id="schema order"
        ),
        pytest.param(_message(0, content="S"), id="content"),
        pytest.param(_message(0, content="s "), id="trailing blank"),
        pytest.param(_message(0, role="user"), id="role"),
        pytest.param(_message(1, tool_calls=(ToolCall(id="1", name="run", arguments="{ }"),)), id="raw arguments"),
        pytest.param(_message(2, tool_call_id="2"), id="tool call id"),
        pytest.param(_sampling(temperature=0.51), id="temperature"),
        pytest.param(_sampling(temperature=None), id="temperature left out"),
        pytest.param(_sampling(top_p=1.0), id="top_p"),
        pytest.param(_sampling(max_tokens=9), id="max_tokens"),
        pytest.param(_sampling(seed=2), id="seed"),
        pytest.param(_sampling(stop=("x",)), id="stop"),
    ],
)
def test_each_part_of_a_request_counts(change: Callable[[ChatRequest], ChatRequest]) -> None:
    assert _key(change(BASE)) != _key(BASE)


def test_reasoning_is_not_sent_and_does_not_count() -> None:
    assert _key(_message(1, reasoning="hm")(BASE)) == _key(BASE)


def test_extra_parameters_count() -> None:
    assert _key(BASE, extra={"reasoning": {"effort": "low"}}) != _key(BASE)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1/",
        "http://127.0.0.1:8000/v1/chat/completions",
        "http://127.0.0.1:8000",
        "HTTP://127.0.0.1:8000/v1",
        "http://user:secret@127.0.0.1:8000/v1",
        "http://127.0.0.1:8000/v1?api-version=2",
        "http://0.0.0.0:8000/v1",
    ],
)
def test_how_an_address_is_written_does_not_count(url: str) -> None:
    assert parse_model("m", url).endpoint.id == ENDPOINT


def test_the_account_does_not_count() -> None:
    addresses = [parse_model("openai/m", api_key=SecretStr(key), environ={}) for key in ("key-one", "key-two")]
    assert addresses[0].endpoint.id == addresses[1].endpoint.id


def test_keys_never_change_under_recorded_journals() -> None:
    """Should this fail, KEY_VERSION and every recorded journal must change with it."""
    assert _key(BASE)[:12] == "a4e53c517456"


def test_keys_of_what_is_not_ascii_never_change_either() -> None:
    tool = Tool(name="zählen", description="é", parameters={"ß": {"type": "€"}})
    request = BASE.model_copy(update={"tools": (tool,), "messages": (Message(role="user", content="Où?\u2028"),)})
    assert _key(request, extra={"ü": 1})[:12] == "a17f42cd22f5"


def test_what_json_does_not_have_is_no_part_of_a_key() -> None:
    tool = Tool(name="t", description="d", parameters={"a": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        _key(BASE.model_copy(update={"tools": (tool,)}))
    with pytest.raises(ValueError, match="JSON"):
        _key(BASE, extra={"a": float("nan")})


def test_text_that_utf8_cannot_carry_is_mended_before_it_counts() -> None:
    lone, pair = _message(0, content="a\ud800b")(BASE), _message(0, content="a\ud83d\ude00b")(BASE)
    assert sendable(lone).messages[0].content == "a\ufffdb"
    assert sendable(pair).messages[0].content == "a\U0001f600b"
    assert _key(lone) == _key(_message(0, content="a\ufffdb")(BASE))
