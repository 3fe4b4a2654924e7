"""The session's event pipe: frames written whole, from any thread."""

from __future__ import annotations

import json
import os
import select
import threading
from typing import Any

from sandbox_image.zygote.inner import EVENTS_FD, Inner
from sandbox_image.zygote.interrupts import Interrupts
from sandbox_image.zygote.protocol import encode

# Bound now: a cell may replace the modules' attributes.
_dumps, _write, _encode = json.dumps, os.write, encode


class EventPipe:
    """Writes events out of band of anything printed."""

    def __init__(self, interrupts: Interrupts, max_bytes: int) -> None:
        self._interrupts = interrupts
        self._lock = threading.Lock()
        self.max_bytes = max_bytes
        """Largest payload the zygote accepts."""

    def event(self, **data: Any) -> bool:
        """Send an EVENT; False when it is larger than allowed and was not sent."""
        payload = _dumps(data, separators=(",", ":")).encode()
        if len(payload) > self.max_bytes:
            return False
        self._send(Inner.EVENT, payload)
        return True

    def control(self, kind: Inner, **data: Any) -> None:
        """Send one of the session's own messages."""
        self._send(kind, _dumps(data, separators=(",", ":")).encode())

    def _send(self, kind: int, payload: bytes) -> None:
        view = memoryview(_encode(kind, 0, payload))
        with self._interrupts.shielded(), self._lock:
            while view:
                try:
                    view = view[_write(EVENTS_FD, view) :]
                except BlockingIOError:
                    # A cell can make its own descriptors non-blocking.
                    select.select([], [EVENTS_FD], [])
