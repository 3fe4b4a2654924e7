"""Output of a cell: the head is passed on as it comes, the tail is kept for the end, the middle is counted only."""

from __future__ import annotations

from collections import deque

_CONTINUATION = range(0x80, 0xC0)


class Capture:
    """One output stream of one cell. What it holds never exceeds the tail's size by more than one piece."""

    def __init__(self, head_bytes: int, tail_bytes: int) -> None:
        self._head_left = head_bytes
        self._tail_bytes = tail_bytes
        self._tail: deque[bytes] = deque()
        self._held = 0
        self.dropped = 0
        """Bytes of the middle that are gone. Exact once `finish` has been called."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of output; return what of it belongs to the head."""
        head = b""
        if self._head_left:
            if len(data) <= self._head_left:
                self._head_left -= len(data)
                return data
            cut = _character_start(data, self._head_left)
            head, data = data[:cut], data[cut:]
            self._head_left = 0
        self._keep(data)
        return head

    def finish(self) -> bytes:
        """The tail. After a cut it begins at a whole character."""
        tail = b"".join(self._tail)
        excess = len(tail) - self._tail_bytes
        if excess > 0:
            tail = tail[excess:]
            self.dropped += excess
        if self.dropped:
            skip = _continuation_bytes(tail)
            tail = tail[skip:]
            self.dropped += skip
        self._tail.clear()
        self._held = 0
        return tail

    def _keep(self, data: bytes) -> None:
        self._tail.append(data)
        self._held += len(data)
        while self._tail and self._held - len(self._tail[0]) >= self._tail_bytes:
            gone = len(self._tail.popleft())
            self._held -= gone
            self.dropped += gone


def _character_start(data: bytes, limit: int) -> int:
    """The last place at or before the limit where a UTF-8 character begins."""
    for cut in range(limit, max(limit - 4, -1), -1):
        if data[cut] not in _CONTINUATION:
            return cut
    return limit


def _continuation_bytes(data: bytes) -> int:
    count = 0
    while count < min(3, len(data)) and data[count] in _CONTINUATION:
        count += 1
    return count
