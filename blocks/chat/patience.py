"""What is said where a server asks to send nothing for longer than a call would wait."""

from __future__ import annotations

import time
from datetime import datetime

from blocks.chat.errors import ChatError, ServerWait

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def too_long(error: ChatError, wait_s: float, patience_s: float) -> ServerWait:
    """How a call ends whose request the server has answered with a wait of hours.

    Args:
        error: What the server answered.
        wait_s: For how long it asks to send nothing.
        patience_s: For how long a call waits.
    """
    said = error.message.rstrip(".")
    return ServerWait(
        f"{said}. The server has asked {asked(wait_s)}; a call waits {spoken(patience_s)} at most.",
        remedy(),
        probe_s=wait_s,
        status=error.status,
        detail=error.detail,
    )


def closed(model: str, endpoint: str, wait_s: float, patience_s: float, said: str) -> ServerWait:
    """How a call ends that is not sent, as the server has asked others for a wait of hours.

    Args:
        model: Whom it would have asked.
        endpoint: Where.
        wait_s: For how long nothing is to be sent.
        patience_s: For how long a call waits.
        said: The server's words.
    """
    return ServerWait(
        f"{model} at {endpoint} is not asked for now: its server has asked {asked(wait_s)}{because(said)};"
        f" a call waits {spoken(patience_s)} at most.",
        remedy(),
        probe_s=wait_s,
        detail=said,
    )


def remedy() -> str:
    """What the user can do."""
    return (
        "Run again then: what was answered is kept. Or use another model or account,"
        " or raise max_server_wait_s in the Chat Model block's retry."
    )


def asked(wait_s: float, now: float | None = None) -> str:
    """A wait as a server asks for it: how long, and until what time of day.

    Args:
        wait_s: Seconds.
        now: Seconds since 1970; None: the clock.
    """
    now = time.time() if now is None else now
    in_words = f" ({spoken(wait_s)})" if wait_s >= 60 else ""
    return f"to send nothing for {wait_s:.0f} s{in_words}, until {time_of_day(now + wait_s, now)}"


def time_of_day(moment: float, now: float) -> str:
    """A moment by the clock on the wall here, with its day where that is not today."""
    there, here = (datetime.fromtimestamp(each).astimezone() for each in (moment, now))
    day = "" if there.date() == here.date() else f" on {there:%Y-%m-%d}"
    return f"{there:%H:%M %Z}{day}"


def spoken(seconds: float) -> str:
    """A time in its two largest units: 2 h 59 min."""
    left, parts = round(seconds), []
    for name, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def because(said: str) -> str:
    """The server's words, if there are any, as a sentence goes on with them."""
    return f" ({said.rstrip('.')})" if said else ""
