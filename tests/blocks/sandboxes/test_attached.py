"""What an engine remembers of a container's end, in the words of old and new engines."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import docker
import pytest

from blocks.sandboxes.attached import End, last_end


@contextmanager
def engine(events: list[dict[str, Any]]) -> Iterator[docker.APIClient]:
    """A client of an engine that remembers these events and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in [*(json.dumps(event) + "\n" for event in events), ""]:
                self.wfile.write(f"{len(line):x}\r\n{line}\r\n".encode())

        def log_message(self, *arguments: Any) -> None:
            """The test's output is enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    client = docker.APIClient(base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41")
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("keys", [("status",), ("Action",), ("status", "Action")])
def test_an_end_is_read_whatever_the_engine_calls_it(keys: tuple[str, ...]) -> None:
    def event(what: str, **attributes: str) -> dict[str, Any]:
        return {"Type": "container", "Actor": {"ID": "c", "Attributes": attributes}} | dict.fromkeys(keys, what)

    with engine([event("start"), event("oom"), event("die", exitCode="137")]) as client:
        assert last_end(client, 0, {"container": "c"}) == End(137, out_of_memory=True)
    with engine([event("start"), event("die", exitCode="3")]) as client:
        assert last_end(client, 0, {"container": "c"}) == End(3, out_of_memory=False)
    with engine([event("start")]) as client:
        assert last_end(client, 0, {"container": "c"}) == End(None, out_of_memory=False)
