"""Lists of models, from stand-ins that speak as OpenRouter, OpenAI, vLLM, llama.cpp and Ollama do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr

from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import MalformedReply, UnknownModelName, WrongEndpoint, WrongKey
from blocks.chat.listing import list_models, ollama_window
from blocks.model_desk import models_of
from tests.support.model_answers import Answer, error
from tests.support.model_server import ModelServer

OPENROUTER = {
    "id": "qwen/qwen3-coder",
    "name": "Qwen: Qwen3 Coder",
    "context_length": 262144,
    "pricing": {"prompt": "0.00000022", "completion": "0.00000095"},
}
ROUTER = {"id": "openrouter/auto", "context_length": 2000000, "pricing": {"prompt": "-1", "completion": "-1"}}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def endpoint(server: ModelServer, **changes: Any) -> Endpoint:
    return Endpoint("compatible", server.base_url, **changes)


async def test_windows_and_prices_are_those_listed(server: ModelServer) -> None:
    server.pages["/v1/models"] = lambda body: {"data": [
        OPENROUTER, ROUTER, {"id": "vllm", "max_model_len": 8192}, {"id": "llama", "meta": {"n_ctx_train": 4096}},
        {"id": "gpt", "object": "model", "owned_by": "openai"}, {"id": 5}, "nonsense",
    ]}  # fmt: skip
    found = {model.id: model for model in await list_models(endpoint(server))}
    assert {name: model.window for name, model in found.items()} == {
        "qwen/qwen3-coder": 262144, "openrouter/auto": 2000000, "vllm": 8192, "llama": 4096, "gpt": None,
    }  # fmt: skip
    coder = found["qwen/qwen3-coder"]
    assert (coder.input_usd_per_mtok, coder.output_usd_per_mtok, coder.about) == (0.22, 0.95, "Qwen: Qwen3 Coder")
    assert found["openrouter/auto"].input_usd_per_mtok is None, "it depends: unknown"


async def test_ollamas_models_are_asked_one_by_one(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.ollama_url)
    server.pages["/api/tags"] = lambda body: {
        "models": [{"model": "qwen:7b", "details": {"parameter_size": "7B", "quantization_level": "Q4"}}, {"name": "x"}]
    }
    server.pages["/api/show"] = lambda body: (
        {"model_info": {"qwen2.context_length": 32768}, "parameters": "stop \"x\"\nnum_ctx    16384"}
        if body == {"model": "qwen:7b"} else {"model_info": {"llama.context_length": 2048}}
    )  # fmt: skip
    found = await models_of("ollama", None)
    assert [(model.id, model.window, model.about) for model in found] == [("qwen:7b", 16384, "7B Q4"), ("x", 2048, "")]
    assert await ollama_window(Endpoint("ollama", f"{server.ollama_url}/api"), "x") == 2048


async def test_the_key_goes_along_and_a_wrong_one_is_said(server: ModelServer) -> None:
    server.pages["/v1/models"] = lambda body: error(401, {"error": {"message": "bad key"}})
    with pytest.raises(WrongKey, match="does not accept the key"):
        await list_models(endpoint(server, key=SecretStr("secret-of-this-test")))


async def test_what_is_no_list_is_said(server: ModelServer) -> None:
    with pytest.raises(WrongEndpoint):
        await list_models(endpoint(server))
    pages: list[Any] = [{"models": []}, Answer(body=b"<html>"), Answer(body=b"[]")]
    for page in pages:
        server.pages["/v1/models"] = partial(_page, page)
        with pytest.raises(MalformedReply):
            await list_models(endpoint(server))


def _page(page: Any, body: dict[str, Any]) -> Any:
    return page


async def test_providers_by_name() -> None:
    assert {model.id for model in await models_of("mock", None)} >= {"mock", "json", "slow"}
    with pytest.raises(UnknownModelName, match="--base-url"):
        await models_of("compatible", None)
    with pytest.raises(UnknownModelName, match="no provider"):
        await models_of("nonsense", None)
