"""One HTTP exchange with a model server, over the connection pool that the whole process shares."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import httpx
from pydantic_core import to_json

from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import ChatTimeout, ConnectionLost, MalformedReply, UnreachableEndpoint
from blocks.chat.quoting import MASK
from blocks.proxies import proxy_of, spare_loopback

MAX_BODY_BYTES = 64 * 2**20
CONNECT_TIMEOUT_S = 15.0
HEADERS = {
    "User-Agent": "trigpoint",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json",
}
TIMEOUTS = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S).as_dict()

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


class Departure(Protocol):
    """Told when a request leaves."""

    def leaves(self) -> None:
        """Its first byte is about to be written."""
        ...

    def has_left(self) -> None:
        """Its last byte has been written."""
        ...


class _Line(NamedTuple):
    """A connection that is kept."""

    send: Callable[[httpx.Request], Awaitable[httpx.Response]]
    close: Callable[[], Awaitable[None]]


class _Pool:
    """The connections of one event loop, each behind an httpx transport of its own; the one used last is taken first.

    httpx's pool walks all its connections several times for each request, which at a hundred in flight costs more
    than everything else; a pool of one has nothing to walk. Nor is there need of an httpx client around it, which
    follows redirects, keeps cookies and merges defaults: only it knows how to find a proxy.
    """

    def __init__(self, trust_proxy: bool) -> None:
        self.users = 0
        self._trust_proxy = trust_proxy
        self._tls = httpx.create_ssl_context()
        self._all: list[_Line] = []
        self._idle: list[_Line] = []

    @contextmanager
    def line(self) -> Iterator[_Line]:
        """A connection for one exchange."""
        line = self._idle.pop() if self._idle else self._grow()
        try:
            yield line
        finally:
            self._idle.append(line)

    def _grow(self) -> _Line:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30.0)
        if self._trust_proxy:
            # A cookie would tie calls together, of other runs and accounts too.
            cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
            client = httpx.AsyncClient(verify=self._tls, limits=limits, cookies=cookies)
            line = _Line(partial(client.send, stream=True), client.aclose)
        else:
            transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=limits)
            line = _Line(transport.handle_async_request, transport.aclose)
        self._all.append(line)
        return line

    async def close(self) -> None:
        for line in self._all:
            await line.close()


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

    async def post(
        self, endpoint: Endpoint, body: Mapping[str, Any], key: str, timeout_s: float, leg: Departure | None = None
    ) -> Exchange:
        """Sends a chat call and reads the whole reply, whatever its status.

        Args:
            endpoint: Where to.
            body: The JSON body.
            key: The call's journal key, sent as Idempotency-Key: a provider that heeds it will not bill a repeated
                request twice.
            timeout_s: Seconds for all of it.
            leg: Told when it leaves.

        Raises:
            UnreachableEndpoint: No connection came about.
            ConnectionLost: It broke before the reply was complete.
            ChatTimeout: The time ran out.
            MalformedReply: The reply is larger than any chat completion.
        """
        return await self._exchange(endpoint, _request(endpoint, body, key, leg), timeout_s)

    async def look_up(self, endpoint: Endpoint, url: str, body: Mapping[str, Any] | None, timeout_s: float) -> Exchange:
        """Asks for something else than a chat call: a GET, or a POST where there is a body.

        Args:
            endpoint: Whose key and query are sent.
            url: Where to, at that endpoint.
            body: The JSON body of a POST.
            timeout_s: Seconds for all of it.

        Raises:
            ChatError: As of `post`.
        """
        request = httpx.Request(
            "POST" if body else "GET",
            url,
            content=json.dumps(body).encode() if body else None,
            headers={**HEADERS, **endpoint.headers},
            extensions={"timeout": TIMEOUTS},
        )
        return await self._exchange(endpoint, _with_query(request, endpoint), timeout_s)

    async def _exchange(self, endpoint: Endpoint, request: httpx.Request, timeout_s: float) -> Exchange:
        if self._pool is None and self._trust_proxy:
            spare_loopback(str(request.url))
        pool = self._take_share()
        started = time.perf_counter()
        try:
            async with asyncio.timeout(timeout_s):
                with pool.line() as line:
                    response = await line.send(request)
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


def _request(endpoint: Endpoint, body: Mapping[str, Any], key: str, leg: Departure | None) -> httpx.Request:
    request = httpx.Request(
        "POST",
        _url(endpoint.chat_url),
        content=to_json(body),
        headers={**HEADERS, "Idempotency-Key": key, **endpoint.headers},
        extensions={"timeout": TIMEOUTS},
    )
    if leg is not None:
        request.extensions["trace"] = partial(_trace, leg)
    return _with_query(request, endpoint)


def _with_query(request: httpx.Request, endpoint: Endpoint) -> httpx.Request:
    if endpoint.query:
        # A query may hold a key, and httpx logs URLs: it goes onto the wire without being in the URL.
        request.extensions["target"] = request.url.raw_path + b"?" + endpoint.query.encode()
    return request


@lru_cache(maxsize=64)
def _url(address: str) -> httpx.URL:
    """Parsed once: that costs as much as sending."""
    return httpx.URL(address)


async def _trace(leg: Departure, event: str, _: Mapping[str, Any]) -> None:
    if event.endswith(".send_request_headers.started"):
        leg.leaves()
    elif event.endswith(".send_request_body.complete"):
        leg.has_left()


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
    proxy = proxy_of(endpoint.id)
    if proxy and not trust_proxy:
        remedy += f" {proxy} is set but not used; TRIGPOINT_TRUST_PROXY=1 uses it."
    because = f" ({detail})" if detail else ""
    return UnreachableEndpoint(f"{endpoint.id} cannot be reached{because}.", remedy, detail=detail)


def _struck(text: str, endpoint: Endpoint) -> str:
    """The text without the endpoint's secrets, which some servers repeat in their errors."""
    for secret in endpoint.secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    return text
