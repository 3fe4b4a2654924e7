"""A small assembler for the classic BPF programs that seccomp runs before every system call."""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import Final

from sandbox_image.zygote.walls.libc import PR_SET_NO_NEW_PRIVS, prctl

ALLOW: Final = 0x7FFF_0000
ERRNO: Final = 0x0005_0000

_LOAD_WORD: Final = 0x20
_AND: Final = 0x54
_JUMP_EQUAL: Final = 0x15
_JUMP_GREATER: Final = 0x25
_JUMP_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

_NUMBER_OFFSET: Final = 0
_ARCH_OFFSET: Final = 4
_ARGS_OFFSET: Final = 16

_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2

_INSTRUCTION: Final = struct.Struct("=HBBI")
MAX_INSTRUCTIONS: Final = 4096
"""The kernel's own limit on one program."""


def refuse(code: int = errno.EPERM) -> int:
    """The return value that makes the call fail with this errno."""
    return ERRNO | (code & 0xFFFF)


class Program:
    """A filter under construction: every rule either returns or falls through to the next one.

    Rules are short and jump only over themselves, so no jump can grow past the 8 bits BPF has for it. Both supported
    processor families are little-endian, which fixes where the halves of an argument lie.
    """

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int]] = []

    def __len__(self) -> int:
        return len(self._code)

    def bytes(self) -> bytes:
        """The program as the kernel takes it: 8 bytes an instruction."""
        return b"".join(_INSTRUCTION.pack(*instruction) for instruction in self._code)

    def _emit(self, code: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        self._code.append((code, if_true, if_false, value & 0xFFFF_FFFF))

    def _load_number(self) -> None:
        self._emit(_LOAD_WORD, _NUMBER_OFFSET)

    def end(self, verdict: int) -> None:
        """Return for every call that no rule has settled."""
        self._emit(_RETURN, verdict)

    def require_architecture(self, audit: int, verdict: int) -> None:
        """Return the verdict for calls made through another processor family's numbering (32-bit entry points)."""
        self._emit(_LOAD_WORD, _ARCH_OFFSET)
        self._emit(_JUMP_EQUAL, audit, 1, 0)
        self._emit(_RETURN, verdict)
        self._load_number()

    def numbers_above(self, newest: int, verdict: int) -> None:
        """Return the verdict for numbers greater than the newest one known."""
        self._emit(_JUMP_GREATER, newest, 0, 1)
        self._emit(_RETURN, verdict)

    def number_bits(self, mask: int, verdict: int) -> None:
        """Return the verdict when the number has any of these bits."""
        self._emit(_JUMP_ANY_BIT, mask, 0, 1)
        self._emit(_RETURN, verdict)

    def call(self, number: int, verdict: int) -> None:
        """Return the verdict for one call, whatever its arguments."""
        self._emit(_JUMP_EQUAL, number, 0, 1)
        self._emit(_RETURN, verdict)

    def call_unless_in(self, number: int, argument: int, allowed: tuple[int, ...], verdict: int) -> None:
        """Return the verdict for a call unless the low 32 bits of an argument are among the allowed values.

        Meant for arguments the kernel itself reads as 32-bit integers (process ids, commands, families).
        """
        # load, one test per value, verdict, then reload the number; the guard jumps over all of them.
        self._emit(_JUMP_EQUAL, number, 0, len(allowed) + 3)
        self._emit(_LOAD_WORD, _ARGS_OFFSET + 8 * argument)
        for position, value in enumerate(allowed):
            self._emit(_JUMP_EQUAL, value, len(allowed) - position, 0)
        self._emit(_RETURN, verdict)
        self._load_number()

    def call_if_in(self, number: int, argument: int, denied: tuple[int, ...], verdict: int) -> None:
        """Return the verdict for a call when the low 32 bits of an argument are among the denied values."""
        self._emit(_JUMP_EQUAL, number, 0, 2 * len(denied) + 2)
        self._emit(_LOAD_WORD, _ARGS_OFFSET + 8 * argument)
        for value in denied:
            self._emit(_JUMP_EQUAL, value, 0, 1)
            self._emit(_RETURN, verdict)
        self._load_number()

    def call_unless_masked(self, number: int, argument: int, mask: int, wanted: int, verdict: int) -> None:
        """Return the verdict for a call unless the low half of an argument, masked, equals the wanted value."""
        self._emit(_JUMP_EQUAL, number, 0, 5)
        self._emit(_LOAD_WORD, _ARGS_OFFSET + 8 * argument)
        self._emit(_AND, mask)
        self._emit(_JUMP_EQUAL, wanted, 1, 0)
        self._emit(_RETURN, verdict)
        self._load_number()

    def call_if_masked(self, number: int, argument: int, mask: int, values: tuple[int, ...], verdict: int) -> None:
        """Return the verdict for a call when the low half of an argument, masked, equals one of the values."""
        self._emit(_JUMP_EQUAL, number, 0, 2 * len(values) + 3)
        self._emit(_LOAD_WORD, _ARGS_OFFSET + 8 * argument)
        self._emit(_AND, mask)
        for value in values:
            self._emit(_JUMP_EQUAL, value, 0, 1)
            self._emit(_RETURN, verdict)
        self._load_number()

    def call_unless_null(self, number: int, argument: int, verdict: int) -> None:
        """Return the verdict for a call unless an argument is zero over its whole 64 bits (a null pointer)."""
        self._emit(_JUMP_EQUAL, number, 0, 6)
        self._emit(_LOAD_WORD, _ARGS_OFFSET + 8 * argument)
        self._emit(_JUMP_EQUAL, 0, 0, 2)
        self._emit(_LOAD_WORD, _ARGS_OFFSET + 8 * argument + 4)
        self._emit(_JUMP_EQUAL, 0, 1, 0)
        self._emit(_RETURN, verdict)
        self._load_number()

    def install(self) -> None:
        """Put the filter in force for this thread and whatever it starts, for good.

        Raises:
            OSError: The kernel refused it (no seccomp, or a malformed program).
        """
        code = self.bytes()
        buffer = ctypes.create_string_buffer(code, len(code))
        header = _FilterProgram(len(self._code), ctypes.cast(buffer, ctypes.c_void_p))
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))
