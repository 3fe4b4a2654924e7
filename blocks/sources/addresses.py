"""A web address as a source: one file, its version known before the transfer only when somebody asks the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

from blocks.proxies import spare_loopback
from blocks.sources.archives import extract_table
from blocks.sources.copying import landed
from blocks.sources.models import Facts, Fetched, FetchLimits, Progress, Reference, RetryLimits, SourceError
from blocks.sources.web import WebFetcher


class WebFiles:
    """The file at an http or https address.

    Args:
        url: The address; a user and password in it are used and never written down.
        member: The file wanted from an archive; empty: the only table in it.
        check_version: Ask the server for the present version before anything is fetched.
        headers: Sent with every request.
        retry: How patiently.
        trust_proxy: Whether HTTP_PROXY and the like apply.
    """

    def __init__(
        self,
        url: str,
        member: str = "",
        *,
        check_version: bool = False,
        headers: Mapping[str, str] | None = None,
        retry: RetryLimits | None = None,
        trust_proxy: bool = False,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise SourceError(f"{url} is no http(s) address.", "Check it.")
        self._url = url
        self._shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self._member, self._check_version = member, check_version
        self._headers, self._retry, self._trust_proxy = headers, retry, trust_proxy

    async def references(self) -> Sequence[Reference]:
        """The one file.

        Raises:
            SourceError: Its version was to be found out, and the server cannot be reached.
        """
        version = ""
        if self._check_version:
            async with self._fetcher() as web:
                version = await web.version(self._url)
        path = urlsplit(self._shown).path
        name = PurePosixPath(unquote(path)).name or urlsplit(self._shown).hostname or ""
        return [
            Reference(source=self._shown, version=version, member=self._member, name=name, facts=Facts(url=self._shown))
        ]

    async def fetch(self, reference: Reference, folder: Path, limits: FetchLimits, progress: Progress) -> Fetched:
        """Fetch the file, or the table in it; see `Source.fetch`."""
        async with self._fetcher() as web:
            received = await web.fetch(self._url, folder / "arrived.part", limits, progress, what=self._shown)
        table = folder / "data.csv"
        await asyncio.to_thread(extract_table, received.path, table, reference.member, limits, reference.name)
        return await asyncio.to_thread(landed, table, received.transferred, reference, version=received.version)

    def _fetcher(self) -> WebFetcher:
        spare_loopback(self._url)
        return WebFetcher(self._retry, headers=self._headers, trust_proxy=self._trust_proxy)
