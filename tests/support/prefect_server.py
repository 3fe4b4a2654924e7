"""A real Prefect server on a free port, with its own home, for tests that start processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from blocks.local_server import free_port

START_S = 240.0


class PrefectServer:
    """`prefect server start`; a context manager.

    Args:
        home: A migrated PREFECT_HOME, see `migrated_home`.
        settings: Settings of the server more, as environment variables.
    """

    def __init__(self, home: Path, **settings: str) -> None:
        self._home = home
        self._settings = settings
        self.log = home / "server.log"
        """What it says, from its first start on."""
        self.port = free_port()
        self.api_url = f"http://127.0.0.1:{self.port}/api"

    @property
    def command(self) -> list[str]:
        """What starts it, but for host and port."""
        return [sys.executable, "-m", "prefect", "server", "start"]

    def __enter__(self) -> Self:
        environment = {
            **os.environ,
            "PREFECT_HOME": str(self._home),
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            **self._settings,
        }
        command = [*self.command, "--host", "127.0.0.1", "--port", str(self.port)]
        self._home.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.api_url}/health", timeout=5.0, trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise TimeoutError(f"the Prefect server did not start:\n{self.log.read_text(errors='replace')[-6000:]}")


def ask_server(
    url: str, method: str = "GET", body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
) -> Any:
    """What a Prefect server's API answers; asked again where its database was busy, as Prefect's own client does."""
    deadline = time.monotonic() + 120
    while True:
        answer = httpx.request(method, url, json=body, timeout=60, trust_env=False)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            answer.raise_for_status()
            return answer.json() if answer.content else None
        time.sleep(1.0)


def wait_for_events(api_url: str, name: str, related: str, count: int = 1) -> list[dict[str, Any]]:
    """The events whose name begins so and that name a resource as related, once there are so many."""
    body = {"filter": {"event": {"prefix": [name]}, "related": {"id": [related]}}}
    deadline = time.monotonic() + 300
    while True:
        events: list[dict[str, Any]] = ask_server(f"{api_url}/events/filter", "POST", body)["events"]
        if len(events) >= count or time.monotonic() > deadline:
            return events
        time.sleep(0.3)
