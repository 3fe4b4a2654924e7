"""The control channel: length-prefixed frames over one byte stream, and what each kind of frame carries.

A frame is a 9-byte big-endian header (payload length u32, kind u8, session u32) followed by the payload. Session 0 is
the sandbox itself; other session numbers are chosen by the host. Payloads are UTF-8 JSON objects unless noted. The
session number on a frame to the host is stamped by the zygote, so a session cannot speak for another.
"""

from __future__ import annotations

import enum
import json
import struct
from typing import Any, NamedTuple

PROTOCOL_VERSION = 4
HEADER = struct.Struct(">IBI")
MAX_PAYLOAD = 32 * 1024 * 1024
"""Largest payload either side accepts, bytes; a larger length is a protocol error and ends the channel."""


class Kind(enum.IntEnum):
    """Frame kinds. 1-63 travel from the host to the zygote, 64 and above from the zygote to the host."""

    LOAD = 1  # {name, bytes, rules|null, max_columns, limits? (of sessions to come)}: DATA follows
    DATA = 2  # raw bytes of the file; an empty payload ends it
    OPEN = 3  # {limits: {...}}: fork a session under this number (needs LOADED first)
    RUN = 4  # {cell, code, timeout_s, grace_s}: run a cell in the session
    INTERRUPT = 5  # {}: raise KeyboardInterrupt in the running cell; a no-op when idle
    RESET = 6  # {}: kill the session's process and fork a fresh one under the same number (answers OPENED)
    CLOSE = 7  # {}: kill the session's process and remove its scratch folder (answers CLOSED)
    STATS = 8  # {}: ask for STATS_REPLY
    PING = 9  # {n}: answered by PONG {n}
    SHUTDOWN = 10  # {}: end everything
    PARK = 11  # {idle_s}: let this host go and wait so long for another (needs LOADED, no session; answers PARKED)

    HELLO = 64  # {protocol, python, platform, libraries{}, walls{landlock_abi, seccomp, ...}, pid, loaded?: as LOADED}
    LOADED = 65  # {rows, columns, encoding, delimiter, bytes, sha256, seconds, warnings[], column_notes{}}
    LOAD_FAILED = 66  # {reason, message, helps}
    OPENED = 67  # {pid, seconds}
    STDOUT = 68  # raw bytes
    STDERR = 69  # raw bytes
    EVENT = 70  # one out-of-band event of the running cell, written by the session: untrusted JSON, see below
    END = 71  # {cell, status, namespace: kept|lost, reason, wall_s, cpu_s, peak_bytes, stdout_dropped, stderr_dropped}
    CLOSED = 72  # {}
    STATS_REPLY = 73  # {sessions: {number: {pid, state, cells, rss_bytes, private_bytes, cpu_s, scratch_bytes}}, ...}
    PONG = 74  # {n}
    REFUSED = 75  # {message}: the request made no sense (unknown session, busy, limit reached)
    FATAL = 76  # {message}: the zygote is about to end
    PARKED = 77  # {}: the last frame to this host


# EVENT payloads: {"type": "value", "repr": str, "truncated": bool}
#                 {"type": "error", "name": str, "message": str, "traceback": str}
#                 {"type": "figure", "png": base64 str}
#                 {"type": "answer", "value": tagged value (see values.py)}
#                 {"type": "note", "name": str, "value": tagged value, "code_line": str, "depends_on": [str]}
# status (END): ok | error | timeout | memory | killed. `lost` is said by the host only, when no END can come.


class Frame(NamedTuple):
    """One message of the control channel."""

    kind: int
    session: int
    payload: bytes

    def json(self) -> Any:
        """The payload as JSON.

        Raises:
            ProtocolError: It is not a JSON object.
        """
        try:
            data = json.loads(self.payload)
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise ProtocolError(f"a {self.kind} frame carries no JSON") from error
        if not isinstance(data, dict):
            raise ProtocolError(f"a {self.kind} frame carries no JSON object")
        return data


class ProtocolError(Exception):
    """The bytes on the channel are not frames of this protocol."""


def encode(kind: int, session: int = 0, payload: bytes | dict[str, Any] = b"") -> bytes:
    """One frame as bytes; a dict payload is written as compact JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
    if len(body) > MAX_PAYLOAD:
        raise ProtocolError(f"a payload of {len(body)} bytes is over {MAX_PAYLOAD}")
    return HEADER.pack(len(body), kind, session) + body


class Decoder:
    """Turns a byte stream, fed in pieces of any size, into frames."""

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self._buffer = bytearray()
        self._max_payload = max_payload

    def feed(self, data: bytes) -> list[Frame]:
        """Add bytes; return the frames they complete, in order.

        Raises:
            ProtocolError: A header announces more than the largest payload.
        """
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            length, kind, session = HEADER.unpack_from(self._buffer, start)
            if length > self._max_payload:
                raise ProtocolError(f"a payload of {length} bytes is over {self._max_payload}")
            end = start + HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append(Frame(kind, session, bytes(self._buffer[start + HEADER.size : end])))
            start = end
        if start:
            del self._buffer[:start]
        return frames
