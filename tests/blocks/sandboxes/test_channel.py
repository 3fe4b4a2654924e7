"""The channel over a transport of its own: frames survive any chunking, uploads leave room, ends are heard once."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from blocks.sandboxes.channel import HIGH_WATER, Channel
from blocks.sandboxes.runtime import Diagnostics, Transport
from sandbox_image.zygote.protocol import HEADER, Decoder, Frame, Kind, encode


class PipeTransport(Transport):
    """Two pipes whose other ends the test holds."""

    runtime = "process"

    def __init__(self) -> None:
        self.far_in, self._out = os.pipe()
        self._in, self.far_out = os.pipe()
        self._cut_read, self._cut_write = os.pipe()
        self.abandoned = 0

    @property
    def walls(self) -> Mapping[str, Any]:
        return {}

    @property
    def started(self) -> bool:
        return not self.abandoned

    def read(self) -> bytes:
        return os.read(self._in, 1 << 16)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._out, view) :]

    def abandon(self) -> None:
        self.abandoned += 1

    async def close(self) -> None:
        self.abandon()

    def diagnostics(self) -> str:
        return ""

    async def post_mortem(self) -> str:
        return ""

    def free(self) -> None:
        for descriptor in (self.far_in, self._out, self._in, self.far_out, self._cut_read, self._cut_write):
            try:
                os.close(descriptor)
            except OSError:
                continue


class Heard:
    """Whoever owns a channel."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.ends: list[str] = []
        self.ended = asyncio.Event()

    def on_frames(self, frames: list[Frame]) -> None:
        self.frames += frames

    def on_end(self, trouble: str) -> None:
        self.ends.append(trouble)
        self.ended.set()


@pytest.fixture
def transport() -> Iterator[PipeTransport]:
    made = PipeTransport()
    yield made
    made.free()


async def test_frames_arrive_in_order_and_the_end_once(transport: PipeTransport) -> None:
    heard = Heard()
    channel = Channel(transport, heard.on_frames, heard.on_end)
    sent = [Frame(Kind.STDOUT, number, os.urandom(number * 37)) for number in range(200)]
    data = b"".join(encode(*frame[:2], frame.payload) for frame in sent)

    def speak() -> None:
        for start in range(0, len(data), 1013):
            os.write(transport.far_out, data[start : start + 1013])
        os.close(transport.far_out)

    threading.Thread(target=speak, daemon=True).start()
    async with asyncio.timeout(100):
        await heard.ended.wait()
    assert heard.frames == sent
    assert heard.ends == [""]
    assert transport.abandoned
    channel.stop_writing()


async def test_a_frame_that_announces_too_much_ends_the_channel(transport: PipeTransport) -> None:
    heard = Heard()
    channel = Channel(transport, heard.on_frames, heard.on_end)
    os.write(transport.far_out, HEADER.pack(2**31, Kind.STDOUT, 1))
    async with asyncio.timeout(100):
        await heard.ended.wait()
    assert "over" in heard.ends[0]
    assert transport.abandoned
    channel.stop_writing()


async def test_an_upload_nobody_reads_neither_blocks_the_loop_nor_grows_without_bound(transport: PipeTransport) -> None:
    heard = Heard()
    channel = Channel(transport, heard.on_frames, heard.on_end)
    chunk = b"x" * (256 * 1024)
    queued = 0

    async def upload() -> None:
        nonlocal queued
        for _ in range(64):
            channel.send(Kind.DATA, 0, chunk)
            queued += len(chunk)
            await channel.drain()

    uploading = asyncio.create_task(upload())
    await asyncio.sleep(0.3)
    assert not uploading.done()
    assert queued <= HIGH_WATER + 3 * len(chunk)
    started = time.monotonic()
    channel.send(Kind.PING, 0, {"n": 1})
    await asyncio.sleep(0)
    assert time.monotonic() - started < 60, "the loop was blocked"
    decoder = Decoder()
    received: list[Frame] = []

    def listen() -> None:
        while not received or received[-1].kind != Kind.SHUTDOWN:
            received.extend(decoder.feed(os.read(transport.far_in, 1 << 16)))

    listener = asyncio.create_task(asyncio.to_thread(listen))
    async with asyncio.timeout(200):
        await uploading
        channel.send(Kind.SHUTDOWN)
        await listener
    kinds = [frame.kind for frame in received]
    assert kinds.count(Kind.DATA) == 64
    assert kinds.index(Kind.PING) < 12, "the small frame waited for the whole upload"
    channel.stop_writing()
    os.close(transport.far_out)
    await heard.ended.wait()


async def test_a_reader_that_goes_releases_a_held_back_upload(transport: PipeTransport) -> None:
    heard = Heard()
    channel = Channel(transport, heard.on_frames, heard.on_end)
    for _ in range(20):
        channel.send(Kind.DATA, 0, b"x" * (256 * 1024))
    waiting = asyncio.create_task(channel.drain())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    os.close(transport.far_in)
    async with asyncio.timeout(100):
        await waiting
    os.close(transport.far_out)
    await heard.ended.wait()


def test_diagnostics_keep_the_end() -> None:
    ring = Diagnostics(capacity=100)
    for number in range(1000):
        ring.add(f"line {number}\n".encode())
    assert ring.text().endswith("line 999")
    assert len(ring.text()) <= 100
    ring.add(b"y" * 1000)
    assert ring.text() == "y" * 100
