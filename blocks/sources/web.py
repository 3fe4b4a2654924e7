"""Files over HTTP(S): streamed under a cap, resumed where the server allows, tried again where that may help."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from blocks.chat.patience import asked
from blocks.chat.waits import server_wait
from blocks.sources.landing import PartFile
from blocks.sources.models import FetchLimits, Progress, RetryLimits, SourceError, too_large

MAX_REDIRECTS: Final = 10
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
TOLD_S: Final = 60.0
"""A longer wait that a server asks for is told with its refusal."""
Sleep = Callable[[float], Awaitable[None]]


class Interrupted(SourceError):
    """A transfer that broke off, and may go on.

    Args:
        message: What happened.
        retry_after_s: How long the server asks to be left alone, seconds.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        then = ""
        if (retry_after_s or 0.0) >= TOLD_S:
            message, then = f"{message.rstrip('.')} and asks {asked(retry_after_s or 0.0)}.", " then"
        super().__init__(message, f"Run the same command again{then}: it goes on where it stopped.")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Received:
    """A file that came in whole.

    Attributes:
        path: Where it is.
        url: Where it was found, after redirects.
        version: The server's name for this version: ETag, else Last-Modified, else empty.
        name: The file's name as the server says it, else from the address; no path.
        transferred: Bytes that came over the wire, those of broken tries included.
    """

    path: Path
    url: str
    version: str
    name: str
    transferred: int


class WebFetcher:
    """Fetches files over HTTP; a context manager that holds the connections.

    Args:
        retry: How patiently.
        headers: Sent with every request to the place of the address, e.g. for a private server; a redirect to another
            place does not get them.
        trust_proxy: Whether HTTP_PROXY and the like apply.
        sleep: How to wait; tests replace it.
    """

    def __init__(
        self,
        retry: RetryLimits | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        trust_proxy: bool = False,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._retry = retry or RetryLimits()
        self._headers = dict(headers or {})
        self._sleep = sleep
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(self._retry.stall_s),
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            trust_env=trust_proxy,
            headers={"User-Agent": "trigpoint", "Accept-Encoding": "identity"},
            event_hooks={"request": [self._keep_secrets]},
        )

    async def _keep_secrets(self, request: httpx.Request) -> None:
        """Called for every request, those of redirects too, which httpx sends with our headers wherever they lead."""
        asked: httpx.URL = request.extensions["trigpoint.asked"]
        if not _same_place(asked, request.url):
            for name in self._headers:
                request.headers.pop(name, None)

    async def __aenter__(self) -> WebFetcher:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def version(self, url: str) -> str:
        """The server's name for the file's present version; empty where it does not say.

        Raises:
            SourceError: The server cannot be reached.
        """
        try:
            response = await self._client.head(url, headers=self._headers, extensions=_asked(url))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(f"{url} cannot be reached ({_reason(error)}).", "Check the address.") from error
        return _version(response.headers) if response.is_success else ""

    async def fetch(self, url: str, part: Path, limits: FetchLimits, progress: Progress, *, what: str = "") -> Received:
        """Fetch a file, going on with what an earlier try left in `part`.

        Args:
            url: An http or https address.
            part: The file that grows; afterwards it is gone and `<part>.whole` is there.
            limits: The cap, checked against the announced size and while bytes come in.
            progress: Told while bytes come in.
            what: The file's lasting name, where the address is a passing or a secret one; empty: the address.

        Raises:
            SourceRefused: The file is over the cap.
            SourceError: The server has none for us, it broke off too often, or took too long.
        """
        what = what or url
        transfer = _Transfer(self._client, url, what, PartFile(part, what, limits), limits, progress, self._headers)
        retrying = AsyncRetrying(
            sleep=self._sleep,
            wait=self._wait,
            stop=lambda state: transfer.fruitless >= self._retry.attempts or self._asked_too_much(state),
            retry=retry_if_exception_type(Interrupted),
            reraise=True,
        )
        try:
            async with asyncio.timeout(self._retry.total_s):
                return await retrying(transfer.attempt)
        except TimeoutError as error:
            raise SourceError(f"{what} took more than {self._retry.total_s:g} seconds.", "Try again later.") from error

    def _wait(self, state: RetryCallState) -> float:
        error = _failure(state)
        if error.retry_after_s is not None:
            return error.retry_after_s
        ceiling = min(self._retry.max_wait_s, self._retry.first_wait_s * 2.0 ** min(state.attempt_number - 1, 30))
        return random.uniform(ceiling / 2, ceiling)

    def _asked_too_much(self, state: RetryCallState) -> bool:
        return (_failure(state).retry_after_s or 0.0) > self._retry.max_server_wait_s


class _Transfer:
    """One file's way here, over as many tries as it takes."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        what: str,
        part: PartFile,
        limits: FetchLimits,
        progress: Progress,
        headers: Mapping[str, str],
    ) -> None:
        self._client, self._url, self._what, self._part = client, url, what, part
        self._limits, self._progress, self._headers = limits, progress, headers
        self._transferred = 0
        self._furthest = part.size
        self.fruitless = 0
        """Tries in a row that brought no new byte."""

    async def attempt(self) -> Received:
        self.fruitless += 1
        validator = self._part.validator(self._what)
        headers = dict(self._headers)
        if validator:
            headers |= {"Range": f"bytes={self._part.size}-", "If-Range": validator}
        try:
            async with self._client.stream("GET", self._url, headers=headers, extensions=_asked(self._url)) as response:
                self._judge(response)
                return await self._read(response)
        except httpx.TooManyRedirects as error:
            raise SourceError(f"{self._what} is redirected without end.", "Check the address.") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise SourceError(f"{self._what} leads to an address that is not http(s).", "Check it.") from error
        except httpx.ReadTimeout as error:
            raise Interrupted(f"{self._what} sent nothing for too long.") from error
        except httpx.TransportError as error:
            raise Interrupted(f"{self._what} broke off ({_reason(error)}).") from error

    def _judge(self, response: httpx.Response) -> None:
        """Raises unless the reply carries the file."""
        status = response.status_code
        if status == 416:
            # What we hold is longer than what is there: another file by now.
            self._part.discard()
            raise Interrupted(f"{self._what} has changed.")
        if status in _AGAIN:
            raise Interrupted(f"{self._what} answered {status}.", server_wait(response.headers, refused=status == 429))
        if status not in (200, 206):
            remedy = "Check that you may read it." if status in (401, 403) else "Check the address."
            raise SourceError(f"{self._what} answered {status} {response.reason_phrase}".rstrip() + ".", remedy)

    async def _read(self, response: httpx.Response) -> Received:
        total = self._start(response)
        if total is not None and total > self._limits.max_bytes:
            self._part.discard()
            raise too_large(self._what, total, self._limits)
        size = self._part.size
        self._progress(size, total)
        async for chunk in response.aiter_raw():
            size = self._part.append(chunk)
            self._transferred += len(chunk)
            if size > self._furthest:
                # Bytes seen before are no progress: a server that always breaks off early is not asked for ever.
                self._furthest, self.fruitless = size, 0
            self._progress(size, total)
        if total is not None and size != total:
            raise Interrupted(f"{self._what} sent {size:,} of {total:,} bytes.")
        whole = self._part.finish(self._part.path.with_name(self._part.path.name + ".whole"))
        return Received(whole, str(response.url), _version(response.headers), _name(response), self._transferred)

    def _start(self, response: httpx.Response) -> int | None:
        """Decide where the bytes belong: behind those we have, or at the start. The size announced, if any."""
        found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
        if response.status_code == 206:
            now, then = _validator(response.headers), self._part.validator(self._what)
            if found is None or int(found[1]) != self._part.size or (now and now != then):
                self._part.discard()
                raise Interrupted(f"{self._what} sent another part than the one asked for.")
            return int(found[3]) if found[3] != "*" else int(found[2]) + 1
        self._part.begin(self._what, _validator(response.headers))
        length = response.headers.get("content-length", "")
        return int(length) if length.isdigit() else None


def _asked(url: str) -> dict[str, httpx.URL]:
    """Goes along with a request through all its redirects: where it was sent at first."""
    return {"trigpoint.asked": httpx.URL(url)}


def _same_place(asked: httpx.URL, now: httpx.URL) -> bool:
    """Whether both are one server; the step from http to https on the same host is taken for one."""
    if (asked.scheme, asked.host, asked.port) == (now.scheme, now.host, now.port):
        return True
    upgraded = asked.scheme == "http" and now.scheme == "https" and asked.port is None and now.port is None
    return upgraded and asked.host == now.host


def _failure(state: RetryCallState) -> Interrupted:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Interrupted)
    return error


def _validator(headers: Mapping[str, str]) -> str:
    """What If-Range takes: only a strong tag, or a date, vouches for equal bytes."""
    if headers.get("accept-ranges", "").strip().lower() == "none":
        return ""
    tag = headers.get("etag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("last-modified", "")


def _version(headers: Mapping[str, str]) -> str:
    return headers.get("etag", "") or headers.get("last-modified", "")


def _name(response: httpx.Response) -> str:
    disposition = response.headers.get("content-disposition", "")
    found = re.search(r"filename\*\s*=\s*[\w-]+''([^;\s]+)", disposition) or re.search(
        r"filename\s*=\s*\"?([^\";]+)", disposition
    )
    name = unquote(found[1] if found else urlsplit(str(response.url)).path)
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__
