"""How long a server asks a client to wait, from the headers of its reply."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")

EPOCH_S = 1e9
"""A reset at or above this is a moment in seconds since 1970; in milliseconds from a thousand times it on."""


def server_wait(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait before the next call, or None when the server does not say.

    Retry-After counts first; then the reset of the limit that is used up, be it called X-RateLimit-Reset or, by
    requests and tokens apart, x-ratelimit-reset-requests and -tokens. What cannot be read is as if it were not there;
    a moment in the past is a wait of 0.

    Args:
        headers: Response headers, names in lower case.
        now: Seconds since 1970; None: the clock.
    """
    now = time.time() if now is None else now
    asked = _milliseconds(headers.get("retry-after-ms"))
    if asked is None:
        asked = _retry_after(headers.get("retry-after"), now)
    return _reset(headers, now) if asked is None else asked


def exhausted_s(headers: Mapping[str, str], now: float | None = None) -> float:
    """Seconds until a limit that a reply says is used up is reset; 0: none is.

    Args:
        headers: Response headers, names in lower case.
        now: Seconds since 1970; None: the clock.
    """
    used_up = [kind for kind in ("requests", "tokens") if headers.get(f"x-ratelimit-remaining-{kind}", "") == "0"]
    waits = [parse_reset(headers.get(f"x-ratelimit-reset-{kind}", ""), now or time.time()) for kind in used_up]
    return max((wait for wait in waits if wait is not None and math.isfinite(wait)), default=0.0)


def parse_reset(text: str, now: float) -> float | None:
    """Seconds until a rate limit's reset.

    Providers write it as seconds from now (`12`, `0.5`), a span (`1s`, `6m0s`, `120ms`), a moment since 1970 in
    seconds or milliseconds, or an ISO 8601 time.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value >= EPOCH_S:
            value = (value / 1000 if value >= EPOCH_S * 1000 else value) - now
        return max(0.0, value)
    if text and (span := _SPAN.fullmatch(text)):
        days, hours, minutes, seconds, milliseconds = (float(part or 0) for part in span.groups())
        return days * 86_400 + hours * 3_600 + minutes * 60 + seconds + milliseconds / 1_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)


def _milliseconds(text: str | None) -> float | None:
    return max(0.0, float(text) / 1_000) if text and _NUMBER.fullmatch(text.strip()) else None


def _retry_after(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    if _NUMBER.fullmatch(text.strip()):
        return max(0.0, float(text))
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    names = ("x-ratelimit-reset", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens", "ratelimit-reset")
    found = {name: parse_reset(headers[name], now) for name in names if name in headers}
    waits = {name: wait for name, wait in found.items() if wait is not None and math.isfinite(wait)}
    used_up = [
        wait for name, wait in waits.items() if headers.get(name.replace("reset", "remaining"), "").strip() == "0"
    ]
    if used_up:
        return max(used_up)
    return min(waits.values(), default=None)
