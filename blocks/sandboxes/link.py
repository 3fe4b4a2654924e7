"""A living zygote: handshake, dataset upload, requests with their answers, and the news that it has died."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from blocks.errors import DatasetError, SandboxError, SandboxLost, SandboxUnavailable
from blocks.sandboxes.channel import Channel
from blocks.sandboxes.models import LoadedDataset, SandboxInfo, SandboxLimits, SandboxStats
from blocks.sandboxes.reading import ReadingRules
from blocks.sandboxes.runtime import Transport, libraries_digest
from sandbox_image.zygote.protocol import PROTOCOL_VERSION, Frame, Kind, ProtocolError

logger = logging.getLogger(__name__)

REMEDIES = {
    "empty": "Give a CSV file with a header line and at least one row.",
    "no_columns": "--header-line NUMBER names the line with the column names; 0 says that there is none.",
    "not_text": "Export the table as CSV.",
    "encoding": "--encoding NAME says in which encoding it is, such as cp1252, cp1251 or shift_jis.",
    "too_many_columns": "Take the columns you need into a file of their own.",
    "ragged": "Mend the line; or --delimiter, --quote and --skip-lines say how the file is read.",
    "quote": "Mend the line, or say --quote none where quotation marks enclose nothing.",
    "memory": "Give a sample of its rows.",
    "format": "",
    "rules": "Mend the rule, on the command line or in dataset.json.",
    "other": "Check that it is a plain table; --delimiter, --encoding and --header-line say how it is read.",
}
"""What a user can do about a file that is no table, by the reader's reason; `format` says it in its words."""
UPLOAD_CHUNK = 256 * 1024
PONG_DEADLINE_S = 10.0
"""A zygote that answers no ping for this long is stuck. It never computes for long once the dataset is loaded."""
REQUEST_DEADLINE_S = 30.0
_DATA_END = b""


class Loss(NamedTuple):
    """Why a zygote is no longer there."""

    kind: Literal["died", "stuck", "protocol"]
    reason: str


class Hello(BaseModel):
    """The zygote's first frame."""

    protocol: int
    python: str
    platform: str
    libraries: dict[str, str]
    walls: dict[str, Any]
    pid: int
    loaded: dict[str, Any] | None = None
    """The dataset it has already, as LOADED says it."""


Sink = Callable[[Frame], None]


class Link:
    """One zygote, from its HELLO to its end. Not rebuilt: a lost link stays lost, the sandbox makes a new one."""

    hello: Hello

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.lost: asyncio.Future[Loss] = asyncio.get_running_loop().create_future()
        self._sinks: dict[int, Sink] = {}
        self._waiters: defaultdict[int, deque[tuple[frozenset[Kind], asyncio.Future[Frame]]]] = defaultdict(deque)
        self._pings = itertools.count(1)
        self._fatal = ""
        self._closing = False
        self._channel = Channel(transport, self._on_frames, self._on_end)
        weakref.finalize(self, transport.abandon)

    @classmethod
    async def open(cls, transport: Transport, limits: SandboxLimits) -> Link:
        """Wait for the zygote to say hello.

        Raises:
            SandboxUnavailable: It refuses to work here, or speaks another protocol.
            SandboxError: It died, or said nothing within `start_timeout_s`.
        """
        link = cls(transport)
        try:
            frame = await link._answer(0, {Kind.HELLO}, limits.start_timeout_s)
            link.hello = _parse_hello(frame)
        except SandboxLost as error:
            transport.abandon()
            await transport.close()
            if link._fatal:
                elsewhere = "Use the docker runtime" if transport.runtime == "process" else "Use another engine"
                remedy = f"{elsewhere}, or allow_weak=True for code you trust."
                raise SandboxUnavailable(link._fatal.rstrip(".") + ".", remedy) from error
            reason = link.lost.result().reason
            raise SandboxError(f"The sandbox did not start: {reason}.", transport.diagnostics()[-2000:]) from error
        except BaseException:
            transport.abandon()
            await asyncio.shield(transport.close())
            raise
        return link

    @property
    def info(self) -> SandboxInfo:
        """What the sandbox is made of."""
        walls = {**self.hello.walls, **self.transport.walls}
        return SandboxInfo(
            runtime=self.transport.runtime,
            image_digest=self.transport.image_digest or libraries_digest(self.hello.python, self.hello.libraries),
            python=self.hello.python,
            platform=self.hello.platform,
            libraries=self.hello.libraries,
            walls=walls,
        )

    async def load(self, path: Path, name: str, rules: ReadingRules, limits: SandboxLimits) -> LoadedDataset:
        """Send a dataset and wait until it is read.

        Raises:
            DatasetError: The file cannot be read, here or by the zygote.
            SandboxLost: The zygote died over it.
        """
        try:
            size = (await asyncio.to_thread(path.stat)).st_size
            if size > limits.max_dataset_bytes:
                raise DatasetError(
                    f"{path.name} has {size} bytes, more than the {limits.max_dataset_bytes} allowed.",
                    "Raise max_dataset_bytes or take a sample of the file.",
                )
            answer = self._expect(0, {Kind.LOADED, Kind.LOAD_FAILED, Kind.REFUSED})
            header = {
                "name": name,
                "bytes": size,
                "rules": rules.model_dump(mode="json", exclude_defaults=True),
                "max_columns": limits.max_columns,
                "limits": limits.model_dump(),
            }
            self._channel.send(Kind.LOAD, 0, header)
            async with asyncio.timeout(limits.load_timeout_s):
                digest = await self._upload(path)
        except TimeoutError as error:
            self.fail(Loss("stuck", f"the dataset was not taken within {limits.load_timeout_s:g} s"))
            raise SandboxLost(f"The sandbox was lost: {self.lost.result().reason}.") from error
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror or error}."
            raise DatasetError(message, "Check its permissions.") from error
        frame = await self._within(answer, limits.load_timeout_s, "the dataset was not read in time")
        if frame.kind != Kind.LOADED:
            refused = frame.json()
            message = str(refused.get("message", "no reason given"))
            # Where the reader knows what helps in this very case, it says so itself, with the option.
            remedy = "" if refused.get("helps") else REMEDIES.get(str(refused.get("reason")), REMEDIES["other"])
            raise DatasetError(f"{path.name} cannot be read as a table: {message}", remedy)
        loaded = LoadedDataset.model_validate({"name": name, **frame.json()})
        if loaded.sha256 != digest:
            raise SandboxError("The dataset changed on its way into the sandbox.")
        return loaded

    def take_over(self, name: str, sha256: str) -> LoadedDataset:
        """The dataset that the zygote has from an earlier run.

        Raises:
            SandboxError: It has none, or another.
        """
        loaded = LoadedDataset.model_validate({"name": name, **(self.hello.loaded or {})})
        if loaded.sha256 != sha256:
            raise SandboxError("The sandbox was kept with another dataset.")
        return loaded

    async def park(self, fingerprint: str, idle_s: float) -> None:
        """Have the zygote let go of this host and wait for another; the link has ended then.

        Raises:
            SandboxError: The zygote or its runtime would not; the link must be closed.
            SandboxLost: It died.
        """
        await self.request(Kind.PARK, 0, {"idle_s": idle_s}, Kind.PARKED)
        self._closing = True
        self._channel.stop_writing()
        await self.transport.park(fingerprint, idle_s)
        self.fail(Loss("died", "the sandbox was parked"))

    async def request(
        self, kind: Kind, session: int, payload: dict[str, Any], answer: Kind, timeout_s: float = REQUEST_DEADLINE_S
    ) -> Frame:
        """Send a frame and wait for its answer.

        Raises:
            SandboxError: The zygote refused.
            SandboxLost: It died or did not answer in time.
        """
        future = self._expect(session, {answer, Kind.REFUSED})
        self.send(kind, session, payload)
        frame = await self._within(future, timeout_s, f"no answer to {kind.name}")
        if frame.kind == Kind.REFUSED:
            raise SandboxError(f"The sandbox refused: {frame.json().get('message', 'no reason given')}")
        return frame

    def send(self, kind: Kind, session: int, payload: dict[str, Any]) -> None:
        """Queue a frame; a dead zygote is noticed elsewhere.

        Raises:
            SandboxError: The payload is larger than the protocol allows.
        """
        try:
            self._channel.send(kind, session, payload)
        except ProtocolError as error:
            raise SandboxError(f"Too large for the sandbox: {error}.") from error

    def listen(self, session: int, sink: Sink) -> None:
        """Give the session's frames that answer no request to `sink`."""
        self._sinks[session] = sink

    def unlisten(self, session: int) -> None:
        """Stop giving the session's frames to anyone."""
        self._sinks.pop(session, None)

    async def stats(self) -> SandboxStats:
        """What the zygote and its sessions use.

        Raises:
            SandboxLost: It died or did not answer in time.
        """
        frame = await self.request(Kind.STATS, 0, {}, Kind.STATS_REPLY)
        reply = frame.json()
        sessions = reply.pop("sessions", {})
        return SandboxStats(sessions=sessions, zygote=reply)

    async def ping(self) -> bool:
        """Whether the zygote answers. False means it is stuck; the link is then lost."""
        deadline_s = PONG_DEADLINE_S
        if self.lost.done():
            return False
        sent = time.monotonic()
        future = self._expect(0, {Kind.PONG})
        self._channel.send(Kind.PING, 0, {"n": next(self._pings)})
        # The second, short wait forgives a host that was itself suspended while the clock ran on.
        either: list[asyncio.Future[Any]] = [future, self.lost]
        for wait_s in (deadline_s, 1.0):
            await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            if future.done() and not future.cancelled() and future.exception() is None:
                return True
            if self.lost.done():
                return False
            if self._channel.last_heard > sent:
                return True
        self.fail(Loss("stuck", f"the zygote answered nothing for {deadline_s:g} s"))
        return False

    def fail(self, loss: Loss) -> None:
        """Declare the zygote lost: everything that waits for it hears so."""
        if self.lost.done():
            return
        self.lost.set_result(loss)
        self.transport.abandon()
        error = SandboxLost(f"The sandbox was lost: {loss.reason}.")
        for waiting in self._waiters.values():
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # mark it seen: the asker may have gone
        self._waiters.clear()

    async def close(self) -> None:
        """Ask the zygote to end, then make sure."""
        if not self._closing:
            self._closing = True
            if not self.lost.done():
                self._channel.send(Kind.SHUTDOWN)
            self._channel.stop_writing()
        await self.transport.close()
        self.fail(Loss("died", "the sandbox was closed"))

    async def _upload(self, path: Path) -> str:
        digest = hashlib.sha256()
        with await asyncio.to_thread(path.open, "rb") as file:
            while chunk := await asyncio.to_thread(_next_chunk, file, digest):
                self._channel.send(Kind.DATA, 0, chunk)
                await self._channel.drain()
        self._channel.send(Kind.DATA, 0, _DATA_END)
        return digest.hexdigest()

    def _expect(self, session: int, kinds: set[Kind]) -> asyncio.Future[Frame]:
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        if self.lost.done():
            future.set_exception(SandboxLost(f"The sandbox was lost: {self.lost.result().reason}."))
            future.exception()
        else:
            self._waiters[session].append((frozenset(kinds), future))
        return future

    async def _answer(self, session: int, kinds: set[Kind], timeout_s: float) -> Frame:
        return await self._within(self._expect(session, kinds), timeout_s, "no answer")

    async def _within(self, future: asyncio.Future[Frame], timeout_s: float, what: str) -> Frame:
        await asyncio.wait([future], timeout=timeout_s)
        if not future.done():
            self.fail(Loss("stuck", f"{what} within {timeout_s:g} s"))
        return await future

    def _on_frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            try:
                self._dispatch(frame)
            except (ProtocolError, ValueError) as error:
                self.fail(Loss("protocol", f"the zygote sent something malformed ({type(error).__name__})"))
                return

    def _dispatch(self, frame: Frame) -> None:
        if frame.kind == Kind.FATAL:
            self._fatal = str(frame.json().get("message", ""))
            return
        waiting = self._waiters.get(frame.session)
        for position, (kinds, future) in enumerate(waiting or ()):
            if frame.kind in kinds:
                assert waiting is not None
                del waiting[position]
                if not future.done():
                    future.set_result(frame)
                return
        sink = self._sinks.get(frame.session)
        if sink is not None:
            sink(frame)

    def _on_end(self, trouble: str) -> None:
        if trouble:
            self.fail(Loss("protocol", f"the channel broke ({trouble})"))
        else:
            ended = "the sandbox was closed" if self._closing else "the zygote ended"
            self.fail(Loss("died", self._fatal or ended))


def _next_chunk(file: BinaryIO, digest: hashlib._Hash) -> bytes:
    chunk = file.read(UPLOAD_CHUNK)
    digest.update(chunk)
    return chunk


def _parse_hello(frame: Frame) -> Hello:
    try:
        raw = frame.json()
        version = raw.get("protocol")
        if version != PROTOCOL_VERSION:
            raise SandboxUnavailable(
                f"The sandbox speaks protocol {version}, this Trigpoint speaks {PROTOCOL_VERSION}.",
                "Build the image again with `make sandbox-image`.",
            )
        return Hello.model_validate(raw)
    except (ProtocolError, ValidationError) as error:
        raise SandboxError(f"The sandbox's first words make no sense: {error}") from error
