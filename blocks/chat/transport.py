"""One HTTP exchange with a model server, over the connection pool that the whole process shares."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from weakref import WeakKeyDictionary

import httpx

from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import ChatTimeout, ConnectionLost, MalformedReply, UnreachableEndpoint

MAX_BODY_BYTES = 64 * 2**20
CONNECT_TIMEOUT_S = 15.0
SHARD = 4
"""Requests under way in one shard of the pool."""
REDACTED = "***"

# At DEBUG httpcore logs whole headers, and some servers repeat the caller's in theirs. Who wants that sets it there.
if logging.getLogger("httpcore").level == logging.NOTSET:
    logging.getLogger("httpcore").setLevel(logging.INFO)


@dataclass(frozen=True)
class Exchange:
    """What came back, secrets struck out."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    text: str
    seconds: float
    """From sending to the last byte."""


class _Pool:
    """The connections of one event loop, in shards.

    httpx's pool walks all its connections several times for each request, which at a hundred in flight costs more
    than everything else; a shard stays small. The first shard with room is taken, so that connections are used again.
    """

    def __init__(self, trust_proxy: bool) -> None:
        self.users = 0
        self._trust_proxy = trust_proxy
        self._tls = httpx.create_ssl_context()
        self._shards: list[tuple[httpx.AsyncClient, list[None]]] = []

    @contextmanager
    def client(self) -> Iterator[httpx.AsyncClient]:
        """A client with room, for one exchange."""
        client, busy = next((shard for shard in self._shards if len(shard[1]) < SHARD), None) or self._grow()
        busy.append(None)
        try:
            yield client
        finally:
            busy.pop()

    def _grow(self) -> tuple[httpx.AsyncClient, list[None]]:
        client = httpx.AsyncClient(
            verify=self._tls,
            trust_env=self._trust_proxy,
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30.0),
            headers={"User-Agent": "trigpoint", "Accept": "application/json"},
            # A cookie would tie calls together, of other runs and accounts too.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self._shards.append((client, []))
        return self._shards[-1]

    async def close(self) -> None:
        for client, _ in self._shards:
            await client.aclose()


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bool, _Pool]] = WeakKeyDictionary()


class Transport:
    """A share in the connection pool of this process, taken at the first call; `close` it in the same event loop.

    The pool is opened by the first share and closed with the last. Connections belong to an event loop, so a process
    with several loops (there is seldom more than one) has a pool for each.

    Args:
        trust_proxy: Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment are used.
    """

    def __init__(self, *, trust_proxy: bool = False) -> None:
        self._trust_proxy = trust_proxy
        self._pool: _Pool | None = None
        self._pools: dict[bool, _Pool] = {}

    def _take_share(self) -> _Pool:
        if self._pool is None:
            self._pools = _pools.setdefault(asyncio.get_running_loop(), {})
            if self._trust_proxy not in self._pools:
                self._pools[self._trust_proxy] = _Pool(self._trust_proxy)
            self._pool = self._pools[self._trust_proxy]
            self._pool.users += 1
        return self._pool

    async def close(self) -> None:
        """Gives the share back; may be called again."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        pool.users -= 1
        if not pool.users:
            del self._pools[self._trust_proxy]
            await pool.close()

    async def post(self, endpoint: Endpoint, body: Mapping[str, Any], key: str, timeout_s: float) -> Exchange:
        """Sends a chat call and reads the whole reply, whatever its status.

        Args:
            endpoint: Where to.
            body: The JSON body.
            key: The call's journal key, sent as Idempotency-Key: a provider that heeds it will not bill a repeated
                request twice.
            timeout_s: Seconds for all of it.

        Raises:
            UnreachableEndpoint: No connection came about.
            ConnectionLost: It broke before the reply was complete.
            ChatTimeout: The time ran out.
            MalformedReply: The reply is larger than any chat completion.
        """
        pool = self._take_share()
        started = time.perf_counter()
        try:
            async with asyncio.timeout(timeout_s):
                with pool.client() as client:
                    response = await client.send(self._request(client, endpoint, body, key), stream=True)
                    try:
                        raw = await _read(response, endpoint)
                    finally:
                        await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
            raise _unreachable(endpoint, error, self._trust_proxy) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ChatTimeout(
                f"{endpoint.id} gave no complete answer within {timeout_s:g} s.",
                "Raise timeout_s, or lower max_tokens or max_in_flight.",
            ) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            message = f"The connection to {endpoint.id} broke before the answer was complete."
            raise ConnectionLost(message, detail=_struck(str(error), endpoint)) from error
        text = _struck(raw.decode("utf-8", "replace"), endpoint)
        headers = {name.lower(): _struck(value, endpoint) for name, value in response.headers.items()}
        return Exchange(response.status_code, headers, text, time.perf_counter() - started)

    @staticmethod
    def _request(client: httpx.AsyncClient, endpoint: Endpoint, body: Mapping[str, Any], key: str) -> httpx.Request:
        request = client.build_request(
            "POST",
            endpoint.chat_url,
            content=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": key, **endpoint.headers},
        )
        if endpoint.query:
            # A query may hold a key, and httpx logs URLs: it goes onto the wire without being in the URL.
            request.extensions["target"] = request.url.raw_path + b"?" + endpoint.query.encode()
        return request


async def _read(response: httpx.Response, endpoint: Endpoint) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise MalformedReply(f"{endpoint.id} sent more than {MAX_BODY_BYTES // 2**20} MiB as a reply.")
        parts.append(part)
    return b"".join(parts)


def _unreachable(endpoint: Endpoint, error: Exception, trust_proxy: bool) -> UnreachableEndpoint:
    detail = _struck(str(error), endpoint)
    remedy = f"Check that a server runs at {endpoint.id} and can be reached from here."
    proxies = [name for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy") if os.environ.get(name)]
    if proxies and not trust_proxy:
        remedy += f" {proxies[0]} is set but not used; TRIGPOINT_TRUST_PROXY=1 uses it."
    because = f" ({detail})" if detail else ""
    return UnreachableEndpoint(f"{endpoint.id} cannot be reached{because}.", remedy, detail=detail)


def _struck(text: str, endpoint: Endpoint) -> str:
    """The text without the endpoint's secrets, which some servers repeat in their errors."""
    for secret in endpoint.secrets:
        if secret in text:
            text = text.replace(secret, REDACTED)
    return text
