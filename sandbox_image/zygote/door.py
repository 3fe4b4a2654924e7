"""The door of a sandbox that is kept: how the next host gets in, though no process in here may open a connection.

A program that the engine starts in the container (`visit.py`) leaves the descriptors of its own standard streams here.
The socket is bound before the walls go up, takes single messages, and is never connected or listened on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Final, NamedTuple

from sandbox_image.zygote.visit import DESCRIPTORS, DOOR

_CREDENTIALS: Final = struct.Struct("3i")
_ROOM: Final = socket.CMSG_SPACE(DESCRIPTORS * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)


class Visitor(NamedTuple):
    """Descriptors of whoever stands at the door, to be closed by whoever takes them.

    Attributes:
        commands: What the host writes.
        replies: What the host reads.
        log: Where the host reads the zygote's log.
        leash: The visiting program ends when this is closed.
    """

    commands: int
    replies: int
    log: int
    leash: int


class Door:
    """Made before the walls go up. Its descriptor is readable when somebody came."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(DOOR)

    def fileno(self) -> int:
        """Its descriptor, for a poller."""
        return self._socket.fileno()

    def answer(self) -> Visitor | None:
        """Who came; None when it was nobody, or nobody the engine sent."""
        try:
            _, extra, _, _ = self._socket.recvmsg(16, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return None
        descriptors: list[int] = []
        pid = 0
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors += struct.unpack(f"{len(data) // 4}i", data[: len(data) // 4 * 4])
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = _CREDENTIALS.unpack(data)[0]
        if len(descriptors) == DESCRIPTORS and _came_from_outside(pid):
            return Visitor(*descriptors)
        turn_away(descriptors)
        return None

    def close(self) -> None:
        """For the forks that must not have it."""
        self._socket.close()


def turn_away(descriptors: tuple[int, ...] | list[int]) -> None:
    """Close what a visitor has left: the program that left it ends."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _came_from_outside(pid: int) -> bool:
    """Whether a process was put into this container by the engine: its parent is none that can be seen in here.

    No session may make a socket, so none can stand at the door; this holds where the kernel lacks that wall as well.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[1] == "0"
    except (OSError, IndexError):
        return False
