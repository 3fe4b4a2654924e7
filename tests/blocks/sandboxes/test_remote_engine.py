"""An engine of another machine, behind TLS and behind ssh: the same sandbox, clear words where it cannot be had."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from blocks.errors import SandboxUnavailable
from blocks.local_server import free_port
from blocks.sandboxes import DockerRuntime, Sandbox
from blocks.sandboxes.engine import Engine
from tests.blocks.sandboxes.engines import container_of, gone
from tests.blocks.sandboxes.support import LIMITS, alive
from tests.blocks.sandboxes.test_streams import certificate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.engine


def large_file(folder: Path) -> Path:
    path = folder / "large.csv"
    path.write_text("a\n" + "123456789\n" * 300_000)
    return path


class TlsFront(threading.Thread):
    """Serves the local engine's socket over TCP and TLS, as a remote engine does."""

    def __init__(self, cert: Path, key: Path) -> None:
        super().__init__(daemon=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(accepted, server_side=True) as near:
            far = socket.socket(socket.AF_UNIX)
            far.connect("/var/run/docker.sock")
            near.setblocking(False)
            lock = threading.Lock()
            done = threading.Event()
            threading.Thread(target=self._back, args=(far, near, lock, done), daemon=True).start()
            while not done.is_set():
                with lock, contextlib.suppress(ssl.SSLWantReadError):
                    data = near.recv(1 << 16)
                    if not data:
                        break
                    far.sendall(data)
                    continue
                time.sleep(0.002)
            far.close()

    @staticmethod
    def _back(far: socket.socket, near: ssl.SSLSocket, lock: threading.Lock, done: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 14):
                while data:
                    with lock, contextlib.suppress(ssl.SSLWantWriteError, ssl.SSLWantReadError):
                        data = data[near.send(data) :]
        done.set()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


async def exercise(runtime: DockerRuntime, folder: Path, client: docker.APIClient) -> None:
    """Cells, a large upload, parallel sessions, and a clean end over whatever carries the engine."""
    async with await Sandbox.open(runtime, large_file(folder), limits=LIMITS) as box:
        sessions = [await box.session() for _ in range(4)]
        results = await asyncio.gather(*(live.run(f"out {'y' * 20_000}") for live in sessions for _ in range(5)))
        assert {result.stdout for result in results} == {"y" * 20_000}
        left = await container_of(box)
    assert gone(client, left)


async def test_an_engine_over_tcp_with_tls(
    fake_image: str, tmp_path: Path, client: docker.APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate(tmp_path)
    shutil.copy(cert, tmp_path / "ca.pem")
    front = TlsFront(cert, key)
    front.start()
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    try:
        await exercise(DockerRuntime(f"tcp://localhost:{front.port}", fake_image), tmp_path, client)
        (tmp_path / "other").mkdir()
        certificate(tmp_path / "other")
        shutil.copy(tmp_path / "other" / "cert.pem", tmp_path / "ca.pem")
        with pytest.raises(SandboxUnavailable, match="trust"):
            await DockerRuntime(f"tcp://localhost:{front.port}", fake_image).check()
    finally:
        front.stop()


@pytest.fixture
def ssh_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """An OpenSSH server of this test's own on the loopback address; `ssh` finds its key through a wrapper in PATH."""
    server = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
    if server is None or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH client and server on this machine")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    options = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "authorized",
        "StrictModes": "no",
        "PidFile": "none",
        "PasswordAuthentication": "no",
    }
    (tmp_path / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
    (tmp_path / "ssh_config").write_text(
        f"IdentityFile {tmp_path / 'user'}\nUserKnownHostsFile {known_hosts}\nGlobalKnownHostsFile /dev/null\n"
    )
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path / "ssh_config"} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    process = subprocess.Popen([server, "-D", "-e", "-f", str(tmp_path / "sshd_config")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait()


async def test_an_engine_over_ssh(fake_image: str, tmp_path: Path, client: docker.APIClient, ssh_server: int) -> None:
    runtime = DockerRuntime(f"ssh://{getpass.getuser()}@127.0.0.1:{ssh_server}", fake_image)
    await exercise(runtime, tmp_path, client)
    tunnel = runtime._engine._tunnel
    assert tunnel is not None
    assert tunnel.alive
    tunnel._ssh.kill()
    await exercise(runtime, tmp_path, client)
    assert runtime._engine._tunnel is not tunnel
    runtime.close()


async def test_a_tunnel_that_dies_under_a_request_is_dug_anew(ssh_server: int) -> None:
    engine = Engine(f"ssh://{getpass.getuser()}@127.0.0.1:{ssh_server}")
    engine.client().close()
    tunnel = engine._tunnel
    assert tunnel is not None
    # Stopped, ssh takes connections and answers none; killed a moment later, it does so in the middle of the request.
    os.kill(tunnel._ssh.pid, signal.SIGSTOP)
    killer = threading.Timer(0.5, tunnel._ssh.kill)
    killer.start()
    client = await asyncio.to_thread(engine.client)
    assert client.ping()
    assert engine._tunnel is not tunnel
    client.close()
    engine.close()


async def test_an_engine_over_ssh_that_may_not_be_reached(fake_image: str, tmp_path: Path, ssh_server: int) -> None:
    with pytest.raises(SandboxUnavailable, match=r"ssh could not reach 127.0.0.1: .*[Pp]ermission"):
        await DockerRuntime(f"ssh://nobody-{os.getpid()}@127.0.0.1:{ssh_server}", fake_image).check()
    known_hosts = tmp_path / "known_hosts"
    key = known_hosts.read_text()
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{ssh_server}"
    # A host never met, and one whose key is not the one that is known: neither is trusted unseen.
    for lines in ("", key.replace(key.split()[2], (tmp_path / "user.pub").read_text().split()[1])):
        known_hosts.write_text(lines)
        with pytest.raises(SandboxUnavailable, match=r"Host key verification failed\. Compare the key of 127\.0\.0\.1"):
            await DockerRuntime(url, fake_image).check()


def test_a_tunnel_ends_with_its_owner_however_it_dies(ssh_server: int) -> None:
    url = f"ssh://{getpass.getuser()}@127.0.0.1:{ssh_server}"
    code = (
        "import os, sys\nfrom blocks.sandboxes.engine import Engine\n"
        f"engine = Engine({url!r}); engine.client(); print(engine._tunnel._ssh.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: not alive(int(done.stdout)))
