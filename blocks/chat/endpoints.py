"""Where a model is asked: provider, address and key, from a model name such as `openrouter/<vendor>/<model>`."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from blocks.chat.errors import MissingKey, UnknownModelName, WrongKey

Provider = Literal["openrouter", "openai", "ollama", "compatible", "mock"]
"""`compatible`: any other server with OpenAI's chat API (vLLM, llama.cpp, …) at a base URL. `mock`: no server."""
DialectName = Literal["openai", "ollama"]

OWN_KEY = "TRIGPOINT_API_KEY"
"""The key for a base URL the user gives: a provider's own key is never sent to another host."""
SECRET_CHARS = 12
"""A shorter text is not struck out of replies: it could be a word of the answer."""
DEFAULT_PORTS = {"http": 80, "https": 443}
EXAMPLES = "openrouter/<vendor>/<model>, openai/<model> or ollama/<model>"


@dataclass(frozen=True)
class _Known:
    """A provider that a prefix names."""

    url: str
    url_variable: str | None
    key_variable: str
    needs_key: bool


PROVIDERS: Mapping[Provider, _Known] = {
    "openrouter": _Known("https://openrouter.ai/api/v1", None, "OPENROUTER_API_KEY", needs_key=True),
    "openai": _Known("https://api.openai.com/v1", "OPENAI_BASE_URL", "OPENAI_API_KEY", needs_key=True),
    "ollama": _Known("http://127.0.0.1:11434", "OLLAMA_HOST", "OLLAMA_API_KEY", needs_key=False),
}
_PREFIXES: Mapping[str, Provider] = {name: name for name in (*PROVIDERS, "mock")}
"""What a model's name can begin with."""


@dataclass(frozen=True)
class Endpoint:
    """An address with a chat API.

    `id` is what the journal key holds: scheme, host, port and path, without trailing slash, credentials or query.
    """

    provider: Provider
    id: str
    key: SecretStr | None = None
    key_variable: str = OWN_KEY
    query: str = field(default="", repr=False)
    basic: SecretStr | None = None
    """Credentials that stood in the URL, `user:password`."""

    @property
    def dialect(self) -> DialectName:
        """The wire form this provider speaks."""
        return "ollama" if self.provider == "ollama" else "openai"

    @property
    def account(self) -> str:
        """Whom a provider's limits are about: the address and a digest of what authenticates, too short to be tried."""
        secret = self.key or self.basic
        known = f"{secret.get_secret_value() if secret else ''}?{self.query}"
        return f"{self.id}#{hashlib.sha256(known.encode()).hexdigest()[:8]}"

    @property
    def chat_url(self) -> str:
        """The URL of chat calls, without credentials and query."""
        return f"{self.id}/chat" if self.provider == "ollama" else f"{self.id}/chat/completions"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that authenticate; they hold secrets."""
        if self.key is not None:
            return {"Authorization": f"Bearer {self.key.get_secret_value()}"}
        if self.basic is not None:
            pair = self.basic.get_secret_value().encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in anything kept or shown; placeholders such as `EMPTY` are none."""
        found = [self.key.get_secret_value()] if self.key else []
        if self.basic is not None:
            pair = self.basic.get_secret_value()
            found += [pair, base64.b64encode(pair.encode()).decode(), pair.partition(":")[2]]
        found += [part.partition("=")[2] for part in self.query.split("&")]
        return tuple(text for text in found if len(text) >= SECRET_CHARS)


@dataclass(frozen=True)
class ModelAddress:
    """A model and where it is asked."""

    model: str
    """The name as the endpoint knows it: what `ChatRequest.model` must be."""
    endpoint: Endpoint
    name: str
    """The name as the user wrote it."""


def parse_model(
    name: str,
    base_url: str | None = None,
    *,
    provider: Provider | None = None,
    api_key: SecretStr | None = None,
    offline: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> ModelAddress:
    """Works out model, address and key from what a user writes.

    Without a base URL the name's first part is the provider. With one the name is sent as it stands (servers have
    models called `openai/gpt-oss-20b`), but for the prefix `ollama/`, which selects Ollama's own API.

    Args:
        name: `openrouter/<vendor>/<model>`, `openai/<model>`, `ollama/<model>`, or any name with `base_url`.
        base_url: Address of the API, for OpenAI's dialect with its `/v1`.
        provider: Overrides what name and base URL say.
        api_key: The key; None: from the environment.
        offline: The call will be answered from a journal, so no key is needed.
        environ: Environment variables.

    Raises:
        UnknownModelName: The name has no provider and there is no base URL, or the URL is none.
        MissingKey: The provider needs a key and none is set.
        WrongKey: The key holds characters that no HTTP header can carry.
    """
    name = name.strip()
    base_url = (base_url or "").strip()
    chosen, model = _split(name, base_url, provider)
    if chosen == "mock":
        return ModelAddress(model, Endpoint("mock", "mock:"), name)
    known = PROVIDERS.get(chosen)
    variable = known.key_variable if known and not base_url else OWN_KEY
    key = _key(api_key, environ.get(variable), variable)
    url = base_url
    if known and not base_url:
        url = (environ.get(known.url_variable) if known.url_variable else None) or known.url
        if key is None and known.needs_key and url == known.url and not offline:
            raise MissingKey(
                f"The model {name} needs a key and {variable} is not set.",
                f"Set the environment variable {variable}, or give the ChatModel block an api_key.",
            )
    return ModelAddress(model, _endpoint(chosen, url, key, variable), name)


def _split(name: str, base_url: str, provider: Provider | None) -> tuple[Provider, str]:
    prefix, slash, rest = name.partition("/")
    if not name or (slash and prefix in _PREFIXES and not rest.strip("/")):
        raise UnknownModelName(f"The model name '{name}' names no model.", f"Write {EXAMPLES}.")
    if provider is not None:
        if provider == "compatible" and not base_url:
            raise UnknownModelName(f"The model {name} has no address.", "Give the base URL of its API.")
        return provider, rest if prefix == provider and not base_url else name
    if base_url:
        return ("ollama", rest) if prefix == "ollama" and slash else ("compatible", name)
    if slash and prefix in _PREFIXES:
        return _PREFIXES[prefix], rest
    remedy = f"Write {EXAMPLES}, or give the base URL of the server that has it."
    if slash:
        raise UnknownModelName(f"'{prefix}' in the model name '{name}' is no provider.", remedy)
    raise UnknownModelName(f"The model name '{name}' says no provider.", remedy)


def _key(given: SecretStr | None, found: str | None, variable: str) -> SecretStr | None:
    text = (given.get_secret_value() if given is not None else found or "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise WrongKey(
            f"The API key{'' if given else f' in {variable}'} holds characters no key has.",
            "Look for quotes, spaces or line ends that were copied with it.",
        )
    return SecretStr(text)


def _endpoint(provider: Provider, url: str, key: SecretStr | None, variable: str) -> Endpoint:
    if provider == "ollama" and "://" not in url:
        url = f"http://{url}"
    parts, address = _address(url)
    path = parts.path.rstrip("/")
    if provider == "ollama":
        path = path.removesuffix("/chat").removesuffix("/api").removesuffix("/v1") + "/api"
    else:
        path = path.removesuffix("/chat/completions") or "/v1"
    basic = None
    if parts.username is not None:
        basic = SecretStr(f"{unquote(parts.username)}:{unquote(parts.password or '')}")
    return Endpoint(provider, address + path, key, variable, parts.query, basic)


def _address(url: str) -> tuple[SplitResult, str]:
    """The URL's parts, and its scheme, host and port in one canonical form."""
    remedy = "Write it like http://127.0.0.1:8000/v1."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UnknownModelName("The base URL is no valid URL.", remedy) from None
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise UnknownModelName("The base URL must begin with http:// or https:// and name a host.", remedy)
    if parts.fragment or any(sign.isspace() for sign in url):
        raise UnknownModelName("The base URL must hold neither a # part nor blanks.", remedy)
    host = "127.0.0.1" if host == "0.0.0.0" else host
    host = f"[{host}]" if ":" in host else host
    tail = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return parts, f"{parts.scheme}://{host}{tail}"
