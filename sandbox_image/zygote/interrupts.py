"""Interrupting a cell: KeyboardInterrupt may strike the user's code, never the code that writes frames."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupts:
    """The session's SIGINT handler. Outside `armed` and inside `shielded` a signal is only remembered."""

    def __init__(self) -> None:
        self._armed = False
        self._shields = 0
        self._pending = False

    def install(self) -> None:
        """Take the signal back from whatever the last cell made of it, and stop its timers."""
        signal.signal(signal.SIGINT, self._arrived)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0)

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """The user's code runs in here."""
        self._pending = False
        try:
            self._armed = True
            yield
        finally:
            self._armed = False

    def disarm(self) -> None:
        """Repeat the end of `armed`, for the case that the signal struck while it was ending."""
        self._armed = False

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """Put off an interrupt until a frame is written whole. Signals reach the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._pending and self._armed and not self._shields:
            self._pending = False
            raise KeyboardInterrupt

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._armed and not self._shields:
            raise KeyboardInterrupt
        self._pending = True
