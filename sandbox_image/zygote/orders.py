"""What the host's frames order, read and checked: numbers of the right kind and within reason."""

from __future__ import annotations

from sandbox_image.zygote.protocol import Frame, ProtocolError
from sandbox_image.zygote.slot import Request


def run_request(frame: Frame) -> Request:
    """The cell of a RUN.

    Raises:
        ProtocolError: It makes no sense.
    """
    data = frame.json()
    cell, code = data.get("cell"), data.get("code")
    timeout_s, grace_s = data.get("timeout_s"), data.get("grace_s")
    if not isinstance(cell, int) or not isinstance(code, str):
        raise ProtocolError("a RUN needs a whole number `cell` and a text `code`")
    if not _positive(timeout_s) or not (grace_s == 0 or _positive(grace_s)):
        raise ProtocolError("a RUN needs `timeout_s` above 0 and `grace_s` from 0 up, in seconds")
    return Request(cell, code, float(timeout_s), float(grace_s))


def idle_seconds(frame: Frame) -> float:
    """How long a PARK wants the sandbox to wait for another host, seconds.

    Raises:
        ProtocolError: It makes no sense.
    """
    idle_s = frame.json().get("idle_s")
    if not _positive(idle_s):
        raise ProtocolError("a PARK needs `idle_s` above 0, in seconds")
    return float(idle_s)


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
