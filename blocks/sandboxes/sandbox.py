"""A sandbox: one dataset in one zygote, its sessions, and its rebuilding when the zygote is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from blocks.errors import DatasetError, SandboxError, SandboxLost, TrigpointError
from blocks.sandboxes.link import Link, Loss
from blocks.sandboxes.models import Incident, LoadedDataset, SandboxInfo, SandboxLimits, SandboxStats
from blocks.sandboxes.runtime import Runtime, Transport
from blocks.sandboxes.session import Session

logger = logging.getLogger(__name__)

HEALTH_PERIOD_S = 2.0
REBUILD_ATTEMPTS = 3
REBUILD_PAUSE_S = 0.5


class Sandbox:
    """One dataset, loaded once, and the sessions forked from it. Made by `Sandbox.open`; usable from one event loop."""

    info: SandboxInfo
    dataset: LoadedDataset
    incidents: list[Incident]

    def __init__(self, runtime: Runtime, path: Path, limits: SandboxLimits, name: str) -> None:
        self.limits = limits
        self.incidents = []
        self.closed = False
        self._runtime = runtime
        self._path = path
        self._name = name
        self._link: Link | None = None
        self._sessions: dict[int, Session] = {}
        self._numbers = 0
        self._link_ready = asyncio.Event()
        self._hopeless: SandboxLost | None = None
        self._watcher: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        runtime: Runtime,
        dataset: Path,
        *,
        limits: SandboxLimits | None = None,
        name: str | None = None,
        transport: Transport | None = None,
    ) -> Sandbox:
        """Start a zygote and load a dataset into it.

        Args:
            runtime: Where it runs.
            dataset: A CSV file.
            limits: What the sandbox and its sessions may use; the defaults of `SandboxLimits` when not given.
            name: What the dataset is called; the file's stem when not given.
            transport: A zygote that was started ahead, for the pool.

        Raises:
            DatasetError: The file is missing, too large, or not a table.
            SandboxUnavailable: The runtime cannot be used here.
            SandboxError: The zygote did not start.
        """
        limits = limits or SandboxLimits()
        sandbox = cls(runtime, dataset, limits, name or dataset.stem)
        try:
            check_dataset(dataset, limits)
            transport = transport or await runtime.start(limits)
            link, sandbox.dataset = await sandbox._build(transport)
        except BaseException:
            if transport is not None:
                await asyncio.shield(transport.close())
            raise
        sandbox.info = link.info
        sandbox._adopt(link)
        sandbox._watcher = asyncio.create_task(_watch(weakref.ref(sandbox)), name="sandbox-watch")
        return sandbox

    async def session(self) -> Session:
        """Fork a session.

        Raises:
            SandboxError: As many as `max_sessions` are open, or the sandbox is closed.
            SandboxLost: The sandbox was lost and could not be built again.
        """
        if self.closed:
            raise SandboxError("The sandbox is closed.", "Open a new one.")
        if len(self._sessions) >= self.limits.max_sessions:
            raise SandboxError(f"{self.limits.max_sessions} sessions are open.", "Close one or raise max_sessions.")
        self._numbers += 1
        session = Session(self, self._numbers)
        self._sessions[session.number] = session
        try:
            await session.open()
        except BaseException:
            await asyncio.shield(session.close())
            raise
        return session

    async def stats(self) -> SandboxStats:
        """What the sandbox and its sessions use at the moment.

        Raises:
            SandboxLost: The sandbox was lost and could not be built again.
        """
        stats = await (await self.ready_link()).stats()
        return stats.model_copy(update={"incidents": len(self.incidents)})

    async def close(self) -> None:
        """End all sessions and the zygote and wait until nothing is left. May be called again."""
        self.closed = True
        self._link_ready.set()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])
        if self._link is not None:
            await asyncio.shield(self._link.close())
        self._sessions.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def ready_link(self) -> Link:
        """The living zygote; waits while it is being rebuilt. For sessions.

        Raises:
            SandboxLost: The sandbox was lost and could not be built again, or was closed.
        """
        while True:
            await self._link_ready.wait()
            if self._hopeless is not None:
                raise SandboxLost(self._hopeless.message, self._hopeless.remedy)
            if self.closed or self._link is None:
                raise SandboxLost("The sandbox is closed.")
            if not self._link.lost.done():
                return self._link
            self._link_ready.clear()

    def forget(self, number: int) -> None:
        """A session was closed. For sessions."""
        self._sessions.pop(number, None)

    async def watch_once(self) -> None:
        """Check the zygote's health; rebuild a lost one. For the watcher."""
        link = self._link
        assert link is not None
        if not link.lost.done():
            await link.ping()
        if link.lost.done():
            await self._rebuild(link)

    def end_now(self) -> None:
        """The event loop ends without a close: kill what runs. For the watcher."""
        if not self.closed and self._link is not None:
            self.closed = True
            self._link.fail(Loss("died", "its event loop ended"))

    @property
    def lost(self) -> asyncio.Future[Loss]:
        """Done when the zygote of the moment is lost. For the watcher."""
        assert self._link is not None
        return self._link.lost

    async def _build(self, transport: Transport) -> tuple[Link, LoadedDataset]:
        link = await Link.open(transport, self.limits)
        try:
            return link, await link.load(self._path, self._name, self.limits)
        except BaseException as error:
            end = "" if not isinstance(error, SandboxLost) else await transport.post_mortem()
            await asyncio.shield(link.close())
            if isinstance(error, SandboxLost):
                words = f"{error.message} It happened while {self._path.name} was read"
                raise SandboxLost(f"{words} ({end})." if end else f"{words}.") from error
            raise

    def _adopt(self, link: Link) -> None:
        self._link = link
        self._link_ready.set()

    async def _rebuild(self, old: Link) -> None:
        self._link_ready.clear()
        await self._record(old)
        await old.transport.close()
        started = time.monotonic()
        for attempt in range(1, REBUILD_ATTEMPTS + 1):
            transport: Transport | None = None
            try:
                transport = await self._runtime.start(self.limits)
                link, dataset = await self._build(transport)
                await self._check_same(link, dataset)
            except TrigpointError as error:
                logger.warning("sandbox %s: rebuild %d of %d failed: %s", self._name, attempt, REBUILD_ATTEMPTS, error)
                if transport is not None:
                    await transport.close()
                if attempt == REBUILD_ATTEMPTS or isinstance(error, DatasetError):
                    self._hopeless = SandboxLost(f"The sandbox was lost and could not be built again: {error}")
                    self._link_ready.set()
                    return
                await asyncio.sleep(REBUILD_PAUSE_S * 2 ** (attempt - 1))
            except BaseException:
                if transport is not None:
                    await asyncio.shield(transport.close())
                raise
            else:
                logger.info("sandbox %s: rebuilt in %.1f s", self._name, time.monotonic() - started)
                self._adopt(link)
                return

    async def _record(self, old: Link) -> None:
        loss = old.lost.result()
        end = await old.transport.post_mortem()
        reason = f"{loss.reason} ({end})" if end else loss.reason
        for session in self._sessions.values():
            session.lose(old, reason)
        incident = Incident(
            at=datetime.now(UTC),
            kind=loss.kind,
            reason=reason,
            diagnostics=old.transport.diagnostics()[-4000:],
            sessions=tuple(self._sessions),
        )
        self.incidents.append(incident)
        logger.warning("sandbox %s lost: %s; %d sessions affected", self._name, reason, len(incident.sessions))

    async def _check_same(self, link: Link, dataset: LoadedDataset) -> None:
        """A rebuilt sandbox must be the one whose results were already written down."""
        if dataset.sha256 != self.dataset.sha256:
            await link.close()
            raise DatasetError(
                f"{self._path.name} has changed since it was first loaded.", "Start again with the new file."
            )
        if link.info.image_digest != self.info.image_digest:
            await link.close()
            raise SandboxError("The sandbox image or its libraries have changed meanwhile.", "Start again.")


def check_dataset(path: Path, limits: SandboxLimits) -> None:
    """Find a dataset's plain mistakes before a zygote is started for it.

    Raises:
        DatasetError: It is missing, no file, unreadable, empty, or too large.
    """
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            size = file.tell()
    except FileNotFoundError as error:
        raise DatasetError(f"There is no file {path}.", "Check the path.") from error
    except IsADirectoryError as error:
        raise DatasetError(f"{path} is a folder.", "Name the CSV file in it.") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
    if size == 0:
        raise DatasetError(f"{path.name} is empty.", "A dataset needs a header and at least one row.")
    if size > limits.max_dataset_bytes:
        raise DatasetError(
            f"{path.name} has {size} bytes, more than the {limits.max_dataset_bytes} allowed.",
            "Raise max_dataset_bytes or take a sample of the file.",
        )


async def _watch(reference: weakref.ref[Sandbox]) -> None:
    """Look after a sandbox without keeping it alive; when the event loop ends, end the zygote."""
    try:
        while (sandbox := reference()) is not None and not sandbox.closed:
            lost = sandbox.lost
            del sandbox
            await asyncio.wait([lost], timeout=HEALTH_PERIOD_S)
            sandbox = reference()
            if sandbox is None or sandbox.closed:
                return
            await sandbox.watch_once()
            if sandbox._hopeless is not None:
                return
            del sandbox
    except asyncio.CancelledError:
        sandbox = reference()
        if sandbox is not None:
            with contextlib.suppress(RuntimeError):
                sandbox.end_now()
        raise
