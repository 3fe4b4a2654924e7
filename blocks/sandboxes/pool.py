"""A pool of sandboxes: how many may live at once, and zygotes started before they are needed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from blocks.digests import file_digest
from blocks.errors import SandboxError, TrigpointError
from blocks.sandboxes.models import Observer, SandboxLimits
from blocks.sandboxes.reading import NO_RULES, ReadingRules
from blocks.sandboxes.runtime import Runtime, Transport
from blocks.sandboxes.sandbox import Sandbox, check_dataset

logger = logging.getLogger(__name__)

Slot = Callable[[], AbstractAsyncContextManager[None]]
FreeSlots = Callable[[], Awaitable[int]]
"""How many slots nobody holds at the moment."""


class SandboxPool:
    """Opens sandboxes of one runtime, so many at once. Use it from one event loop at a time.

    Args:
        runtime: Where sandboxes run.
        limits: Limits of every sandbox.
        max_sandboxes: Sandboxes alive at once in this process; further `open`s wait.
        slot: Entered for the life of each sandbox, after the in-process slot: a limit shared with other processes.
        free_slots: Of that limit. Sandboxes that wait for a next run never take the place of one that is wanted.
        observer: Told of each incident.
        warm_s: How long a sandbox, once its block has ended well, waits for a next one on the same dataset, in this
            process or another; 0: it ends at once.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        limits: SandboxLimits | None = None,
        max_sandboxes: int = 4,
        slot: Slot | None = None,
        free_slots: FreeSlots | None = None,
        observer: Observer | None = None,
        warm_s: float = 0.0,
    ) -> None:
        self.runtime = runtime
        self.limits = limits or SandboxLimits()
        self.warm_s = warm_s
        self._max_sandboxes = max_sandboxes
        self._slots = asyncio.Semaphore(max_sandboxes)
        self._slot = slot
        self._free_slots = free_slots
        self.observer = observer
        self._closed = False
        self._blank: deque[Future[Transport]] = deque()
        self._open: set[Sandbox] = set()
        # At the end of the interpreter or of the pool itself, zygotes nobody took are ended.
        self._leftovers = weakref.finalize(self, _abandon_all, self._blank)

    def prewarm(self, n: int = 1) -> None:
        """Start `n` zygotes in the background; the next `n` sandboxes take them. Needs no event loop.

        A zygote spends its first seconds importing libraries; started early, that happens while something else does.
        They hold no slot before they are taken. A failure to start shows when the sandbox is opened.
        """
        for _ in range(n):
            future: Future[Transport] = Future()
            # It cannot be cancelled: whoever gives up waiting still gets the zygote, to end it.
            future.set_running_or_notify_cancel()
            self._blank.append(future)
            arguments = (self.runtime, self.limits, future)
            threading.Thread(target=_start_blank, args=arguments, name="sandbox-prewarm", daemon=True).start()

    @contextlib.asynccontextmanager
    async def open(self, dataset: Path, *, slug: str = "", rules: ReadingRules | None = None) -> AsyncIterator[Sandbox]:
        """Open a sandbox on a dataset for the length of the block; waits for a free slot.

        Args:
            dataset: A CSV file.
            slug: The dataset's short name, for incidents; the file's stem when not given.
            rules: How the file is to be read; what is not given is found out.

        Raises:
            DatasetError: The file is missing, too large, or not a table.
            SandboxUnavailable: The runtime cannot be used here.
            SandboxError: The zygote did not start, or the pool is closed.
        """
        if self._closed:
            raise SandboxError("The pool is closed.", "Make a new one.")
        check_dataset(dataset, self.limits)
        async with self._slots, self._slot() if self._slot is not None else contextlib.nullcontext():
            sandbox = await self._warm(dataset, slug, rules) or await self._fresh(dataset, slug, rules)
            self._open.add(sandbox)
            try:
                yield sandbox
                if self.warm_s:
                    await asyncio.shield(sandbox.park(self.warm_s))
            finally:
                self._open.discard(sandbox)
                await asyncio.shield(sandbox.close())

    async def count_warm(self, datasets: Iterable[Path]) -> int:
        """How many of these files a sandbox waits with.

        Raises:
            SandboxUnavailable: The runtime cannot be used here.
        """
        waiting = await self.runtime.parked()
        if not waiting:
            return 0
        prints = [await self._fingerprint(path) for path in datasets if await asyncio.to_thread(path.is_file)]
        return sum(found in waiting for _, found in prints)

    async def close(self) -> None:
        """End every sandbox still open and every zygote nobody took. May be called again."""
        self._closed = True
        for sandbox in list(self._open):
            await sandbox.close()
        while self._blank:
            future = self._blank.popleft()
            with contextlib.suppress(TrigpointError):
                await (await asyncio.wrap_future(future)).close()

    async def _fingerprint(self, dataset: Path, rules: ReadingRules | None = None) -> tuple[str, str]:
        """Of the file, and of a sandbox with it."""
        sha256 = await asyncio.to_thread(file_digest, dataset)
        content = (rules or NO_RULES).content(sha256)
        return sha256, await self.runtime.fingerprint(self.limits, content)

    async def _warm(self, dataset: Path, slug: str, rules: ReadingRules | None) -> Sandbox | None:
        """A sandbox that waits with this dataset, if there is one."""
        if not self.warm_s or not self.runtime.keeps:
            return None
        sha256, fingerprint = await self._fingerprint(dataset, rules)
        transport = await self.runtime.revive(fingerprint, self.limits)
        if transport is None:
            return None
        try:
            return await Sandbox.open(
                self.runtime,
                dataset,
                limits=self.limits,
                slug=slug,
                transport=transport,
                kept=sha256,
                observer=self.observer,
                rules=rules,
            )
        except SandboxError as error:
            logger.warning("a warm sandbox was of no use: %s", error)
            return None

    async def _fresh(self, dataset: Path, slug: str, rules: ReadingRules | None) -> Sandbox:
        """A new sandbox. Those that only wait make room: with it there are never more than there may be."""
        if self.runtime.keeps and await self.runtime.parked():
            await self.runtime.trim(await self._spare())
        transport = await self._take_blank()
        return await Sandbox.open(
            self.runtime,
            dataset,
            limits=self.limits,
            slug=slug,
            transport=transport,
            observer=self.observer,
            rules=rules,
        )

    async def _spare(self) -> int:
        """How many may wait, while everybody who holds a slot has a sandbox."""
        spare = self._max_sandboxes - len(self._open) - 1
        return max(0, spare if self._free_slots is None else min(spare, await self._free_slots()))

    async def _take_blank(self) -> Transport | None:
        """A zygote started ahead that is still alive, if there is one."""
        while self._blank:
            future = self._blank.popleft()
            try:
                transport = await asyncio.wrap_future(future)
            except TrigpointError as error:
                # The same start is tried again in the open, where its failure is the caller's to hear.
                logger.info("a sandbox could not be started ahead: %s", error)
                continue
            except asyncio.CancelledError:
                future.add_done_callback(_abandon_one)
                raise
            # The docker runtime asks the engine.
            if await asyncio.to_thread(_has_started, transport):
                return transport
            await transport.close()
        return None


def _has_started(transport: Transport) -> bool:
    return transport.started


def _start_blank(runtime: Runtime, limits: SandboxLimits, future: Future[Transport]) -> None:
    try:
        transport = asyncio.run(runtime.start(limits))
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(transport)


def _abandon_one(future: Future[Transport]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().abandon()


def _abandon_all(blank: deque[Future[Transport]]) -> None:
    while blank:
        blank.popleft().add_done_callback(_abandon_one)
