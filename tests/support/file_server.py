"""A file server on 127.0.0.1 that misbehaves on demand: stalls, breaks off, lies about sizes, redirects, turns away.

It speaks to plain sockets, so that a test can send what no well-behaved HTTP library would.
"""

from __future__ import annotations

import contextlib
import re
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Request:
    """What a client asked for; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """What the server answers, down to how it goes wrong.

    Attributes:
        body: The bytes sent.
        status: With its reason phrase.
        headers: Sent as they are, besides Content-Length.
        length: Content-Length; None: that of the body; -1: none is sent.
        stall_after: After so many bytes of the body nothing more comes, for `stall_s` seconds.
        stall_s: How long; then the connection is closed.
        cut_after: After so many bytes of the body the connection is closed.
    """

    body: bytes = b""
    status: str = "200 OK"
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    stall_after: int | None = None
    stall_s: float = 30.0
    cut_after: int | None = None


Behaviour = Callable[[Request], Reply]


def ranged(body: bytes, tag: str = '"v1"', **more: str) -> Behaviour:
    """A well-behaved file: ranges honoured when If-Range names the present version."""

    def behave(request: Request) -> Reply:
        headers = {"ETag": tag, "Accept-Ranges": "bytes", **more}
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if found is None or request.headers.get("if-range") != tag:
            return Reply(body, headers=headers)
        start = int(found[1])
        if start >= len(body):
            return Reply(status="416 Range Not Satisfiable", headers={"Content-Range": f"bytes */{len(body)}"})
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return Reply(body[start:], status="206 Partial Content", headers=headers)

    return behave


def in_turn(*behaviours: Behaviour | Reply) -> Behaviour:
    """One after the other; the last for ever."""
    left = list(behaviours)

    def behave(request: Request) -> Reply:
        now = left.pop(0) if len(left) > 1 else left[0]
        return now if isinstance(now, Reply) else now(request)

    return behave


class FileServer:
    """The server, in threads of this process; a context manager.

    Args:
        files: What to do by path; any other path is a 404.
    """

    def __init__(self, files: Mapping[str, Behaviour | Reply] | None = None) -> None:
        self.files: dict[str, Behaviour | Reply] = dict(files or {})
        self.requests: list[Request] = []
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def asked(self, path: str, method: str = "GET") -> int:
        """How often a path was asked for."""
        return sum(request.path.partition("?")[0] == path and request.method == method for request in self.requests)

    def answer(self, request: Request) -> Reply:
        """The reply to a request, which is counted."""
        self.requests.append(request)
        found = self.files.get(request.path.partition("?")[0], Reply(b"no such file", status="404 Not Found"))
        return found if isinstance(found, Reply) else found(request)

    def __enter__(self) -> Self:
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                request = _read(self)
                if request is not None:
                    # The client has had enough, as some tests want.
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        _write(self, request, outer.answer(request), outer.stopped)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _read(handler: socketserver.StreamRequestHandler) -> Request | None:
    line = handler.rfile.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = {}
    while (header := handler.rfile.readline().strip()) != b"":
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = handler.rfile.read(int(headers.get("content-length", "0")))
    return Request(line[0], line[1], headers, body)


def _write(
    handler: socketserver.StreamRequestHandler, request: Request, reply: Reply, stopped: threading.Event
) -> None:
    head = [f"HTTP/1.1 {reply.status}", "Connection: close"]
    head += [f"{name}: {value}" for name, value in reply.headers.items()]
    if reply.length != -1:
        head.append(f"Content-Length: {len(reply.body) if reply.length is None else reply.length}")
    handler.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1"))
    if request.method == "HEAD":
        return
    end = next((cut for cut in (reply.cut_after, reply.stall_after) if cut is not None), len(reply.body))
    handler.wfile.write(reply.body[:end])
    handler.wfile.flush()
    if reply.stall_after is not None:
        stopped.wait(reply.stall_s)


def rows(count: int, seed: int = 0) -> bytes:
    """A table that passes the gate when it has 50 rows: a measure, a category, a number per row."""
    lines = [f"{(n * 7919 + seed * 104_729) % 1000 / 10},{'abc'[(n + seed) % 3]},{n % 17 + seed}" for n in range(count)]
    return ("weight,kind,age\n" + "\n".join(lines) + "\n").encode()
