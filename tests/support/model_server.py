"""A scripted model server on 127.0.0.1: a real HTTP server that speaks OpenAI's and Ollama's chat API.

In a test, in a thread of the test process:

    with ModelServer(in_turn(error(500), Answer(content="hello"))) as server:
        ...  # server.base_url for the OpenAI dialect, server.ollama_url for Ollama's
    assert server.tally.asked[key] == 2

As a process of its own, which outlives a killed client (`ModelProcess` starts one and stops it):

    python -m tests.support.model_server --script behave.py --log calls.jsonl [--port 0]

prints its OpenAI base URL as the first line. The script defines `behave(ask: Ask) -> Answer`, plain or async. With a
log each request is one line when it comes ("asked") and one when its last byte has been written ("answered"), so
counts survive both sides being killed; `Tally.read(path)` reads it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import json
import os
import runpy
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.model_answers import Answer, Ask, Behaviour, body_digest, echo, render

__all__ = ["Answer", "Ask", "Behaviour", "ModelProcess", "ModelServer", "Tally"]

ROOT = Path(__file__).resolve().parents[2]
CHAT_PATHS = {"/v1/chat/completions": "openai", "/api/chat": "ollama"}


@dataclass
class Tally:
    """How often each call key was asked and answered in full."""

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, path: Path) -> Tally:
        """The counts in a server's log; no file is an empty tally, a torn last line is left out."""
        tally = cls()
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        for line in lines:
            tally.add(json.loads(line))
        return tally

    def add(self, event: Mapping[str, Any]) -> None:
        """Counts one line of the log."""
        counter = self.asked if event["event"] == "asked" else self.answered
        counter[event["key"]] += 1


class ModelServer:
    """The server, in a thread of this process with an event loop of its own; a context manager.

    Args:
        behave: What to answer, by request; plain function or coroutine function.
        log: File the calls are appended to; the counts in it carry on.
        port: Port to listen on; 0 takes a free one.
    """

    def __init__(self, behave: Behaviour = echo, *, log: Path | None = None, port: int = 0) -> None:
        self.behave = behave
        self.asks: list[Ask] = []
        self.tally = Tally.read(log) if log else Tally()
        self.in_flight = 0
        self.peak_in_flight = 0
        self.connections = 0
        self.pages: dict[str, Callable[[dict[str, Any]], Any]] = {}
        """What else is answered, by path: made of the request's JSON body."""
        self.port = port
        self._log = log
        self._ready = threading.Event()
        self._arrival = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)

    @property
    def base_url(self) -> str:
        """Base URL of the OpenAI dialect."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def ollama_url(self) -> str:
        """Base URL of Ollama's dialect."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(60):
            raise RuntimeError("the model server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._client, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._open, return_exceptions=True))
            self._loop.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, as many tests make it do
        finally:
            self._open.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; False when the connection is to be closed."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        path = target.partition("?")[0]
        dialect = CHAT_PATHS.get(path)
        if path in self.pages:
            page = self.pages[path](json.loads(raw) if raw else {})
            found = page if isinstance(page, Answer) else Answer(body=json.dumps(page).encode())
            await _write(writer, found.status, found.headers, found.body or b"")
            return True
        if method != "POST" or dialect is None:
            await _write(writer, 404, {}, b'{"detail":"Not Found"}')
            return True
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            ask = self._count(dialect, target, headers, json.loads(raw))
            answer = self.behave(ask)
            settled = await answer if inspect.isawaitable(answer) else answer
            return await self._answer(ask, settled, reader, writer)
        finally:
            self.in_flight -= 1

    def _count(self, dialect: Any, path: str, headers: dict[str, str], body: dict[str, Any]) -> Ask:
        key = headers.get("idempotency-key") or body_digest(body)
        self._record("asked", key)
        number, total = self.tally.asked[key], len(self.asks) + 1
        ask = Ask(dialect, path, headers, body, key, number, total, self.in_flight)
        with self._arrival:
            self.asks.append(ask)
            self._arrival.notify_all()
        return ask

    def wait_for_asks(self, count: int, timeout_s: float = 600.0) -> None:
        """Blocks until `count` requests have come.

        Raises:
            TimeoutError: They have not within `timeout_s` seconds.
        """
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self.asks) >= count, timeout_s):
                raise TimeoutError(f"{len(self.asks)} of {count} requests came within {timeout_s:g} s")

    def _record(self, event: str, key: str) -> None:
        line = {"event": event, "key": key, "at": time.time()}
        self.tally.add(line)
        if self._log is not None:
            with self._log.open("ab", buffering=0) as file:
                file.write(json.dumps(line).encode() + b"\n")

    async def _answer(
        self, ask: Ask, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        await asyncio.sleep(answer.delay_s)
        if reader.at_eof():
            return False  # Whoever asked is dead by now.
        if answer.stall:
            await reader.read()
        if answer.stall or answer.drop:
            return False
        body = render(ask, answer)
        if answer.cut_at is not None:
            await _write(writer, answer.status, answer.headers, body, body[: answer.cut_at])
            return False
        await _write(writer, answer.status, answer.headers, body, drip_s=answer.drip_s)
        if answer.status == HTTPStatus.OK:
            self._record("answered", ask.key)
        return True


async def _write(
    writer: asyncio.StreamWriter,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    sent: bytes | None = None,
    drip_s: float = 0.0,
) -> None:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    known = status in HTTPStatus._value2member_map_
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase if known else 'Unknown'}\r\n"
    writer.write((head + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n").encode("latin-1"))
    rest = body if sent is None else sent
    if drip_s:
        step = max(1, len(rest) // 10)
        for start in range(0, len(rest), step):
            await asyncio.sleep(drip_s)
            writer.write(rest[start : start + step])
            await writer.drain()
    else:
        writer.write(rest)
    await writer.drain()


class ModelProcess:
    """The server as a process of its own; a context manager.

    Args:
        log: File the calls are appended to.
        script: Python file that defines `behave(ask)`; None answers with an echo.
    """

    def __init__(self, log: Path, script: Path | None = None) -> None:
        self._log = log
        self._command = [sys.executable, "-m", "tests.support.model_server", "--log", str(log)]
        self._command += ["--script", str(script)] if script else []
        self.base_url = ""

    @property
    def tally(self) -> Tally:
        """The counts so far, read from the log."""
        return Tally.read(self._log)

    @property
    def ollama_url(self) -> str:
        """Base URL of Ollama's dialect."""
        return self.base_url.removesuffix("/v1")

    def __enter__(self) -> Self:
        # Its standard input is a pipe from here: the server ends when this process does, however it dies.
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.base_url = self._process.stdout.readline().strip()
        if not self.base_url:
            raise RuntimeError(f"the model server ended with code {self._process.wait()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Its standard input closes, so that it ends between two requests: a signal could end it between the last byte
        # of an answer and that answer's line in the log.
        self._process.communicate(timeout=200)


def main() -> None:
    """Runs the server until its standard input closes or it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.model_server", description=__doc__)
    parser.add_argument("--script", type=Path, help="Python file that defines behave(ask) -> Answer")
    parser.add_argument("--log", type=Path, help="file the calls are appended to")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    behave: Behaviour = runpy.run_path(str(options.script))["behave"] if options.script else echo
    with ModelServer(behave, log=options.log, port=options.port) as server, contextlib.suppress(KeyboardInterrupt):
        os.write(1, f"{server.base_url}\n".encode())
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
