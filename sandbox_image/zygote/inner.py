"""What passes between the zygote and one session: frames like the outer ones, under numbers of their own.

A session reads commands and writes events on two pipes. Its events are untrusted bytes to whoever reads them.
"""

from __future__ import annotations

import enum
from typing import Final


class Inner(enum.IntEnum):
    """Frame kinds of the two pipes. The session number in their header is always 0."""

    RUN = 1  # to the session: {cell, code}
    READY = 2  # from the session: {}: the walls are up, the next command may come
    FAILED = 3  # from the session: {message}: it cannot go on and ends
    DONE = 4  # from the session: {cell, status: ok|error|memory}
    BEGUN = 5  # from the session: {cell}: an interrupt from here on is this cell's
    EVENT = 70  # from the session: passed on as an EVENT of the outer channel


# Where a session finds its pipes. Standard output and error have a spare each, from which the next cell restores them.
COMMANDS_FD: Final = 3
EVENTS_FD: Final = 4
SPARE_STDOUT_FD: Final = 5
SPARE_STDERR_FD: Final = 6
FIRST_FREE_FD: Final = 7

BROKEN: Final = 113
"""Exit code of a session whose own machinery no longer works."""
