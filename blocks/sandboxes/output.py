"""One output stream of one cell: bytes in any pieces become text, a dropped middle is marked between characters."""

from __future__ import annotations

import codecs


class OutputStream:
    """Decodes stdout or stderr of a cell.

    The zygote streams the first `head` bytes as they come; what comes after them is either the direct continuation or,
    when the middle was dropped, the tail. Only the end of the cell tells which, so text past the head waits for it.

    Args:
        head: Bytes kept from the start.
        tail: Bytes kept from the end.
    """

    def __init__(self, head: int, tail: int) -> None:
        self._head_left = head
        self._tail_limit = tail
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = bytearray()
        self._refused = 0
        self._text: list[str] = []

    def feed(self, data: bytes) -> str:
        """Add bytes; return the text that can be shown at once."""
        now, later = data[: self._head_left], data[self._head_left :]
        self._head_left -= len(now)
        self._rest += later
        surplus = len(self._rest) - self._tail_limit
        if surplus > 0:
            # More than the zygote ever sends: keep the end, count the rest as dropped.
            del self._rest[:surplus]
            self._refused += surplus
        return self._keep(self._decoder.decode(now))

    def finish(self, dropped: int) -> tuple[str, int]:
        """End the stream.

        Args:
            dropped: Bytes the zygote left out between head and tail.

        Returns:
            The text that was held back, and the bytes dropped in all: those, and the rest of characters cut in two.
        """
        dropped += self._refused
        if not dropped:
            return self._keep(self._decoder.decode(bytes(self._rest), final=True)), 0
        cut_head = len(self._decoder.getstate()[0])
        rest = bytes(self._rest)
        cut_tail = 0
        while cut_tail < min(3, len(rest)) and rest[cut_tail] & 0xC0 == 0x80:
            cut_tail += 1
        dropped += cut_head + cut_tail
        tail = rest[cut_tail:].decode("utf-8", "replace")
        return self._keep(f"\n… [{dropped} bytes left out] …\n{tail}"), dropped

    @property
    def text(self) -> str:
        """Everything shown so far."""
        return "".join(self._text)

    def _keep(self, text: str) -> str:
        if text:
            self._text.append(text)
        return text
