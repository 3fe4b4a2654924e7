"""Landlock: which files a process may touch, and that it may not signal or reach anything outside its own domain."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sandbox_image.zygote.walls.libc import PR_SET_NO_NEW_PRIVS, prctl, syscall

# The three calls have the same numbers on every architecture.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_CREATE_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1

WRITE_FILE: Final = 1 << 1
READ_FILE: Final = 1 << 2
READ_DIR: Final = 1 << 3
TRUNCATE: Final = 1 << 14
READ: Final = READ_FILE | READ_DIR
REMOVE_DIR: Final = 1 << 4
_MAKE_CHAR: Final = 1 << 6
_MAKE_SOCK: Final = 1 << 9
_MAKE_BLOCK: Final = 1 << 11
_EXECUTE: Final = 1 << 0
_IOCTL_DEV: Final = 1 << 15
_FILE_RIGHTS: Final = _EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | _IOCTL_DEV
"""Rights that mean something for a single file; the kernel refuses the others on a rule for one."""
SCRATCH: Final = ((1 << 15) - 1) & ~(_EXECUTE | _MAKE_CHAR | _MAKE_SOCK | _MAKE_BLOCK)
"""Everything honest code does with its own folder; no programs, devices or sockets."""

_HANDLED_FS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_HANDLED_NET: Final = 0b11
_SCOPED: Final = 0b11
_RULES_FROM_FD: Final = 100


class Rule(NamedTuple):
    """Rights on a file, or on a folder and everything beneath it."""

    descriptor: int
    """An O_PATH descriptor."""
    rights: int


def abi() -> int:
    """The kernel's Landlock version; 0 when there is none or it is switched off."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _CREATE_VERSION)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def handled_files(version: int) -> int:
    """The file rights a domain of this version restricts."""
    return _HANDLED_FS[max(known for known in _HANDLED_FS if known <= version)]


def open_rule(path: str | Path, rights: int) -> Rule | None:
    """A rule for a path; None when nothing is there."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    # Out of the way of the low numbers, where a session arranges its pipes before it uses the rules.
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _RULES_FROM_FD)
    os.close(descriptor)
    return Rule(high, rights)


def open_rules(paths: Iterable[str | Path], rights: int) -> list[Rule]:
    """Rules for those of the paths that exist."""
    rules = (open_rule(path, rights) for path in paths)
    return [rule for rule in rules if rule is not None]


def restrict(rules: Sequence[Rule], version: int) -> None:
    """Confine this thread, and whatever it starts, to the rules for good. Domains stack: each can only take away.

    Args:
        rules: Everything that stays reachable.
        version: What `abi` answered, at least 1.

    Raises:
        OSError: The kernel refused.
    """
    handled = handled_files(version)
    net = _HANDLED_NET if version >= 4 else 0
    scoped = _SCOPED if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, net, scoped)
    # Older kernels take the shorter structures they know.
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = syscall(_CREATE_RULESET, buffer, size, 0)
    try:
        for rule in rules:
            _add(ruleset, rule, handled)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _add(ruleset: int, rule: Rule, handled: int) -> None:
    rights = rule.rights & handled
    if not os.stat(rule.descriptor).st_mode & 0o040000:
        rights &= _FILE_RIGHTS
    attribute = struct.pack("=Qi", rights, rule.descriptor)
    syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.create_string_buffer(attribute, len(attribute)), 0)
