"""Every way a call fails, over a real wire: the class, one sentence, and how often it was tried."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from blocks.chat.endpoints import Provider
from blocks.chat.errors import (
    BadRequest,
    ChatError,
    ChatTimeout,
    ConnectionLost,
    ContextOverflow,
    MalformedReply,
    ModelNotFound,
    PaymentRequired,
    RateLimited,
    Refused,
    ServerFailure,
    UnreachableEndpoint,
    WrongEndpoint,
    WrongKey,
)
from blocks.chat.retry import RetryPolicy
from blocks.errors import UserError
from tests.support.chat import KEY, Waits, ask, opened
from tests.support.model_answers import Answer, error
from tests.support.model_server import ModelServer

THREE = RetryPolicy(max_attempts=3)


async def _failure(answer: Answer, tmp_path: Path, provider: Provider = "compatible", **options: Any) -> ChatError:
    """The error of a call that gets this answer each time; nothing must be kept of it."""
    with ModelServer(lambda _: answer) as server:
        options.setdefault("retry", THREE)
        async with opened(server, tmp_path / "store.db", provider=provider, **options) as client:
            with pytest.raises(ChatError) as caught:
                await client.complete(ask())
            assert caught.value.requests == server.tally.asked.total()
            with pytest.raises(type(caught.value)):
                await client.complete(ask())
            assert server.tally.asked.total() == 2 * caught.value.requests
    return caught.value


def _openai(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


@pytest.mark.parametrize(
    ("provider", "status", "body", "kind"),
    [
        ("openai", 401, _openai("Incorrect API key provided: sk-te***", code="invalid_api_key"), WrongKey),
        ("compatible", 403, _openai("Project does not have access to model"), WrongKey),
        ("compatible", 400, _openai("API key not valid. Invalid API key."), WrongKey),
        ("openrouter", 402, _openai("Insufficient credits", code=402), PaymentRequired),
        ("openai", 429, _openai("You exceeded your current quota", code="insufficient_quota"), PaymentRequired),
        ("openrouter", 403, _openai("Key limit exceeded (daily limit)", code=403), PaymentRequired),
        (
            "openai",
            404,
            _openai("The model `x` does not exist or you do not have access", code="model_not_found"),
            ModelNotFound,
        ),
        ("openrouter", 400, _openai("x/y is not a valid model ID", code=400), ModelNotFound),
        ("openrouter", 404, _openai("No endpoints found for x/y.", code=404), ModelNotFound),
        (
            "compatible",
            404,
            {"object": "error", "message": "The model `x` does not exist.", "code": 404},
            ModelNotFound,
        ),
        ("ollama", 404, {"error": 'model "x" not found, try pulling it first'}, ModelNotFound),
        ("compatible", 404, {"detail": "Not Found"}, WrongEndpoint),
        ("compatible", 404, _openai("File Not Found", type="not_found_error", code=404), WrongEndpoint),
        ("compatible", 404, "404 page not found", WrongEndpoint),
        ("compatible", 405, {"detail": "Method Not Allowed"}, WrongEndpoint),
        ("compatible", 301, "", WrongEndpoint),
        ("openai", 400, _openai("Unsupported parameter: 'top_p'", code="unsupported_parameter"), BadRequest),
        ("compatible", 422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, BadRequest),
        ("ollama", 400, {"error": "x does not support tools"}, BadRequest),
        ("openai", 400, _openai("flagged by our content policy", code="content_policy_violation"), Refused),
        ("openrouter", 403, _openai("Input was flagged", code=403, metadata={"reasons": ["violence"]}), Refused),
        ("compatible", 451, "", Refused),
    ],
)
async def test_what_will_not_change_is_asked_once(
    provider: Provider, status: int, body: Any, kind: type[ChatError], tmp_path: Path
) -> None:
    caught = await _failure(error(status, body), tmp_path, provider)
    assert type(caught) is kind
    assert caught.status == status
    assert caught.requests == 1
    assert "\n" not in str(caught)
    if isinstance(caught, UserError):
        assert caught.remedy


async def test_a_redirect_is_told_with_where_it_leads(tmp_path: Path) -> None:
    moved = error(308, "moved", headers={"Location": "https://api.example/v1/chat/completions?key=sk-secret0123456789"})
    caught = await _failure(moved, tmp_path, "compatible")
    assert type(caught) is WrongEndpoint
    assert "it redirects to https://api.example/v1/chat/completions" in str(caught)
    assert "secret" not in str(caught)


@pytest.mark.parametrize(
    ("provider", "status", "body", "window", "asked"),
    [
        (
            "openai",
            400,
            _openai(
                "This model's maximum context length is 128000 tokens. However, your "
                "messages resulted in 128006 tokens.",
                code="context_length_exceeded",
            ),
            128_000,
            128_006,
        ),
        (
            "openai",
            400,
            _openai("Input tokens exceed the configured limit of 272000 tokens.", code="context_length_exceeded"),
            None,
            None,
        ),
        (
            "openrouter",
            400,
            _openai(
                "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens",
                code=400,
            ),
            32_768,
            40_000,
        ),
        (
            "openrouter",
            400,
            _openai(
                "Provider returned error",
                code=400,
                metadata={"raw": '{"message":"prompt is too long: 210000 tokens > 200000 maximum"}'},
            ),
            200_000,
            210_000,
        ),
        (
            "compatible",
            400,
            {
                "object": "error",
                "message": "This model's maximum context length is 4096 tokens. However, you requested "
                "5000 tokens (4000 in the messages, 1000 in the completion).",
                "code": 400,
            },
            4096,
            5000,
        ),
        (
            "compatible",
            400,
            _openai("The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
            4096,
            5000,
        ),
        (
            "compatible",
            400,
            _openai(
                "This model's maximum context length is 2048 tokens. However, your request "
                "has 8 input tokens plus 2045 'max_tokens'."
            ),
            2048,
            8,
        ),
        (
            "compatible",
            400,
            {
                "error": {
                    "code": 400,
                    "message": "request (9412 tokens) exceeds the available context size (8192 tokens), "
                    "try increasing it",
                    "type": "exceed_context_size_error",
                    "n_prompt_tokens": 9412,
                    "n_ctx": 8192,
                }
            },
            8192,
            9412,
        ),
        (
            "compatible",
            500,
            _openai("the request exceeds the available context size. try increasing the context size"),
            None,
            None,
        ),
        ("ollama", 400, {"error": "the input length exceeds the context length"}, None, None),
        ("ollama", 500, {"error": "prompt too long; exceeded max context length by 12 tokens"}, None, None),
    ],
)
async def test_a_conversation_that_does_not_fit(
    provider: Provider, status: int, body: Any, window: int | None, asked: int | None, tmp_path: Path
) -> None:
    caught = await _failure(error(status, body), tmp_path, provider)
    assert isinstance(caught, ContextOverflow)
    assert not isinstance(caught, UserError)
    assert (caught.window, caught.asked, caught.requests) == (window, asked, 1)


@pytest.mark.parametrize(
    ("answer", "kind", "tries"),
    [
        (error(408), ChatTimeout, 3),
        (error(409), ServerFailure, 3),
        (error(425), ServerFailure, 3),
        (error(429), RateLimited, 3),
        (error(429, _openai("Rate limit reached. Visit the billing page to raise it.")), RateLimited, 3),
        (error(500), ServerFailure, 3),
        (error(503, _openai("Loading model", type="unavailable_error", code=503)), ServerFailure, 3),
        (error(529), ServerFailure, 3),
        (Answer(body=b"<html>502</html>"), MalformedReply, 3),
        (Answer(body=b""), MalformedReply, 3),
        (Answer(body=b"[]"), MalformedReply, 3),
        (Answer(body=b'{"choices": [{"mess'), MalformedReply, 3),
        (Answer(body=b'{"a":' * 100_000), MalformedReply, 3),
        (Answer(body=b"\xff\xfe\x00garbage"), MalformedReply, 3),
        (Answer(body=b'{"choices": []}'), MalformedReply, 3),
        (Answer(body=b'{"choices": [{"message": null}]}'), MalformedReply, 3),
        (Answer(content="", usage={"prompt_tokens": 5, "completion_tokens": 0}), MalformedReply, 3),
        (Answer(body=json.dumps(_openai("Upstream overloaded", code=502)).encode()), ServerFailure, 3),
        (Answer(body=json.dumps({"choices": [{"error": {"code": 429, "message": "slow"}}]}).encode()), RateLimited, 3),
        (Answer(content="half an ans", finish_reason="error"), MalformedReply, 3),
        (Answer(cut_at=20), ConnectionLost, 3),
        (Answer(drop=True), ConnectionLost, 3),
    ],
)
async def test_what_may_pass_is_tried_again(answer: Answer, kind: type[ChatError], tries: int, tmp_path: Path) -> None:
    caught = await _failure(answer, tmp_path)
    assert type(caught) is kind
    assert caught.requests == tries
    assert not isinstance(caught, UserError)


@pytest.mark.parametrize("answer", [Answer(stall=True), Answer(drip_s=0.5)])
async def test_no_answer_in_time(answer: Answer, tmp_path: Path) -> None:
    """A server that sends a byte now and then keeps no call alive beyond its time."""
    caught = await _failure(answer, tmp_path, timeout_s=4, retry=RetryPolicy(max_attempts=2))
    assert type(caught) is ChatTimeout
    assert caught.requests == 2


async def test_a_reply_too_large_is_not_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blocks.chat.transport.MAX_BODY_BYTES", 1_000_000)
    caught = await _failure(Answer(content="x" * 2_000_000), tmp_path)
    assert type(caught) is MalformedReply


async def test_nobody_listens(tmp_path: Path) -> None:
    waits = Waits()
    with socket.socket() as taken:
        # Bound to the end, so that nobody else is given the port; it does not listen, so whoever calls is refused.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with opened(url, tmp_path / "store.db", sleep=waits) as client:
            with pytest.raises(UnreachableEndpoint, match=url) as caught:
                await client.complete(ask())
    assert isinstance(caught.value, UserError)
    assert caught.value.remedy
    assert len(waits.seconds) == 3, "a server that is not there is given up sooner than one that fails"


async def test_a_name_that_does_not_resolve(tmp_path: Path) -> None:
    async with opened("http://no-such-host.invalid/v1", tmp_path / "store.db") as client:
        with pytest.raises(UnreachableEndpoint, match=r"no-such-host\.invalid"):
            await client.complete(ask())


async def test_an_unused_proxy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with opened("http://no-such-host.invalid/v1", tmp_path / "store.db") as client:
        with pytest.raises(UnreachableEndpoint, match="TRIGPOINT_TRUST_PROXY"):
            await client.complete(ask())


async def test_no_key_where_one_is_wanted_is_told_apart_from_a_wrong_one(tmp_path: Path) -> None:
    without = await _failure(error(401), tmp_path, key=None)
    assert "TRIGPOINT_API_KEY" in without.remedy
    assert "none is set" in without.message


async def test_what_the_server_says_is_shown_short_and_on_one_line(tmp_path: Path) -> None:
    caught = await _failure(error(400, _openai("first\nsecond " + "x" * 5000)), tmp_path)
    assert "first second" in str(caught)
    assert len(str(caught)) < 500


async def test_a_key_repeated_by_the_server_is_struck_out(tmp_path: Path) -> None:
    caught = await _failure(error(401, _openai(f"bad key {KEY}")), tmp_path)
    assert KEY not in repr(vars(caught))
    assert "***" in str(caught)


@pytest.mark.parametrize("provider", ["openai", "ollama"])
async def test_an_answer_held_back_by_a_filter_is_paid_once(provider: Provider, tmp_path: Path) -> None:
    with ModelServer(lambda _: Answer(content="", finish_reason="content_filter")) as server:
        async with opened(server, tmp_path / "store.db", provider=provider) as client:
            for _ in range(2):
                with pytest.raises(Refused):
                    await client.complete(ask())
        assert server.tally.asked.total() == 1
