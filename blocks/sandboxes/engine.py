"""The Docker engine behind the docker runtime: reaching it (unix, tcp with TLS, ssh) and saying clearly why not."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import urllib.parse
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from blocks.errors import SandboxUnavailable

T = TypeVar("T")

logger = logging.getLogger(__name__)

GONE = (requests.exceptions.RequestException, APIError)
"""What the engine's client raises when the engine, or what it was asked about, is not there."""
DEFAULT_URL = "unix:///var/run/docker.sock"
REQUEST_TIMEOUT_S = 60
TUNNEL_DEADLINE_S = 30.0
TUNNEL_DEATH_S = 2.0
_REMOTE_SOCKET = "/var/run/docker.sock"
_READY = b"trigpoint-tunnel-ready"


class _Client(docker.APIClient):
    """A client that believes the engine's own certificate authority."""

    def merge_environment_settings(self, *arguments: Any, **named: Any) -> Any:
        """As in any HTTP session, but REQUESTS_CA_BUNDLE does not replace the authority of DOCKER_CERT_PATH."""
        merged = super().merge_environment_settings(*arguments, **named)
        merged["verify"] = self.verify
        return merged


class Engine:
    """One Docker engine. All methods block: call them from a worker thread.

    Args:
        base_url: unix://, tcp:// (with DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as the Docker client reads them) or
            ssh://[user@]host[:port][/path/of/docker.sock]. DOCKER_HOST, else the local socket, when not given.
    """

    def __init__(self, base_url: str | None = None) -> None:
        self.url = base_url or os.environ.get("DOCKER_HOST") or DEFAULT_URL
        self._tunnel: Tunnel | None = None
        self._lock = threading.Lock()

    def client(self) -> docker.APIClient:
        """A client of its own for one sandbox; close it when done.

        Raises:
            SandboxUnavailable: The engine does not answer, or may not be used.
        """
        if not self.url.startswith("ssh://"):
            return self._connect(self.url)
        tunnel = self._tunnelled()
        try:
            return self._connect(tunnel.local_url)
        except SandboxUnavailable:
            # ssh may have died under this very request; its process outlives its sockets for a moment.
            if not tunnel.ends_within(TUNNEL_DEATH_S):
                raise
        return self._connect(self._tunnelled().local_url)

    def ask(self, question: Callable[[docker.APIClient], T]) -> T:
        """What a question finds out; it is given a client of its own.

        Raises:
            SandboxUnavailable: The engine does not answer, or may not be used.
        """
        client = self.client()
        try:
            return question(client)
        except GONE as error:
            raise explain(self.url, error) from error
        finally:
            client.close()

    def close(self) -> None:
        """End the tunnel of an ssh engine. May be called again; it also ends with this process."""
        with self._lock:
            tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            tunnel.close()

    def _connect(self, url: str) -> docker.APIClient:
        # DOCKER_HOST is ours, the TLS variables are the user's; through a tunnel ssh is what vouches for the engine.
        variables = os.environ if url == self.url else {}
        try:
            arguments = kwargs_from_env(environment={**variables, "DOCKER_HOST": url})
            return _Client(**arguments, timeout=REQUEST_TIMEOUT_S)
        except (DockerException, OSError, ValueError) as error:
            raise explain(self.url, error) from error

    def _tunnelled(self) -> Tunnel:
        with self._lock:
            if self._tunnel is not None and not self._tunnel.alive:
                self._tunnel.close()
                self._tunnel = None
            if self._tunnel is None:
                self._tunnel = Tunnel(self.url)
            return self._tunnel


class Tunnel:
    """The engine's socket of another host, brought here by the ssh client; the Docker client is not needed there.

    The far end runs `cat` on our pipe: when this process dies, however it dies, the pipe ends, `cat` ends, ssh ends.

    Args:
        url: ssh://[user@]host[:port][/path/of/docker.sock].

    Raises:
        SandboxUnavailable: There is no ssh client, or it could not connect.
    """

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        folder = Path(tempfile.mkdtemp(prefix="trigpoint-ssh-"))
        local = folder / "docker.sock"
        self.local_url = f"unix://{local}"
        options = ["-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15"]
        port = ["-p", str(parts.port)] if parts.port else []
        user = ["-l", parts.username] if parts.username else []
        forward = ["-L", f"{local}:{parts.path or _REMOTE_SOCKET}"]
        command = ["ssh", *options, *port, *user, *forward, "--", parts.hostname or "", f"echo {_READY.decode()}; cat"]
        try:
            self._ssh = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise SandboxUnavailable("There is no ssh client to reach the engine with.", "Install OpenSSH.") from error
        self._finalizer = weakref.finalize(self, _end_tunnel, self._ssh, folder)
        watchdog = threading.Timer(TUNNEL_DEADLINE_S, self._ssh.kill)
        watchdog.start()
        try:
            assert self._ssh.stdout is not None
            greeting = self._ssh.stdout.readline()
        finally:
            watchdog.cancel()
        if greeting.strip() != _READY:
            self._ssh.kill()
            assert self._ssh.stderr is not None
            words = self._ssh.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
            self.close()
            raise SandboxUnavailable(
                f"ssh could not reach {parts.hostname}: {(words or 'no answer').rstrip('.')}.",
                f"Compare the key of {parts.hostname} and add it to known_hosts: ssh {parts.hostname}."
                if "Host key" in words
                else "Try it by hand: a key is needed.",
            )

    @property
    def alive(self) -> bool:
        """Whether ssh still runs."""
        return self._ssh.poll() is None

    def ends_within(self, seconds: float) -> bool:
        """Whether ssh is gone, or goes while this waits."""
        try:
            self._ssh.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """End ssh and remove the local socket. May be called again."""
        self._finalizer()


def _end_tunnel(ssh: subprocess.Popen[bytes], folder: Path) -> None:
    for pipe in (ssh.stdin, ssh.stdout, ssh.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    ssh.terminate()
    ssh.wait()
    shutil.rmtree(folder, ignore_errors=True)


def explain(url: str, error: BaseException) -> SandboxUnavailable:
    """Why an engine cannot be used, in one sentence and a remedy."""
    causes = list(_causes(error))
    if any(isinstance(cause, PermissionError) for cause in causes):
        return SandboxUnavailable(
            f"This user may not use the Docker engine at {url}.",
            "Join the group that owns its socket, or name another engine in DOCKER_HOST.",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return SandboxUnavailable(
            f"The Docker engine at {url} and this client do not trust each other.",
            "Check DOCKER_CERT_PATH and DOCKER_TLS_VERIFY.",
        )
    if any(isinstance(cause, OSError) for cause in causes):
        return SandboxUnavailable(
            f"No Docker engine answers at {url}.", "Start one, set DOCKER_HOST, or use the process runtime."
        )
    return SandboxUnavailable(f"The Docker engine at {url} cannot be used: {error}.", "Check DOCKER_HOST.")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it came from, and errors that libraries hide in another's arguments."""
    seen: set[int] = set()
    todo: list[BaseException] = [error]
    while todo:
        current = todo.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        nested = (current.__cause__, current.__context__, getattr(current, "reason", None), *current.args)
        todo += [item for item in nested if isinstance(item, BaseException)]
