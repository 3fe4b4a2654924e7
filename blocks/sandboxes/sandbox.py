"""A sandbox: one dataset in one zygote, its sessions, and its rebuilding when the zygote is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from blocks.errors import DatasetError, SandboxError, SandboxLost, SandboxUnavailable, TrigpointError
from blocks.sandboxes.link import Link, Loss
from blocks.sandboxes.models import (
    Incident,
    IncidentKind,
    LoadedDataset,
    Observer,
    SandboxInfo,
    SandboxLimits,
    SandboxStats,
)
from blocks.sandboxes.reading import NO_RULES, ReadingRules
from blocks.sandboxes.runtime import OUT_OF_MEMORY, Runtime, Transport
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

    def __init__(
        self,
        runtime: Runtime,
        path: Path,
        limits: SandboxLimits,
        name: str,
        slug: str = "",
        observer: Observer | None = None,
        rules: ReadingRules | None = None,
    ) -> None:
        self.limits = limits
        self._rules = rules or NO_RULES
        self.incidents = []
        self.closed = False
        self._runtime = runtime
        self._path = path
        self._name = name
        self._slug = slug or path.stem
        self._observer = observer
        self._untold = False
        """Whether the latest incident is not over yet."""
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
        slug: str = "",
        transport: Transport | None = None,
        kept: str = "",
        observer: Observer | None = None,
        rules: ReadingRules | None = None,
    ) -> Sandbox:
        """Start a zygote and load a dataset into it.

        Args:
            runtime: Where it runs.
            dataset: A CSV file.
            limits: What the sandbox and its sessions may use; the defaults of `SandboxLimits` when not given.
            name: What the dataset is called; the file's stem when not given.
            slug: The dataset's short name, for incidents; the file's stem when not given.
            transport: A zygote that was started ahead or kept from an earlier run, for the pool.
            kept: The sha256 of the dataset that the zygote has kept.
            observer: Told of each incident.
            rules: How the file is to be read; what is not given is found out.

        Raises:
            DatasetError: The file is missing, too large, or not a table.
            SandboxUnavailable: The runtime cannot be used here.
            SandboxError: The zygote did not start.
        """
        limits = limits or SandboxLimits()
        sandbox = cls(runtime, dataset, limits, name or dataset.stem, slug, observer, rules)
        try:
            check_dataset(dataset, limits)
            transport = transport or await runtime.start(limits)
            link, sandbox.dataset = await sandbox._build(transport, kept)
        except BaseException as error:
            if isinstance(error, SandboxUnavailable):
                sandbox._tell(sandbox._incident("engine", str(error), transport))
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
        await self._stop()
        if self._untold:
            self._settle({"failure": "The sandbox was closed before a fresh one was there."})
        if self._link is not None:
            await asyncio.shield(self._link.close())
        self._sessions.clear()

    async def park(self, idle_s: float) -> bool:
        """End all sessions and leave the zygote, with its dataset, to the next run that wants the same.

        Args:
            idle_s: How long it waits for one before it ends itself.

        Returns:
            Whether it waits. Else it is closed: its runtime keeps none, or it was not well.
        """
        link = self._link
        if not self._runtime.keeps or self.closed or self.incidents or link is None or link.lost.done():
            await self.close()
            return False
        try:
            for session in list(self._sessions.values()):
                await session.close()
            await self._stop()
            fingerprint = await self._runtime.fingerprint(self.limits, self._rules.content(self.dataset.sha256))
            await link.park(fingerprint, idle_s)
        except TrigpointError as error:
            logger.warning("sandbox %s could not be kept: %s", self._name, error)
            await self.close()
            return False
        except BaseException:
            await asyncio.shield(self.close())
            raise
        return True

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

    def session_lost(self, number: int, reason: str, recovered_s: float | None) -> None:
        """A session alone was replaced, because it did not end its cell. For sessions."""
        transport = self._link.transport if self._link is not None else None
        incident = self._incident("session", reason, transport, sessions=(number,))
        self._tell(incident.model_copy(update={"recovered_s": recovered_s}))

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

    async def _stop(self) -> None:
        """No new sessions, no rebuilding."""
        self.closed = True
        self._link_ready.set()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.wait([watcher])

    async def _build(self, transport: Transport, kept: str = "") -> tuple[Link, LoadedDataset]:
        link = await Link.open(transport, self.limits)
        try:
            if kept:
                return link, link.take_over(self._name, kept)
            return link, await link.load(self._path, self._name, self._rules, self.limits)
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
        started = time.monotonic()
        await self._record(old)
        await old.transport.close()
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
                    engine = {"kind": "engine"} if isinstance(error, SandboxUnavailable) else {}
                    self._settle({"failure": str(error), **engine})
                    return
                await asyncio.sleep(REBUILD_PAUSE_S * 2 ** (attempt - 1))
            except BaseException:
                if transport is not None:
                    await asyncio.shield(transport.close())
                raise
            else:
                took = time.monotonic() - started
                logger.info("sandbox %s: rebuilt in %.1f s", self._name, took)
                self._adopt(link)
                self._settle({"recovered_s": round(took, 3)})
                return

    async def _record(self, old: Link) -> None:
        loss = old.lost.result()
        end = await old.transport.post_mortem()
        reason = f"{loss.reason} ({end})" if end else loss.reason
        for session in self._sessions.values():
            session.lose(old, reason)
        kind: IncidentKind = "memory" if OUT_OF_MEMORY in end else loss.kind
        incident = self._incident(kind, reason, old.transport, sessions=tuple(self._sessions))
        self.incidents.append(incident)
        self._untold = True
        logger.warning("sandbox %s lost: %s; %d sessions affected", self._name, reason, len(incident.sessions))

    def _incident(
        self, kind: IncidentKind, reason: str, transport: Transport | None, sessions: tuple[int, ...] = ()
    ) -> Incident:
        return Incident(
            at=datetime.now(UTC),
            kind=kind,
            reason=reason,
            dataset=self._slug,
            runtime=self._runtime.name,
            host=transport.host if transport is not None else "",
            sandbox=transport.place if transport is not None else "",
            diagnostics=transport.diagnostics()[-4000:] if transport is not None else "",
            sessions=sessions,
        )

    def _settle(self, end: Mapping[str, object]) -> None:
        """The latest incident is over: note how it went."""
        self._untold = False
        self.incidents[-1] = self.incidents[-1].model_copy(update=end)
        self._tell(self.incidents[-1])

    def _tell(self, incident: Incident) -> None:
        if self._observer is None:
            return
        try:
            self._observer(incident)
        except Exception:
            # Whoever listens must not end the watch over the sandbox.
            logger.exception("sandbox %s: an incident could not be told of", self._name)

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
