"""A shared storage's objects: small files under names, read and written whole, by a folder or any fsspec driver."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import uuid4

from tenacity import AsyncRetrying, retry_if_not_exception_type, stop_after_attempt, wait_random_exponential

from blocks.drivers import FINAL, lacks_key, reason
from blocks.errors import UserError
from blocks.replaced import UNFINISHED, replacing

MARKER = "trigpoint.json"
_LAYOUT = b'{"layout": 1}\n'
T = TypeVar("T")


class StorageError(UserError):
    """The shared storage cannot be used, or did not answer."""


class Patience(NamedTuple):
    """How long an outage is waited for: so many attempts, with growing pauses in between.

    Attributes:
        attempts: Attempts in all.
        longest_wait_s: Longest pause.
    """

    attempts: int = 6
    longest_wait_s: float = 15.0


class Place(Protocol):
    """Where objects lie; may block, and raises what its driver raises."""

    def names(self, folder: str) -> list[str]:
        """What is under a folder at any depth, named from there; nothing where there is no such folder."""
        ...

    def read(self, name: str) -> bytes:
        """An object's content."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Put an object there, whole or not at all."""
        ...

    def fetch(self, name: str, path: Path) -> None:
        """Copy an object to a file."""
        ...

    def send(self, path: Path, name: str) -> None:
        """Copy a file to an object, whole or not at all."""
        ...


class Folder:
    """A folder, of this host or of a volume that several have mounted.

    Args:
        root: The folder; it must be there, so that a volume that is not mounted is noticed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str) -> list[str]:
        """See `Place`."""
        top = self._root / folder
        if not self._root.is_dir():
            raise FileNotFoundError(f"{self._root} is no folder")
        found: list[str] = []
        for parent, _, files in os.walk(top, onerror=_raise_unless_missing):
            found += [str(Path(parent, each).relative_to(top)) for each in files if not each.endswith(UNFINISHED)]
        return sorted(found)

    def read(self, name: str) -> bytes:
        """See `Place`."""
        return (self._root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """See `Place`."""
        self._put(name, lambda handle: handle.write(content))

    def fetch(self, name: str, path: Path) -> None:
        """See `Place`."""
        with (self._root / name).open("rb") as source, path.open("wb") as target:
            _copy(source, target)

    def send(self, path: Path, name: str) -> None:
        """See `Place`."""
        with path.open("rb") as source:
            self._put(name, lambda handle: _copy(source, handle))

    def _put(self, name: str, fill: Callable[[Any], Any]) -> None:
        if not self._root.is_dir():
            raise FileNotFoundError(f"{self._root} is no folder")
        with replacing(self._root / name) as fresh, fresh.open("xb") as file:
            fill(file)


class Remote:
    """Whatever an fsspec driver reaches.

    Args:
        url: The storage's own folder, as `s3://bucket/trigpoint`.
        options: The driver's, credentials among them.

    Raises:
        ImportError: The driver is not installed.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        import fsspec  # Its registry takes long to import, which only its users should wait for.

        self._scheme = url.partition("://")[0]
        given = dict(options)
        if self._scheme in ("s3", "s3a"):
            # The driver has a patience of its own, which multiplies with ours.
            given.setdefault("config_kwargs", {"retries": {"max_attempts": 1}})
        # A listing that is remembered would hide what other hosts have put there since.
        self._system = fsspec.filesystem(self._scheme, skip_instance_cache=True, use_listings_cache=False, **given)
        self._root = str(self._system._strip_protocol(url)).rstrip("/")

    def names(self, folder: str) -> list[str]:
        """See `Place`."""
        self._system.invalidate_cache()
        top = self._path(folder)
        found = [str(each) for each in self._system.find(top)]
        inside = [each.removeprefix(f"{top}/") for each in found if each.startswith(f"{top}/")]
        return sorted(each for each in inside if not each.endswith(UNFINISHED))

    def read(self, name: str) -> bytes:
        """See `Place`."""
        return bytes(self._system.cat_file(self._path(name)))

    def write(self, name: str, content: bytes) -> None:
        """See `Place`."""
        self._put(name, lambda path: self._system.pipe_file(path, content))

    def fetch(self, name: str, path: Path) -> None:
        """See `Place`."""
        self._system.get_file(self._path(name), str(path))

    def send(self, path: Path, name: str) -> None:
        """See `Place`."""
        self._put(name, lambda target: self._system.put_file(str(path), target))

    def _put(self, name: str, fill: Callable[[str], Any]) -> None:
        path = self._path(name)
        if self._scheme in _WHOLE:
            fill(path)
            return
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        staged = f"{path}.{uuid4().hex}{UNFINISHED}"
        fill(staged)
        self._system.mv(staged, path)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"})
"""Object stores: what is put there appears whole."""


class ObjectStore:
    """A storage's objects, patiently: blocking drivers in threads, outages waited for, errors as sentences.

    Args:
        place: Where they lie.
        name: Of the storage, for error messages.
        patience: How long an outage is waited for.
    """

    def __init__(self, place: Place, name: str, patience: Patience | None = None) -> None:
        self.name = name
        self._place = place
        self._patience = patience or Patience()

    async def check(self) -> None:
        """See that objects can be written and read there; at once, so that nothing is paid for in vain.

        Raises:
            StorageError: They cannot, or a later Trigpoint has laid them out.
        """
        hurried = ObjectStore(self._place, self.name, Patience(attempts=2, longest_wait_s=1.0))
        try:
            found = await hurried.read(MARKER)
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        else:
            if found != _LAYOUT:
                raise StorageError(f"The storage {self.name} is of another version.", "Use the same on all hosts.")
        await hurried.write(MARKER, _LAYOUT)

    async def names(self, folder: str) -> list[str]:
        """What is under a folder at any depth, sorted, named from there.

        Raises:
            StorageError: It cannot be listed.
        """
        return await self._do(lambda: self._place.names(folder))

    async def read(self, name: str) -> bytes:
        """An object's content.

        Raises:
            StorageError: It cannot be read.
        """
        return await self._do(lambda: self._place.read(name))

    async def write(self, name: str, content: bytes) -> None:
        """Put an object there, whole or not at all.

        Raises:
            StorageError: It cannot be written.
        """
        await self._do(lambda: self._place.write(name, content))

    async def fetch(self, name: str, path: Path) -> None:
        """Copy an object to a file.

        Raises:
            StorageError: It cannot be read.
        """
        await self._do(lambda: self._place.fetch(name, path))

    async def send(self, path: Path, name: str) -> None:
        """Copy a file to an object, whole or not at all.

        Raises:
            StorageError: It cannot be written.
        """
        await self._do(lambda: self._place.send(path, name))

    async def _do(self, work: Callable[[], T]) -> T:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._patience.attempts),
            wait=wait_random_exponential(multiplier=1, max=self._patience.longest_wait_s),
            retry=retry_if_not_exception_type(FINAL),
            reraise=True,
        )
        try:
            return await retrying(asyncio.to_thread, work)
        except Exception as error:  # Drivers raise exceptions of their own libraries.
            raise self._sentence(error) from error

    def _sentence(self, error: Exception) -> StorageError:
        said = reason(error)
        if isinstance(error, PermissionError) or lacks_key(error):
            return StorageError(f"The storage {self.name} lets nobody in with this key ({said}).", _RIGHTS)
        if isinstance(error, FileNotFoundError):
            return StorageError(f"The storage {self.name} is not there, or not whole ({said}).", _MISSING)
        return StorageError(
            f"The storage {self.name} does not answer ({said}).",
            "Check the address in its block, or run the same command again later: what was made is kept here.",
        )


_RIGHTS = "Check the credentials in its block, and that they may list, read and write there."
_MISSING = "Make the bucket or folder, mount the volume, or mend the path in its block."


def _copy(source: Any, target: Any) -> None:
    while chunk := source.read(1 << 20):
        target.write(chunk)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
