"""A fake of the wire for checks that ask a server: an HTTP server with scripted answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from blocks.host.findings import Finding


def only(findings: list[Finding], what: str) -> Finding:
    (found,) = [finding for finding in findings if finding.what == what]
    return found


@contextmanager
def answering(
    answers: Mapping[str, Any], headers: Mapping[str, str] | None = None, sent: list[Any] | None = None
) -> Iterator[str]:
    """An HTTP server with these answers, as JSON by path; an integer is a status, any other path is not found.

    What can be called is called with the request's body, and answers.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(None)

        def answer(self, asked: Any) -> None:
            answer = answers.get(self.path.removeprefix("/v1.41"), 404)
            answer = answer(asked) if callable(answer) else answer
            body = json.dumps({"message": "No such image"} if type(answer) is int else answer).encode()
            self.send_response_only(answer if type(answer) is int else 200)
            named = {"Date": format_datetime(datetime.now(UTC), usegmt=True), **(headers or {})}
            for name, value in {**named, "Content-Type": "application/json", "Content-Length": len(body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = json.loads(body) if body else None
            if sent is not None and body:
                sent.append(asked)
            self.answer(asked)

        do_DELETE = do_GET

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
