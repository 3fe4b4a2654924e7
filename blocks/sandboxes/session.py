"""A session as its user holds it: one cell at a time, interrupt, reset, and the truth about lost namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from blocks.errors import SandboxError, SandboxLost
from blocks.sandboxes.cell import RunningCell
from blocks.sandboxes.link import Link
from blocks.sandboxes.models import CellResult, OutputChunk
from sandbox_image.zygote.protocol import Frame, Kind

if TYPE_CHECKING:
    from blocks.sandboxes.sandbox import Sandbox

END_MARGIN_S = 10.0
"""Seconds past a cell's timeout and grace before the host stops believing that the zygote will end it."""


class Session:
    """A namespace of its own in a sandbox. Made by `Sandbox.session`; usable from one event loop.

    Cells of one session run one after the other, in the order they were asked for. Sessions run side by side.
    """

    def __init__(self, sandbox: Sandbox, number: int) -> None:
        self.number = number
        self._sandbox = sandbox
        self._link: Link | None = None
        self._opening: asyncio.Task[Frame] | None = None
        self._turn = asyncio.Lock()
        self._control = asyncio.Lock()
        self._running: RunningCell | None = None
        self._cells = 0
        self._news = ""
        self._told: Link | None = None
        self._left: RunningCell | None = None
        """The cell whose caller was cancelled and that would not end, from its reset until the reset is answered."""
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether cells can still be run in it."""
        return not self._closed and not self._sandbox.closed

    async def run(self, code: str, *, timeout_s: float | None = None) -> CellResult:
        """Run a cell and wait for its end. Cancelling interrupts the cell; the session stays usable.

        Args:
            code: Python source.
            timeout_s: Wall clock, seconds; the sandbox's `cell_timeout_s` when not given.

        Returns:
            What happened, whatever the code did.

        Raises:
            SandboxError: The session is closed.
            SandboxLost: The sandbox was lost and could not be built again.
        """
        return await self._execute(code, timeout_s, None)

    async def stream(self, code: str, *, timeout_s: float | None = None) -> AsyncIterator[OutputChunk | CellResult]:
        """Run a cell and yield its output as it comes; the last item is the `CellResult`.

        Leaving the iteration early interrupts the cell. Arguments and errors are those of `run`.
        """
        pieces: asyncio.Queue[OutputChunk | None] = asyncio.Queue()
        task = asyncio.create_task(self._execute(code, timeout_s, pieces.put_nowait))
        task.add_done_callback(lambda _: pieces.put_nowait(None))
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
            yield await task
        finally:
            task.cancel()

    async def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the running cell, if there is one. Its result tells how that went."""
        if self._running is not None and self._link is not None:
            self._link.send(Kind.INTERRUPT, self.number, {})

    async def reset(self) -> None:
        """Throw the namespace away and start from a fresh fork; a running cell ends as "killed".

        Raises:
            SandboxError: The session is closed.
            SandboxLost: The sandbox was lost and could not be built again.
        """
        self._check_open()
        running = self._running
        async with self._control:
            link = await self._sandbox.ready_link()
            if self._link is link:
                await self._answered(link, Kind.RESET, Kind.OPENED)
            else:
                await self._open_on(link)
            self._news = ""
            if running is not None:
                running.give_up("killed", "the session was reset while the cell ran")

    async def close(self) -> None:
        """End the session and remove its files. May be called again."""
        if self._closed:
            return
        self._closed = True
        self._sandbox.forget(self.number)
        running = self._running
        async with self._control:
            link = self._link
            if link is not None and not link.lost.done():
                # A zygote that dies meanwhile took the session with it.
                with contextlib.suppress(SandboxLost):
                    await self._answered(link, Kind.CLOSE, Kind.CLOSED)
                link.unlisten(self.number)
            if running is not None:
                running.give_up("killed", "the session was closed while the cell ran")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def lose(self, link: Link, reason: str) -> None:
        """The zygote is gone: the next result says that earlier variables are. Called by the sandbox."""
        if self._cells and self._link is link and self._told is not link:
            self._news = reason

    async def open(self) -> None:
        """Fork the session now instead of at its first cell. Called by the sandbox.

        Raises:
            SandboxError: The zygote refused.
            SandboxLost: The sandbox was lost and could not be built again.
        """
        async with self._control:
            await self._open_on(await self._sandbox.ready_link())

    def _check_open(self) -> None:
        if not self.alive:
            raise SandboxError(f"Session {self.number} is closed.", "Open a new one.")

    async def _execute(
        self, code: str, timeout_s: float | None, on_chunk: Callable[[OutputChunk], None] | None
    ) -> CellResult:
        await self._turn.acquire()
        limit = self._sandbox.limits.cell_timeout_s if timeout_s is None else timeout_s
        try:
            link, running = await self._begin(code, limit, on_chunk)
        except BaseException:
            self._turn.release()
            raise
        try:
            result = await self._outcome(link, running, limit)
        except asyncio.CancelledError:
            self._leave(link, running)
            raise
        except BaseException:
            self._turn.release()
            raise
        self._running = None
        self._turn.release()
        return self._with_news(result)

    async def _begin(
        self, code: str, limit: float, on_chunk: Callable[[OutputChunk], None] | None
    ) -> tuple[Link, RunningCell]:
        """Send the cell off; from here to its end the session is busy."""
        async with self._control:
            self._check_open()
            link = await self._sandbox.ready_link()
            await self._open_on(link)
            self._check_open()
            running = RunningCell(self._cells + 1, self._sandbox.limits, on_chunk)
            link.listen(self.number, self._feed)
            grace_s = self._sandbox.limits.grace_s
            payload = {"cell": running.cell, "code": code, "timeout_s": limit, "grace_s": grace_s}
            link.send(Kind.RUN, self.number, payload)
            self._cells += 1
            self._running = running
            return link, running

    async def _open_on(self, link: Link) -> None:
        """Have the zygote fork the session, once per link, also when a first asker was cancelled meanwhile."""
        if self._link is not link:
            limits = self._sandbox.limits.model_dump(mode="json")
            request = link.request(Kind.OPEN, self.number, {"limits": limits}, Kind.OPENED)
            self._opening = asyncio.create_task(request)
            self._link = link
        if self._opening is not None:
            try:
                await asyncio.shield(self._opening)
            except SandboxError:
                self._link = None
                raise
            finally:
                if self._opening.done():
                    self._opening = None

    def _feed(self, frame: Frame) -> None:
        if frame.kind == Kind.OPENED:
            # Comes after the END of the cell that was reset, when the next may run already.
            left, self._left = self._left, None
            if left is not None:
                left.give_up("killed", "the cell did not end when interrupted and the session was reset")
            return
        running = self._running
        if running is None:
            return
        if frame.kind == Kind.REFUSED:
            running.give_up("lost", f"the sandbox refused the cell: {frame.json().get('message', 'no reason given')}")
        else:
            running.feed(frame)

    async def _outcome(self, link: Link, running: RunningCell, limit: float) -> CellResult:
        patience = limit + self._sandbox.limits.grace_s + END_MARGIN_S
        either: list[asyncio.Future[Any]] = [running.done, link.lost]
        await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not running.done.done() and await link.ping() and not running.done.done():
            # It answers pings, yet never ended the cell: take the session down, leave its siblings alone.
            reason = f"the cell did not end within {patience:g} s and the session was reset"
            began, took = time.monotonic(), None
            with contextlib.suppress(SandboxLost):
                await self._answered(link, Kind.RESET, Kind.OPENED)
                took = round(time.monotonic() - began, 3)
            running.give_up("lost", reason)
            self._sandbox.session_lost(self.number, reason, took)
        if not running.done.done():
            self._told = link
            running.give_up("lost", f"the sandbox was lost: {link.lost.result().reason}")
        return running.done.result()

    async def _answered(self, link: Link, kind: Kind, answer: Kind) -> None:
        await link.request(kind, self.number, {}, answer)

    def _leave(self, link: Link, running: RunningCell) -> None:
        """The caller was cancelled: interrupt the cell and free the turn when it has ended, without a task to wait.

        Callbacks rather than a task, because cancellation is also how an event loop ends.
        """
        link.send(Kind.INTERRUPT, self.number, {})
        patience = self._sandbox.limits.grace_s + END_MARGIN_S / 2

        def insist() -> None:
            self._left = running
            link.send(Kind.RESET, self.number, {})

        timer = asyncio.get_running_loop().call_later(patience, insist)

        def settled(done: asyncio.Future[CellResult]) -> None:
            timer.cancel()
            result = done.result()
            if not result.namespace_kept:
                self._news = result.reason
            self._running = None
            self._turn.release()

        running.done.add_done_callback(settled)
        link.lost.add_done_callback(lambda _: running.give_up("lost", "the sandbox was lost"))

    def _with_news(self, result: CellResult) -> CellResult:
        news, self._news = self._news, ""
        if not news or not result.namespace_kept:
            return result
        reason = f"{result.reason}; " if result.reason else ""
        reason += f"the variables of earlier cells were lost before this cell: {news}"
        return result.model_copy(update={"namespace_kept": False, "reason": reason})
