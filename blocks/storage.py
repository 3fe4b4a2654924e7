"""The storage that hosts share, a saved Prefect block: opened once a run, for its files and for its tasks' results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect import Task
from prefect.blocks.core import Block
from prefect.context import TaskRunContext
from prefect.filesystems import SMB, LocalFileSystem, RemoteFileSystem, WritableFileSystem
from pydantic import PrivateAttr

from blocks.drivers import S3_EXTRA
from blocks.errors import UserError
from blocks.objects import Folder, ObjectStore, Place, Remote, StorageError
from blocks.settings import settings

RESULTS = "results/"
"""The storage's folder of task results."""
_REMEDY = "Make the block on the Blocks page, or mend TRIGPOINT_STORAGE: TYPE/NAME as `prefect block ls` shows it."
_T = TypeVar("_T", bound=Task[Any, Any])


class ResultFiles(WritableFileSystem):
    """The storage as Prefect wants it for results: never on the event loop, and nothing half-written on a volume.

    It passes for the saved block itself, whose paths are the same: a result that it wrote is found by that as well.
    """

    _block_type_slug: ClassVar[str | None] = "trigpoint-result-files"
    _objects: ObjectStore = PrivateAttr()

    @classmethod
    def of(cls, block: Block, objects: ObjectStore) -> ResultFiles:
        """The results of a saved block's storage."""
        files = cls()
        files._objects = objects
        files._block_document_id = block._block_document_id
        files._block_document_name = block._block_document_name
        return files

    async def aread_path(self, path: str) -> bytes:
        """A result."""
        return await self._objects.read(path)

    async def awrite_path(self, path: str, content: bytes) -> str:
        """Keep a result."""
        await self._objects.write(path, content)
        return path

    async def read_path(self, path: str) -> bytes:
        """A result."""
        return await self.aread_path(path)

    async def write_path(self, path: str, content: bytes) -> None:
        """Keep a result."""
        await self.awrite_path(path, content)


class _Opened:
    """A storage that a run has opened."""

    def __init__(self, block: Block, objects: ObjectStore) -> None:
        self.objects = objects
        self.results = ResultFiles.of(block, objects)


_current: ContextVar[_Opened | None] = ContextVar("storage", default=None)


@asynccontextmanager
async def shared_storage() -> AsyncIterator[ObjectStore | None]:
    """The storage of the flow run around it, or the one that TRIGPOINT_STORAGE names; None where it names none.

    Raises:
        UserError: There is no such block, or it holds no files.
        StorageError: It does not let us in, or does not answer.
    """
    shared = _current.get()
    if shared is not None:
        yield shared.objects
        return
    name = settings().storage
    if not name:
        yield None
        return
    block = await _load(name)
    objects = ObjectStore(_place(block, name), name)
    await objects.check()
    token = _current.set(_Opened(block, objects))
    try:
        yield objects
    finally:
        _current.reset(token)


def kept(task: _T) -> _T:
    """A task whose results the shared storage keeps; where there is none, the home keeps them."""
    opened = _current.get()
    return task if opened is None else task.with_options(result_storage=opened.results)  # type: ignore[return-value]


def keyed(kind: str) -> Callable[[TaskRunContext, dict[str, Any]], str]:
    """A task's cache key, which is also the name of its result: the kind, and what the task is given as `key`."""

    def key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
        folder = "" if _current.get() is None else RESULTS
        return f"{folder}{kind}{parameters['key']}"

    return key


async def _load(name: str) -> Block:
    try:
        return await Block.aload(name)
    except ValueError as error:
        raise UserError(f"There is no block {name}, which is to be the storage.", _REMEDY) from error


def _place(block: Block, name: str) -> Place:
    try:
        if isinstance(block, LocalFileSystem) and block.basepath:
            return Folder(Path(block.basepath).expanduser().absolute())
        if isinstance(block, SMB):
            block = block.filesystem
        if isinstance(block, RemoteFileSystem):
            return Remote(block.basepath, block.settings)
    except ImportError as error:
        remedy = f"Install it; that of s3:// is {S3_EXTRA}"
        raise UserError(f"The driver of the storage {name} is missing ({error}).", remedy) from error
    except Exception as error:  # A driver's own, at what its settings are.
        raise StorageError(f"The storage {name} cannot be opened ({error}).", "Mend its block's settings.") from error
    remedy = "Name a local-file-system with a path, or a remote-file-system."
    raise UserError(f"The block {name} is no storage for Trigpoint.", remedy)
