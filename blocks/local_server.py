"""The temporary Prefect server of a local run: started early, and never outliving a killed owner."""

from __future__ import annotations

import logging
import os
import subprocess
import threading

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL

from blocks.errors import UserError

log = logging.getLogger(__name__)

# Reads until its standard input closes, which the kernel does when the owner dies, then ends the server.
_GUARD = 'cat >/dev/null; kill -TERM "$1" 2>/dev/null && sleep 3 && kill -KILL "$1" 2>/dev/null'


class LocalServer:
    """Prefect's temporary server, started in the background so that other preparations overlap its 5-20 s.

    Prefect itself would start the same server at the first API call; it finds this one instead. With
    PREFECT_API_URL set there is a real server, and this does nothing. Prefect stops the server when the interpreter
    exits, after its last events are delivered; the guard is for an owner that is killed.
    """

    def __init__(self) -> None:
        self.temporary = not PREFECT_API_URL.value()
        self._server = SubprocessASGIServer() if self.temporary else None
        self._guard: subprocess.Popen[bytes] | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._start, name="prefect-server-start", daemon=True)
        self._thread.start()

    def _start(self) -> None:
        if self._server is None:
            return
        try:
            self._server.start()
            self._guard = _start_guard(self._server)
        except Exception as error:
            self._error = error

    def wait(self) -> None:
        """Block until the server answers.

        Raises:
            UserError: It could not be started.
        """
        self._thread.join()
        if self._error is not None:
            raise UserError(
                f"The temporary Prefect server did not start: {self._error}.",
                "Look at PREFECT_HOME, or start one with `prefect server start` and set PREFECT_API_URL.",
            ) from self._error


def _start_guard(server: SubprocessASGIServer) -> subprocess.Popen[bytes] | None:
    if server.server_process is None:
        return None
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "trigpoint-guard", str(server.server_process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
    )
