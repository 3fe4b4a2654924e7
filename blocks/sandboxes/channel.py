"""Frames over a transport: one thread reads, one writes, and the event loop only ever sees whole frames.

Transports block (pipes, TLS sockets, an ssh tunnel), the loop must not. The reader hands each batch of frames over
with a single wake-up of the loop. Threads know the channel's owner by weak reference only, so that a forgotten sandbox
is collected and ends its zygote.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from blocks.sandboxes.runtime import Transport
from sandbox_image.zygote.protocol import Decoder, Frame, Kind, ProtocolError, encode

HIGH_WATER = 1024 * 1024
"""Bytes that may wait for the writer before `drain` holds an uploader back."""

FramesSink = Callable[[list[Frame]], None]
EndSink = Callable[[str], None]


class Channel:
    """Both directions of one zygote's stream, bound to the running event loop.

    Args:
        transport: A started zygote.
        on_frames: Bound method called in the loop with each batch of frames, in order. Held weakly.
        on_end: Bound method called once in the loop when the stream has ended, with a protocol error's words or "".
            Held weakly.
    """

    def __init__(self, transport: Transport, on_frames: FramesSink, on_end: EndSink) -> None:
        self._loop = asyncio.get_running_loop()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._pulse = _Pulse()
        frames, end = weakref.WeakMethod(on_frames), weakref.WeakMethod(on_end)
        for target, arguments in (
            (_read_all, (transport, self._loop, frames, end, self._pulse)),
            (_write_all, (transport, self._loop, self._outbox, self._pulse)),
        ):
            threading.Thread(target=target, args=arguments, name=f"sandbox-{target.__name__}", daemon=True).start()
        weakref.finalize(self, self._outbox.put, None)

    @property
    def last_heard(self) -> float:
        """When bytes last came in, on the monotonic clock; true also while the event loop was busy."""
        return self._pulse.last_heard

    def send(self, kind: Kind, session: int = 0, payload: bytes | dict[str, Any] = b"") -> None:
        """Queue a frame for the writer. Returns at once.

        Raises:
            ProtocolError: The payload is larger than the protocol allows.
        """
        data = encode(kind, session, payload)
        self._pulse.sent += len(data)
        self._outbox.put(data)

    async def drain(self) -> None:
        """Wait until the writer has caught up, so that an upload leaves room for other frames in between."""
        pulse = self._pulse
        while pulse.sent - pulse.written > HIGH_WATER and not pulse.ended:
            pulse.caught_up = asyncio.Event()
            # The writer may have caught up before it could see the event.
            if pulse.sent - pulse.written > HIGH_WATER and not pulse.ended:
                await pulse.caught_up.wait()

    def stop_writing(self) -> None:
        """Let the writer end once everything queued so far is written."""
        self._outbox.put(None)


class _Pulse:
    """What the two threads and the loop share; each counter has a single writer."""

    def __init__(self) -> None:
        self.last_heard = time.monotonic()
        self.sent = 0
        self.written = 0
        self.ended = False
        self.caught_up: asyncio.Event | None = None

    def wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let a held back uploader go on; from any thread."""
        event = self.caught_up
        if event is not None:
            # A closed loop has nobody waiting in it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)


def _read_all(
    transport: Transport,
    loop: asyncio.AbstractEventLoop,
    on_frames: weakref.WeakMethod[FramesSink],
    on_end: weakref.WeakMethod[EndSink],
    pulse: _Pulse,
) -> None:
    decoder = Decoder()
    trouble = ""
    try:
        while data := transport.read():
            pulse.last_heard = time.monotonic()
            if frames := decoder.feed(data):
                loop.call_soon_threadsafe(_deliver, on_frames, frames)
    except ProtocolError as error:
        trouble = str(error)
    except RuntimeError:
        pass  # the loop is closed: nobody is left to hear
    pulse.ended = True
    pulse.wake(loop)
    transport.abandon()
    try:
        loop.call_soon_threadsafe(_deliver, on_end, trouble)
    except RuntimeError:
        return


def _deliver(method: weakref.WeakMethod[Callable[[Any], None]], argument: object) -> None:
    call = method()
    if call is not None:
        call(argument)


def _write_all(
    transport: Transport,
    loop: asyncio.AbstractEventLoop,
    outbox: queue.SimpleQueue[bytes | None],
    pulse: _Pulse,
) -> None:
    while (data := outbox.get()) is not None:
        try:
            transport.write(data)
        except OSError:
            # The reader sees the same end and reports it; what is still queued has no reader any more.
            pulse.ended = True
            pulse.wake(loop)
            return
        pulse.written += len(data)
        if pulse.sent - pulse.written <= HIGH_WATER:
            pulse.wake(loop)
