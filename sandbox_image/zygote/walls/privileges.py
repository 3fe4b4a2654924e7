"""What a process gives up besides files and calls: capabilities, resource limits, other processes' end."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from typing import Final

from sandbox_image.zygote.walls.libc import (
    LIBC,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    prctl,
)

_CAPABILITY_VERSION: Final = 0x2008_0522
_CAP_DAC_READ_SEARCH: Final = 2
_STACK_BYTES: Final = 8 * 1024 * 1024
OPEN_FILES: Final = 256
_SIGKILL: Final = 9


def no_new_privileges() -> None:
    """No program started from here on gains rights from its file."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent dies, also when it died before this call.

    Args:
        parent: The process id the parent had when it started this one.
    """
    prctl(PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def drop_capabilities(*, keep_reading: bool) -> None:
    """Give up every capability a root user has.

    Args:
        keep_reading: Keep the one that reads files past their mode bits, for libraries in another user's private
            folder. Only sensible where Landlock decides which files those are.

    Raises:
        OSError: The kernel refused.
    """
    kept = 1 << _CAP_DAC_READ_SEARCH if keep_reading and os.geteuid() == 0 else 0
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    if os.geteuid() == 0:
        for capability in range(64):
            try:
                prctl(PR_CAPBSET_DROP, capability)
            except OSError:
                # Past the last capability of this kernel, or without the right to narrow a set that is then unused.
                break
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
    kept &= _permitted(header)
    data = struct.pack("=IIIIII", kept, kept, 0, 0, 0, 0)
    if LIBC.capset(header, ctypes.create_string_buffer(data, len(data))) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _permitted(header: ctypes.Array[ctypes.c_char]) -> int:
    data = ctypes.create_string_buffer(24)
    if LIBC.capget(header, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(struct.unpack("=IIIIII", data.raw)[1])


def limit_resources(file_bytes: int) -> None:
    """Set the session's rlimits, soft and hard.

    Memory is not among them: RLIMIT_AS counts reserved address space, which breaks OpenBLAS; it is watched instead.

    Args:
        file_bytes: Largest file the session may write.
    """
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_MEMLOCK, 64 * 1024),
    ):
        _lower(kind, value)
    # A stack without end turns a deep recursion in C into a memory bomb; with this it is a segmentation fault.
    _lower(resource.RLIMIT_STACK, _STACK_BYTES)


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))
