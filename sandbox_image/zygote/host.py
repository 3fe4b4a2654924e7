"""The host's two ends of the channel, as the switchboard has them: frames in, frames out, never blocking."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from itertools import islice
from typing import Any, Final

from sandbox_image.zygote.protocol import Decoder, Frame, Kind, encode

READ_BYTES: Final = 1 << 18
_FRAMES_PER_WRITE: Final = 64


class HostGone(Exception):
    """Nobody is at the other end any more."""


class HostStream:
    """One host, from its first frame to its last.

    Args:
        incoming: Descriptor its frames are read from.
        outgoing: Descriptor its frames are written to; made non-blocking.
        leash: Further descriptors that are closed with these two.
    """

    def __init__(self, incoming: int, outgoing: int, *leash: int) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self.unsent_bytes = 0
        self._leash = leash
        self._decoder = Decoder()
        self._unsent: deque[memoryview] = deque()
        os.set_blocking(outgoing, False)

    def read(self) -> list[Frame]:
        """The frames that the next bytes complete; to be called when there are some.

        Raises:
            HostGone: The stream has ended.
            ProtocolError: The bytes are no frames.
        """
        data = os.read(self.incoming, READ_BYTES)
        if not data:
            raise HostGone
        return self._decoder.feed(data)

    def send(self, kind: Kind, session: int, payload: bytes | dict[str, Any]) -> None:
        """Queue a frame."""
        data = encode(kind, session, payload)
        self._unsent.append(memoryview(data))
        self.unsent_bytes += len(data)

    def flush(self) -> None:
        """Write as much as the host takes now.

        Raises:
            HostGone: It takes nothing any more.
        """
        try:
            while self._unsent:
                self._drop_sent(os.writev(self.outgoing, list(islice(self._unsent, _FRAMES_PER_WRITE))))
        except BlockingIOError:
            pass
        except OSError as error:
            raise HostGone from error

    def close(self) -> None:
        """Let go of it; what is unsent is lost."""
        for descriptor in (self.incoming, self.outgoing, *self._leash):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _drop_sent(self, written: int) -> None:
        self.unsent_bytes -= written
        while written:
            first = self._unsent.popleft()
            if written < len(first):
                self._unsent.appendleft(first[written:])
            written -= min(written, len(first))
