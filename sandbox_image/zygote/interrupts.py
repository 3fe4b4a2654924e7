"""Interrupting a cell: KeyboardInterrupt may strike the user's code, never the code that writes frames."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

# Bound now: a cell may replace the modules' attributes.
_handle, _mask, _set_timer = signal.signal, signal.pthread_sigmask, signal.setitimer
_this_thread, _main_thread = threading.current_thread, threading.main_thread


class Interrupts:
    """The session's SIGINT handler. Unless armed, and inside `shielded`, a signal is only remembered."""

    def __init__(self) -> None:
        self._armed = False
        self._shields = 0
        self._pending = False

    def install(self) -> None:
        """Take the signal back from whatever the last cell made of it, and stop its timers."""
        _handle(signal.SIGINT, self._arrived)
        _mask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            _set_timer(timer, 0)

    def forget(self) -> None:
        """What has come so far was meant for an earlier cell, which had ended when it came."""
        self._pending = False

    def arm(self) -> None:
        """The user's code runs from here on.

        Raises:
            KeyboardInterrupt: It was interrupted before it began.
        """
        self._armed = True
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def disarm(self) -> None:
        """It has ended. May be repeated, for the case that the signal struck while the first call was on its way."""
        self._armed = False

    @contextlib.contextmanager
    def shielded(self) -> Iterator[None]:
        """Put off an interrupt until a frame is written whole. Signals reach the main thread only."""
        if _this_thread() is not _main_thread():
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
