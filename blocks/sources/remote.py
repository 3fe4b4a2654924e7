"""Any fsspec URL: object stores, archives as file systems, model hubs; the driver of a protocol is the user's extra."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.registry import known_implementations
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from blocks.drivers import FINAL, S3_EXTRA, lacks_key, reason
from blocks.sources.archives import extract_table
from blocks.sources.copying import Copy, in_thread, landed
from blocks.sources.models import (
    Facts,
    Fetched,
    FetchLimits,
    Progress,
    Reference,
    RetryLimits,
    SourceError,
    is_named_like_table,
)

_EXTRAS = dict.fromkeys(("s3", "s3a"), f"It is {S3_EXTRA}")


class _BrokeOff(Exception):
    """A read that may succeed the next time."""


class RemoteFiles:
    """The files an fsspec URL names.

    Args:
        url: `s3://bucket/x.csv`, `hf://datasets/o/n/x.csv`, `zip://x.csv::https://…`; a folder or a glob is expanded.
        member: The file wanted from an archive; empty: the only table in it.
        options: Arguments of the driver, e.g. credentials.
        retry: How patiently a broken read is tried again.
    """

    def __init__(
        self,
        url: str,
        member: str = "",
        options: Mapping[str, Any] | None = None,
        retry: RetryLimits | None = None,
    ) -> None:
        self._url, self._member = url, member
        self._options = dict(options or {})
        self._retry = retry or RetryLimits()

    async def references(self) -> Sequence[Reference]:
        """One reference per file, sorted by address; its version is what the driver vouches for equal content with.

        Raises:
            SourceError: The protocol is unknown, its driver is not installed, or nothing can be read there.
        """
        return await asyncio.to_thread(self._list)

    async def fetch(self, reference: Reference, folder: Path, limits: FetchLimits, progress: Progress) -> Fetched:
        """Copy the file, or the table in it; see `Source.fetch`."""
        copy = Copy(reference.source, limits, progress)
        return await in_thread(lambda: self._fetch(reference, folder, limits, copy), copy.stop)

    def _list(self) -> list[Reference]:
        system, path = self._open(self._url)
        try:
            system.invalidate_cache()  # A driver remembers what it has listed, for as long as the process lives.
            paths = self._paths(system, path)
            if not paths:
                raise SourceError(f"{self._url} names no CSV file.", "Check the address.")
            return [self._reference(system, path, one) for one in paths]
        except FINAL as error:
            raise SourceError(f"{self._url} cannot be read ({reason(error)}).", "Check address and rights.") from error
        except Exception as error:  # Drivers raise exceptions of their own libraries.
            if isinstance(error, SourceError):
                raise
            raise SourceError(f"{self._url} cannot be listed ({reason(error)}).", _remedy(error)) from error

    def _open(self, url: str) -> tuple[Any, str]:
        protocol = url.partition("://")[0]
        try:
            system, path = url_to_fs(url, **self._options)
        except ImportError as error:
            needed = known_implementations.get(protocol, {}).get("err", f"The driver of {protocol}:// is missing")
            remedy = _EXTRAS.get(protocol, "Install that package beside Trigpoint.")
            raise SourceError(f"{needed.rstrip('.')}.", remedy) from error
        except ValueError as error:
            raise SourceError(f"{url} cannot be opened ({reason(error)}).", "Check the address.") from error
        except OSError as error:
            raise SourceError(f"{url} cannot be opened ({reason(error)}).", "Check address and rights.") from error
        return system, path

    def _paths(self, system: Any, path: str) -> list[str]:
        if any(sign in path for sign in "*?["):
            return sorted(found for found in system.glob(path) if not system.isdir(found))
        if system.isdir(path):
            return sorted(found for found in system.find(path) if is_named_like_table(found))
        return [path]

    def _reference(self, system: Any, given: str, path: str) -> Reference:
        info = system.info(path)
        size = info.get("size")
        source = self._url if path == given else self._address(system, path)
        return Reference(
            source=source,
            version=_version(system, path, info),
            member=self._member,
            name=path.rstrip("/").rpartition("/")[2] or path,
            bytes=int(size) if size is not None else None,
            facts=Facts(url=source),
        )

    def _address(self, system: Any, path: str) -> str:
        _, separator, rest = self._url.partition("::")
        return f"{system.unstrip_protocol(path)}{separator}{rest}"

    def _fetch(self, reference: Reference, folder: Path, limits: FetchLimits, copy: Copy) -> Fetched:
        folder.mkdir(parents=True, exist_ok=True)
        arrived, table = folder / "arrived", folder / "data.csv"
        retrying = Retrying(
            stop=stop_after_attempt(self._retry.attempts),
            wait=self._wait,
            retry=retry_if_exception_type(_BrokeOff),
            reraise=True,
        )
        try:
            size = retrying(self._copy, reference, arrived, copy)
        except _BrokeOff as error:
            raise SourceError(f"{reference.source} broke off ({error}).", "Try again later.") from error
        extract_table(arrived, table, reference.member, limits, reference.name)
        return landed(table, size, reference)

    def _copy(self, reference: Reference, arrived: Path, copy: Copy) -> int:
        system, path = self._open(reference.source)
        try:
            with system.open(path, "rb") as stream:
                size = copy.run(stream, arrived, reference.bytes)
        except SourceError:
            raise
        except FINAL as error:
            said = reason(error)
            raise SourceError(f"{reference.source} cannot be read ({said}).", "Check address and rights.") from error
        except Exception as error:  # Drivers raise exceptions of their own libraries.
            raise _BrokeOff(reason(error)) from error
        if reference.bytes is not None and size != reference.bytes:
            raise _BrokeOff(f"{size:,} of {reference.bytes:,} bytes came")
        return size

    def _wait(self, state: Any) -> float:
        ceiling = min(self._retry.max_wait_s, self._retry.first_wait_s * 2.0 ** (state.attempt_number - 1))
        return random.uniform(ceiling / 2, ceiling)


def protocols() -> frozenset[str]:
    """The protocols fsspec knows, installed or not."""
    return frozenset(known_implementations) | frozenset(fsspec.available_protocols())


def _version(system: Any, path: str, info: Mapping[str, Any]) -> str:
    """The store's own name for this content, if it has one.

    What a driver makes up instead may be another one for a file that was listed with others.
    """
    tag = str(info.get("ETag") or "").strip('"')
    return tag or str(system.ukey(path))


def _remedy(error: Exception) -> str:
    if lacks_key(error):
        return "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for what anybody may read."
    return "Try again later."
