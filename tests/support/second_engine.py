"""A second Docker engine on this machine that stands for a second host: its own images, containers, socket and folders.

It runs in a mount namespace of its own, in which `/run` and any folder asked for are its own. So the same volumes of
the same work pool (`/var/run/docker.sock`, a home) mean its things there, as on another machine.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
import psutil
import requests

START_S = 240.0
DEATH_S = 60.0
LAUNCH = """
set -e
root=$1; bridge=$2; shift 2
mount --make-rprivate /
while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
mount --bind "$root/run" /run
exec dockerd --data-root "$root/lib" --host unix:///run/docker.sock --pidfile /run/docker.pid \
  --bridge="$bridge" --iptables=false --log-level=warn
"""


class SecondEngine:
    """Docker engine number two; a context manager. It needs root.

    Args:
        images: Tags it is given by the first engine.
        own: Folders outside and, for each, the path under which containers of this engine see it in its stead.
    """

    def __init__(self, images: Sequence[str], own: Mapping[Path, Path]) -> None:
        self._images, self._own = images, own
        # A socket's path may have 107 characters; pytest's folders leave no room.
        self.root = Path(tempfile.mkdtemp(prefix="e2-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._bridge = "none"

    @property
    def address(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.root}/run/docker.sock"

    def __enter__(self) -> Self:
        try:
            self._bridge = self._make_bridge()
            self.start()
            self._copy_images()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def start(self) -> None:
        """Start it, or start it again after `lose`; one that runs is left alone."""
        if self._answers():
            return
        # Empty as after a boot; what a killed containerd has left there would stop the next.
        shutil.rmtree(self.root / "run", ignore_errors=True)
        (self.root / "run").mkdir()
        binds = [str(path) for outside, inside in self._own.items() for path in (outside, inside)]
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", LAUNCH, "dockerd", str(self.root), self._bridge, *binds, "--"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"no second engine: {(self.root / 'log').read_text()[-2000:]}")
            time.sleep(0.2)

    def client(self) -> docker.APIClient:
        """A client of this engine."""
        return docker.APIClient(base_url=self.address, version="auto", timeout=60)

    def lose(self) -> None:
        """The host dies at once: engine and containers, none of which can tell anybody; back when they are dead."""
        deadline = time.monotonic() + DEATH_S
        while (members := self._members()) and time.monotonic() < deadline:
            for process in members:
                for each in [process, *_children(process)]:
                    _kill(each)
            time.sleep(0.1)

    def _members(self) -> list[psutil.Process]:
        """Engine, containerd and the shims of containers: all that see this engine's /run."""
        run = (self.root / "run").stat()
        found = []
        for process in psutil.process_iter():
            try:
                seen = Path("/proc", str(process.pid), "root", "run").stat()
            except OSError:
                continue
            if (seen.st_dev, seen.st_ino) == (run.st_dev, run.st_ino):
                found.append(process)
        return found

    def _answers(self) -> bool:
        try:
            client = docker.APIClient(base_url=self.address, timeout=20)
            try:
                return bool(client.ping())
            finally:
                client.close()
        except (docker.errors.DockerException, requests.exceptions.RequestException):
            return False

    def _make_bridge(self) -> str:
        """A bridge of its own: an engine that is told to have none takes the first engine's down."""
        made = subprocess.run(["ip", "link", "add", self.root.name, "type", "bridge"], check=False, capture_output=True)
        return "none" if made.returncode else self.root.name

    def _copy_images(self) -> None:
        with subprocess.Popen(["docker", "save", *self._images], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                ["docker", "--host", self.address, "load"], stdin=saved.stdout, stdout=subprocess.DEVNULL, check=True
            )

    def _remove(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=30)
            self.lose()
            self._process.wait()
        if self._bridge != "none":
            subprocess.run(["ip", "link", "delete", self._bridge], check=True)
        shutil.rmtree(self.root, ignore_errors=True)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
