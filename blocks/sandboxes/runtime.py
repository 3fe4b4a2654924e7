"""What a runtime is: something that starts zygotes and gives their byte streams. A new one implements this module."""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Any

from blocks.errors import SandboxError
from blocks.sandboxes.models import RuntimeName, SandboxLimits

OUT_OF_MEMORY = "out of memory"
"""What a post mortem says where the kernel ended something for want of memory."""
DIAGNOSTIC_BYTES = 16 * 1024


class Diagnostics:
    """The last few kilobytes of a zygote's log. Safe to write from one thread and to read from another."""

    def __init__(self, capacity: int = DIAGNOSTIC_BYTES) -> None:
        self._capacity = capacity
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        """Append bytes and forget the oldest ones past the capacity."""
        data = data[-self._capacity :]
        with self._lock:
            self._pieces.append(data)
            self._size += len(data)
            while self._size - len(self._pieces[0]) >= self._capacity:
                self._size -= len(self._pieces.popleft())

    def text(self) -> str:
        """What is remembered, as text."""
        with self._lock:
            return b"".join(self._pieces)[-self._capacity :].decode(errors="replace").strip()


class Transport(ABC):
    """A started zygote: its byte stream, and the means to end it.

    `read` and `write` block and are each called from one thread of their own, never from an event loop. `abandon` may
    be called from any thread at any time, also from a finaliser. Nothing here is bound to an event loop, so a transport
    may be started in one loop and used in another.
    """

    runtime: RuntimeName
    image_digest: str = ""
    """Identity of what runs; empty when it follows from the libraries the zygote reports (process runtime)."""

    place: str = ""
    """Id of the container, or number of the process."""
    host: str = ""
    """Name of the machine it runs on."""

    @property
    @abstractmethod
    def walls(self) -> Mapping[str, Any]:
        """The outer walls and limits that are in force, as far as this runtime can tell."""

    @property
    @abstractmethod
    def started(self) -> bool:
        """Whether the zygote still runs. May ask an engine, so call it from a worker thread."""

    @abstractmethod
    def read(self) -> bytes:
        """The next bytes the zygote wrote; empty when the stream has ended for any reason."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Hand all bytes to the zygote.

        Raises:
            OSError: The stream has ended.
        """

    @abstractmethod
    def abandon(self) -> None:
        """Cut the stream and end the zygote without waiting. Never raises; may be called again."""

    @abstractmethod
    async def close(self) -> None:
        """End the zygote and wait until nothing of it is left. Never raises; may be called again."""

    async def park(self, fingerprint: str, idle_s: float) -> None:
        """Leave a zygote that has let this host go to whoever asks its runtime for the fingerprint.

        Raises:
            SandboxError: It cannot be left.
        """
        raise SandboxError(f"A sandbox of the {self.runtime} runtime ends with its run.")

    @abstractmethod
    def diagnostics(self) -> str:
        """The end of the zygote's log, for an incident report."""

    @abstractmethod
    async def post_mortem(self) -> str:
        """How the zygote ended, in words ("killed by signal 9"); empty while it runs or when nobody knows."""


class Runtime(ABC):
    """A way to run zygotes."""

    name: RuntimeName
    keeps: bool = False
    """Whether its sandboxes can outlive their run: whether they can be parked, and what follows from it."""
    realm: str = ""
    """Whose cap its sandboxes count against; parked ones of another realm are left alone."""
    serves: str = ""
    """Id of the flow run that sandboxes started from now on are for; empty while it is not known."""

    @abstractmethod
    async def check(self) -> None:
        """Find out whether sandboxes can be started here.

        Raises:
            SandboxUnavailable: They cannot; one sentence says why and one what to do.
        """

    @abstractmethod
    async def identity(self) -> str:
        """What its sandboxes are made of, found without starting one; a sandbox's `image_digest` is equal to it.

        Raises:
            SandboxUnavailable: See `check`.
        """

    @abstractmethod
    async def start(self, limits: SandboxLimits) -> Transport:
        """Start a zygote. It loads its libraries by itself; its HELLO is the first frame of the stream.

        Raises:
            SandboxUnavailable: The runtime cannot be used here.
            SandboxError: It could be, but this start failed.
        """

    async def fingerprint(self, limits: SandboxLimits, sha256: str) -> str:
        """By which a warm sandbox is found that would do in place of a new one.

        Args:
            limits: Of the sandbox and its sessions.
            sha256: Of the dataset's file.

        Raises:
            SandboxUnavailable: See `check`.
        """
        return ""

    async def revive(self, fingerprint: str, limits: SandboxLimits) -> Transport | None:
        """A parked zygote with this fingerprint, which is the caller's from now on; its HELLO is the first frame."""
        return None

    async def parked(self) -> list[str]:
        """Fingerprints of the zygotes of this realm that are parked.

        Raises:
            SandboxUnavailable: See `check`.
        """
        return []

    async def trim(self, keep: int) -> int:
        """End parked zygotes of this realm until no more than `keep` are left; how many that were.

        Raises:
            SandboxUnavailable: See `check`.
        """
        return 0

    @abstractmethod
    async def reap(self) -> int:
        """Remove what owners of this host that no longer live have left. Returns how many sandboxes that were."""


def libraries_digest(python: str, libraries: Mapping[str, str]) -> str:
    """The identity of a sandbox that is no image: sha256 over the interpreter's and the libraries' versions."""
    lines = [f"python=={python}", *(f"{name}=={libraries[name]}" for name in sorted(libraries))]
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def program_options(limits: SandboxLimits, *, allow_weak: bool) -> list[str]:
    """What the program inside is told when it is started, in either runtime."""
    return ["--preload", limits.preload, *(["--allow-weak"] if allow_weak else [])]
