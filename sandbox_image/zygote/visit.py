"""Started in a kept sandbox by the engine on behalf of its next host: hands the zygote its own standard streams.

From then on the zygote reads and writes them itself and nothing is copied in between. This program only waits until the
zygote lets go of it, since the engine ends the streams with it.
"""

from __future__ import annotations

import os
import socket
import sys
from array import array

DOOR = "\0trigpoint-door"
"""Abstract: it has no file, and is known in this container's own network namespace only."""
DESCRIPTORS = 4
PROGRAM = ("/opt/venv/bin/python", "-I", "-S", "/opt/trigpoint/sandbox_image/zygote/visit.py")
"""The command in the image: without site packages, it is there in a few hundredths of a second."""


def main() -> int:
    """Stand at the door; returns the exit code, 1 when nobody opens."""
    waiting, leash = os.pipe()
    rights = array("i", [0, 1, 2, leash])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        try:
            door.connect(DOOR)
            door.sendmsg([b"visit"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except OSError:
            return 1
    os.close(leash)
    os.read(waiting, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
