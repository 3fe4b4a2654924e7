"""The temporary Prefect server of a local run: started early, and never outliving a killed owner."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

import httpx
import prefect
from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, get_current_settings

from blocks.errors import UserError
from blocks.interrupts import check_signals

log = logging.getLogger(__name__)

# Reads until its standard input closes, which the kernel does when the owner dies, then ends the server.
_GUARD: Final = 'cat >/dev/null; kill -TERM "$1" 2>/dev/null && sleep 3 && kill -KILL "$1" 2>/dev/null'
_ours: set[str] = set()
"""Addresses of the temporary servers this process has started."""
_POLL_S: Final = 0.1
_STOP_S: Final = 5.0


def server_is_temporary() -> bool:
    """Whether Prefect in this process talks to a server that ends with it, ours or its own, and not to a real one."""
    url = PREFECT_API_URL.value()
    return not url or url in _ours


class LocalServer:
    """Prefect's temporary server, started in the background so that other preparations overlap its 5-20 s.

    It is the server that Prefect itself would start at its first API call, started as Prefect starts it, but without
    importing the server's code into this process, which alone takes four seconds. With PREFECT_API_URL set there is a
    real server, and this does nothing. It is stopped when the interpreter exits, after Prefect's last events are
    delivered; the guard is for an owner that is killed.
    """

    def __init__(self) -> None:
        self.temporary = not PREFECT_API_URL.value()
        self.url = PREFECT_API_URL.value() or ""
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._start, name="prefect-server-start", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Block until the server answers; from then on Prefect in this process uses it.

        Raises:
            UserError: It could not be started.
        """
        while self._thread.is_alive():
            self._thread.join(_POLL_S)
            check_signals()
        if self._error is not None:
            raise UserError(
                f"The temporary Prefect server did not start: {self._error}.",
                "Look at PREFECT_HOME, or start one with `prefect server start` and set PREFECT_API_URL.",
            ) from self._error
        if self.temporary:
            _ours.add(self.url)
            os.environ["PREFECT_API_URL"] = self.url
            refresh_global_settings_context()

    def stop(self) -> None:
        """End the server. May be called again; a server that is not ours stays."""
        process, self._process = self._process, None
        if process is None:
            return
        if os.environ.get("PREFECT_API_URL") == self.url:
            del os.environ["PREFECT_API_URL"]
        process.terminate()
        if self._guard is not None:
            # First of the two: once the server is reaped its number may be another process's.
            self._guard.kill()
            self._guard.wait()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        if not self.temporary:
            return
        try:
            port = free_port()
            self.url = f"http://127.0.0.1:{port}/api"
            self._process = _launch(port)
            self._guard = _start_guard(self._process.pid)
            atexit.register(self.stop)
            _await_health(self.url, self._process)
        except Exception as error:
            self._error = error


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Below those that systems hand out to connections (from 32,768 on Linux): it is some seconds until a server that is
    told of it listens there, and nobody else may be given it meanwhile.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _launch(port: int) -> subprocess.Popen[bytes]:
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    # As Prefect marks its own: no pages, and only the services that a short life needs.
    marks = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    # A type of block is registered when the first of it is saved; all of them at every start take a second or two.
    marks["PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START"] = "0"
    folder = str(Path(prefect.__file__).parent.parent)
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    options = ["--app-dir", folder, "--host", "127.0.0.1", "--port", str(port)]
    quiet = ["--log-level", "error", "--lifespan", "on"]
    # In a session of its own: a terminal's Ctrl-C goes to the whole group, and the run still needs its server then.
    return subprocess.Popen(
        [*command, *options, *quiet], env={**os.environ, **settings, **marks}, start_new_session=True
    )


def _await_health(url: str, process: subprocess.Popen[bytes]) -> None:
    patience = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    deadline = time.monotonic() + patience
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"its process ended with exit code {process.returncode}")
            try:
                if client.get(f"{url}/health").is_success:
                    return
            except httpx.TransportError:
                # Not listening yet.
                pass
            time.sleep(_POLL_S)
    raise TimeoutError(f"it did not answer within {patience:g} s")


def _start_guard(pid: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "trigpoint-guard", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
    )
