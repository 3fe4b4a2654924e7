"""Model names, base URLs and keys: where a call goes, and one clear sentence when that cannot be told."""

from __future__ import annotations

import pickle

import pytest
from pydantic import SecretStr

from blocks.chat.endpoints import parse_model
from blocks.chat.errors import ChatError, MissingKey, UnknownModelName, WrongKey
from blocks.errors import UserError

ENVIRONMENT = {"OPENROUTER_API_KEY": "or-key", "OPENAI_API_KEY": "oa-key", "TRIGPOINT_API_KEY": "own-key"}


@pytest.mark.parametrize(
    ("name", "base_url", "model", "chat_url", "key"),
    [
        (
            "openrouter/qwen/qwen3:free",
            None,
            "qwen/qwen3:free",
            "https://openrouter.ai/api/v1/chat/completions",
            "or-key",
        ),
        (
            "openrouter/openrouter/auto",
            None,
            "openrouter/auto",
            "https://openrouter.ai/api/v1/chat/completions",
            "or-key",
        ),
        ("openai/gpt-x", None, "gpt-x", "https://api.openai.com/v1/chat/completions", "oa-key"),
        ("ollama/qwen2.5:1.5b", None, "qwen2.5:1.5b", "http://127.0.0.1:11434/api/chat", None),
        ("ollama/me/mine", "http://gpu:11434", "me/mine", "http://gpu:11434/api/chat", "own-key"),
        ("ollama/m", "http://gpu:11434/v1/", "m", "http://gpu:11434/api/chat", "own-key"),
        ("plain", "http://gpu:8000/v1", "plain", "http://gpu:8000/v1/chat/completions", "own-key"),
        ("plain", "http://gpu:8000", "plain", "http://gpu:8000/v1/chat/completions", "own-key"),
        (
            "openai/gpt-oss-20b",
            "http://gpu:8000/v1",
            "openai/gpt-oss-20b",
            "http://gpu:8000/v1/chat/completions",
            "own-key",
        ),
        (" m ", "https://[::1]:443/api/v1/", "m", "https://[::1]/api/v1/chat/completions", "own-key"),
    ],
)
def test_a_name_says_where_to_ask(name: str, base_url: str | None, model: str, chat_url: str, key: str | None) -> None:
    address = parse_model(name, base_url, environ=ENVIRONMENT)
    assert address.model == model
    assert address.endpoint.chat_url == chat_url
    found = address.endpoint.key
    assert (found.get_secret_value() if found else None) == key


def test_a_providers_key_never_goes_to_another_host() -> None:
    only_theirs = {"OPENAI_API_KEY": "oa-key", "OPENROUTER_API_KEY": "or-key"}
    for name in ("openai/m", "openrouter/m", "ollama/m", "m"):
        assert parse_model(name, "http://elsewhere/v1", environ=only_theirs).endpoint.headers == {}


def test_addresses_from_the_environment() -> None:
    environ = {"OLLAMA_HOST": "gpu:11434", "OPENAI_BASE_URL": "http://proxy/v1", "OPENAI_API_KEY": "oa"}
    assert parse_model("ollama/m", environ=environ).endpoint.id == "http://gpu:11434/api"
    openai = parse_model("openai/m", environ=environ).endpoint
    assert (openai.id, openai.provider, openai.headers) == ("http://proxy/v1", "openai", {"Authorization": "Bearer oa"})


def test_a_given_provider_wins() -> None:
    address = parse_model("gpt-x", provider="openai", environ=ENVIRONMENT)
    assert (address.model, address.endpoint.id) == ("gpt-x", "https://api.openai.com/v1")
    assert parse_model("m", "http://gpu/", provider="ollama").endpoint.chat_url == "http://gpu/api/chat"


@pytest.mark.parametrize(
    ("name", "base_url", "kind", "names"),
    [
        ("gpt-x", None, UnknownModelName, "openrouter/<vendor>/<model>"),
        ("anthropic/c", None, UnknownModelName, "'anthropic'"),
        ("", None, UnknownModelName, "openai/<model>"),
        ("openrouter/", None, UnknownModelName, "openrouter/"),
        ("openrouter/a/b", None, MissingKey, "OPENROUTER_API_KEY"),
        ("openai/a", None, MissingKey, "OPENAI_API_KEY"),
        ("m", "gpu:8000/v1", UnknownModelName, "http://"),
        ("m", "http://", UnknownModelName, "host"),
        ("m", "http://gpu:99999/v1", UnknownModelName, "URL"),
        ("m", "http://gpu/v1#x", UnknownModelName, "#"),
    ],
)
def test_a_mistake_is_one_sentence_with_a_remedy(
    name: str, base_url: str | None, kind: type[ChatError], names: str
) -> None:
    with pytest.raises(kind) as caught:
        parse_model(name, base_url, environ={})
    assert isinstance(caught.value, UserError)
    assert names in str(caught.value)
    assert caught.value.remedy


def test_offline_needs_no_key() -> None:
    assert parse_model("openrouter/a/b", offline=True, environ={}).endpoint.key is None


@pytest.mark.parametrize(
    "key", ["sk-\u201cquoted\u201d-0123456789", "sk-two lines\nof-it-0123456789", "sk a b c d e f g h"]
)
def test_a_key_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(WrongKey) as caught:
        parse_model("openai/m", environ={"OPENAI_API_KEY": key})
    assert "OPENAI_API_KEY" in str(caught.value)
    assert key not in str(caught.value)
    assert key not in repr(caught.value)


def test_a_line_end_after_the_key_is_no_mistake() -> None:
    endpoint = parse_model("openai/m", environ={"OPENAI_API_KEY": "sk-1\n"}).endpoint
    assert endpoint.headers == {"Authorization": "Bearer sk-1"}


def test_credentials_in_the_url_stay_out_of_id_and_repr() -> None:
    endpoint = parse_model("m", "http://me:p%40ss-word-1234@gpu/v1?key=query-secret-1", environ={}).endpoint
    assert endpoint.id == "http://gpu/v1"
    assert endpoint.headers["Authorization"] == "Basic bWU6cEBzcy13b3JkLTEyMzQ="
    assert set(endpoint.secrets) >= {"p@ss-word-1234", "query-secret-1", "bWU6cEBzcy13b3JkLTEyMzQ="}
    for secret in ("p%40ss", "p@ss", "query-secret", "bWU6"):
        assert secret not in repr(endpoint)


def test_placeholder_keys_are_no_secrets_to_strike_out() -> None:
    assert parse_model("m", "http://gpu/v1", api_key=SecretStr("EMPTY")).endpoint.secrets == ()


def test_errors_survive_pickling() -> None:
    with pytest.raises(MissingKey) as caught:
        parse_model("openai/a", environ={})
    caught.value.requests = 3
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.requests, type(again)) == (str(caught.value), 3, MissingKey)
