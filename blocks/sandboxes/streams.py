"""The attached stream of a container: sockets of every scheme made alike, and the engine's framing taken off."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

READ_SIZE = 256 * 1024
_HEADER = struct.Struct(">BxxxL")
STDOUT, STDERR = 1, 2
_T = TypeVar("_T")


class ByteStream(ABC):
    """A connected socket, blocking, used by one reader and one writer thread at once."""

    @abstractmethod
    def recv(self) -> bytes:
        """The next bytes; empty at the end."""

    @abstractmethod
    def sendall(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            OSError: The stream has ended.
        """

    @abstractmethod
    def cut(self) -> None:
        """End both directions; a thread inside `recv` or `sendall` comes back. Never raises."""

    @abstractmethod
    def close(self) -> None:
        """Free the descriptor. Call it when no thread uses the stream any more."""


def byte_stream(attached: Any) -> ByteStream:
    """Make what docker-py's `attach_socket` returns usable by two threads.

    Args:
        attached: A `SocketIO` (plain sockets) or an `SSLSocket`.
    """
    # The response object owns the connection; it must live as long as the socket is used.
    sock = attached if isinstance(attached, socket.socket) else attached._sock
    if isinstance(sock, ssl.SSLSocket):
        return _TlsStream(sock, attached)
    return _PlainStream(sock, attached)


class _PlainStream(ByteStream):
    def __init__(self, sock: socket.socket, keep: object) -> None:
        self._sock = sock
        self._keep = keep
        sock.settimeout(None)

    def recv(self) -> bytes:
        try:
            return self._sock.recv(READ_SIZE)
        except OSError:
            return b""

    def sendall(self, data: bytes) -> None:
        self._sock.sendall(data)

    def cut(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()


class _TlsStream(ByteStream):
    """A TLS connection may be in one call at a time: it is kept non-blocking, and waiting happens outside the lock."""

    def __init__(self, sock: ssl.SSLSocket, keep: object) -> None:
        self._sock = sock
        self._keep = keep
        self._lock = threading.Lock()
        sock.setblocking(False)

    def recv(self) -> bytes:
        try:
            return self._patiently(partial(self._sock.recv, READ_SIZE))
        except (OSError, ValueError):
            return b""

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            # Records are 16 KiB; a larger piece would keep the lock from the reader for longer.
            view = view[self._patiently(partial(self._sock.send, view[: 64 * 1024])) :]

    def cut(self) -> None:
        # On the bare connection: a TLS farewell would wait for the peer.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()

    def _patiently(self, call: Callable[[], _T]) -> _T:
        while True:
            try:
                with self._lock:
                    return call()
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            poll = select.poll()
            poll.register(self._sock.fileno(), wanted)
            poll.poll()


class Demultiplexer:
    """Takes the engine's 8-byte headers off: stdout is returned, stderr goes to `on_stderr`."""

    def __init__(self, on_stderr: Callable[[bytes], None]) -> None:
        self._on_stderr = on_stderr
        self._header = bytearray()
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Add bytes; return the stdout bytes among them.

        Raises:
            ValueError: A header names no stream: the bytes are not of an attached container.
        """
        out: list[bytes] = []
        position = 0
        while position < len(data):
            if self._left == 0:
                position += self._take_header(data, position)
                continue
            piece = data[position : position + self._left]
            position += len(piece)
            self._left -= len(piece)
            if self._stream == STDOUT:
                out.append(piece)
            else:
                self._on_stderr(piece)
        return out[0] if len(out) == 1 else b"".join(out)

    def _take_header(self, data: bytes, position: int) -> int:
        piece = data[position : position + _HEADER.size - len(self._header)]
        self._header += piece
        if len(self._header) == _HEADER.size:
            self._stream, self._left = _HEADER.unpack(self._header)
            self._header.clear()
            if self._stream not in (STDOUT, STDERR):
                raise ValueError(f"no stream has number {self._stream}")
        return len(piece)
