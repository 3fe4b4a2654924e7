"""The Prefect server of local runs: started early, used by the next runs too, and gone some minutes after the last."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hashlib
import json
import logging
import os
import random
import re
import secrets
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Final

import blocks.environment  # noqa: F401  (sets what Prefect reads when it is imported)

import httpx
import prefect
from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, get_current_settings

from blocks import server_keeper, server_record
from blocks.errors import UserError
from blocks.interrupts import Told, check_signals, give_up
from blocks.sandboxes import owner
from blocks.server_record import Record, ServerFolder, stay
from blocks.settings import settings

log = logging.getLogger(__name__)

_ours: set[str] = set()
"""Addresses of the local servers that this process uses."""
_POLL_S: Final = 0.1
# Of a user and a password in an address.
_AUTH: Final = re.compile(r"//[^/@]*@")
_WATCH_S: Final = 1.0
_HANGS_S: Final = 20.0
"""A server that takes a connection and says nothing for so long is replaced."""
_OF_CLIENTS: Final = {
    "PREFECT_API_URL",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_RESULTS_LOCAL_STORAGE_PATH",
}
"""Settings that make no other server."""


def server_is_temporary() -> bool:
    """Whether Prefect in this process talks to a server of local runs, this host's and home's alone, not a real one."""
    url = PREFECT_API_URL.value()
    return not url or url in _ours


class LocalServer:
    """Prefect's own server for runs without one, found or started in the background while other preparations go on.

    It is the server that Prefect itself would start at its first API call, started as Prefect starts it, but without
    importing the server's code into this process, which alone takes four seconds; and it serves every run of this home
    with the same versions and settings until none has used it for TRIGPOINT_SERVER_TTL seconds. With PREFECT_API_URL
    set there is a real server, and this does nothing.
    """

    def __init__(self) -> None:
        self.temporary = not PREFECT_API_URL.value()
        self.url = PREFECT_API_URL.value() or ""
        self.started = False
        """Whether this process has started it, rather than found it."""
        self.folder = ServerFolder(settings().home.absolute() / "server")
        # Where the kernel does not tell when a process began, none is found again.
        self.stays_s = settings().server_ttl if sys.platform == "linux" else 0.0
        self._record: Record | None = None
        self._handle: int | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._prepare, name="prefect-server-start", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Block until the server answers; from then on Prefect in this process uses it.

        Raises:
            UserError: It could not be started.
        """
        while self._thread.is_alive():
            self._thread.join(_POLL_S)
            check_signals()
        check_signals()
        if self._error is not None and not self.temporary:
            said = f"The Prefect server at {self.url} cannot be used: {_cause(self._error)}."
            raise UserError(
                _AUTH.sub("//", said),
                "Start it, or mend PREFECT_API_URL; without it a run has a local server.",
            ) from self._error
        if self._error is not None:
            raise UserError(
                f"The local Prefect server did not start: {self._error}.",
                f"Look into {self.folder.log} and at PREFECT_HOME, or start one with `prefect server start` and set"
                " PREFECT_API_URL.",
            ) from self._error
        if self._record is not None:
            self.url = self._record.url
            _ours.add(self.url)
            os.environ["PREFECT_API_URL"] = self.url
            os.environ["PREFECT_API_AUTH_STRING"] = self._record.auth
            refresh_global_settings_context()
            threading.Thread(target=self._watch, args=(self._record,), name="prefect-server-watch", daemon=True).start()

    def stop(self) -> None:
        """Use it no more; where it is to outlive no run and nobody else uses it, it ends. May be called again."""
        handle, self._handle = self._handle, None
        if handle is None or self._record is None:
            return
        if os.environ.get("PREFECT_API_URL") == self._record.url:
            del os.environ["PREFECT_API_URL"], os.environ["PREFECT_API_AUTH_STRING"]
        if self.stays_s:
            stay(handle, self.stays_s)  # Of those that used it at once, the one that ends last has the last word.
            os.close(handle)
        else:
            self.folder.end_if_idle(self._record, handle)

    def _prepare(self) -> None:
        try:
            if not self.temporary:
                asyncio.run(_reach())
                return
            environ = _environment()
            made_of = _made_of(environ)
            self._take(environ, made_of)
            atexit.register(self.stop)
            while not self._answers():
                self._replace(environ, made_of)
        except (Exception, Told) as error:
            self._error = error

    def _watch(self, record: Record) -> None:
        """End the command when the server has died: Prefect would ask it again for many minutes."""
        while self._handle is not None:
            if owner.standing(record.keeper) == "gone":
                give_up(f"The local Prefect server has ended in the middle of the run; {self.folder.log} may say why.")
                return
            time.sleep(_WATCH_S)

    def _take(self, environ: dict[str, str], made_of: str) -> None:
        """Become a user of the home's server, or start it."""
        with self.folder.alone():
            found = self.folder.record()
            if found is not None and found.made_of == made_of and (handle := self.folder.use(found)) is not None:
                self._record, self._handle, self.started = found, handle, False
            else:
                auth = f"trigpoint:{secrets.token_hex(24)}"
                url, command = _command()
                environ = {**environ, "PREFECT_SERVER_API_AUTH_STRING": auth}
                self._record, self._handle = self.folder.start(url, made_of, command, environ, auth)
                self.started = True
            stay(self._handle, self.stays_s)

    def _replace(self, environ: dict[str, str], made_of: str) -> None:
        hung, handle = self._record, self._handle
        if self.started or hung is None or handle is None:
            raise RuntimeError(self._why_silent())
        log.warning("The local Prefect server at %s does not answer and is replaced.", hung.url)
        self._handle = None
        with self.folder.alone():
            self.folder.retire(hung, handle)
        self._take(environ, made_of)

    def _answers(self) -> bool:
        """Whether the server lets this run in, once it has started; False: it hangs, or has ended."""
        assert self._record is not None
        patience = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        deadline = time.monotonic() + patience
        user, _, word = self._record.auth.partition(":")
        with httpx.Client(trust_env=False, auth=(user, word), timeout=_HANGS_S) as client:
            while time.monotonic() < deadline and owner.standing(self._record.keeper) != "gone":
                try:
                    # Not /health, which lets anybody in.
                    return client.get(f"{self._record.url}/admin/version").is_success
                except httpx.ReadTimeout:
                    return False
                except httpx.TransportError:  # Not listening yet.
                    time.sleep(_POLL_S)
        return False

    def _why_silent(self) -> str:
        if self._record is not None and owner.standing(self._record.keeper) == "gone":
            return "its process has ended"
        return "it does not answer"


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


async def _reach() -> None:
    """Ask the server of PREFECT_API_URL, as Prefect itself does first; what it raises says why it cannot be used."""
    async with get_client(httpx_settings={"timeout": _HANGS_S}) as client:
        await client.raise_for_api_version_mismatch_once()


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error
    return (str(cause).splitlines() or [type(cause).__name__])[0].rstrip(".")


def _environment() -> dict[str, str]:
    """Of the server, but for what clients must say."""
    configured = get_current_settings().to_environment_variables(exclude_unset=True)
    # As Prefect marks its own: no pages, and only the services that a short life needs.
    marks = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    # A type of block is registered when the first of it is saved; all of them at every start take a second or two.
    marks["PREFECT_SERVER_API_BLOCKS_REGISTER_ON_START"] = "0"
    environ = {**os.environ, **configured, **marks}
    # The console of a server is its log, which a client that keeps its own console quiet may be referred to.
    environ.pop("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", None)
    return environ


def _made_of(environ: dict[str, str]) -> str:
    """Digest of what makes a server that another run must not use."""
    chosen = {name: value for name, value in environ.items() if name.startswith("PREFECT_") and name not in _OF_CLIENTS}
    code = [Path(module.__file__ or "").read_text() for module in (server_keeper, server_record, sys.modules[__name__])]
    parts = [prefect.__version__, sys.version, sys.prefix, os.getuid(), str(get_current_settings().home), chosen, code]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _command() -> tuple[str, list[str]]:
    """The API's address, and what starts a server there."""
    port, folder = free_port(), str(Path(prefect.__file__).parent.parent)
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    options = ["--app-dir", folder, "--host", "127.0.0.1", "--port", str(port)]
    quiet = ["--log-level", "error", "--lifespan", "on"]
    return f"http://127.0.0.1:{port}/api", [*command, *options, *quiet]
