"""How long a server asks a client to wait, from the headers of its reply."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_PART = r"(\d{1,400}(?:\.\d*)?|\.\d+)\s*(ms|us|µs|μs|ns|d|h|m|s)"
_SPAN = re.compile(rf"(?:{_PART}\s*)+", re.IGNORECASE)
_PARTS = re.compile(_PART, re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:e[+-]?\d{1,3})?", re.IGNORECASE)
_LIMIT = re.compile(r"(?:rate-?limit|token-?limit)")
"""What the name of a header that tells of a limit holds."""
_FIELD = re.compile(r"\b(remaining|reset|r|t)\s*=\s*([\d.]+)", re.IGNORECASE)

EPOCH_S = 1e9
"""A reset at or above this is a moment since 1970 in seconds; from a thousand times it on in milliseconds, or finer."""
MOST_S = 366 * 86_400.0
"""What is longer is taken for this: nobody waits for it, and clocks can count it."""


def server_wait(headers: Mapping[str, str], now: float | None = None, *, refused: bool) -> float | None:
    """Seconds to wait before the next call, or None when the server does not say.

    Retry-After counts first; then the reset of the limit that is used up, whatever its name
    (`x-ratelimit-reset-requests`, `anthropic-ratelimit-tokens-reset`, `RateLimit: remaining=0, reset=50`); then, where
    the call was refused for a limit, the soonest reset there is. What cannot be read is as if it were not there; a
    moment in the past is a wait of 0.

    Args:
        headers: Response headers, names in lower case.
        now: Seconds since 1970; None: the clock.
        refused: Whether the reply is a refusal for a limit: with any other, a reset without more only informs.
    """
    now = time.time() if now is None else now
    for name in ("retry-after-ms", "x-ms-retry-after-ms", "retry-after"):
        asked = parse_reset(headers.get(name, ""), now, ms=name.endswith("-ms"))
        if asked is not None:
            return asked
    limits = list(_limits(headers, now))
    if used_up := [wait for _, wait, used in limits if used]:
        return max(used_up)
    return min((wait for _, wait, _ in limits), default=None) if refused else None


def used_up(headers: Mapping[str, str], now: float | None = None) -> tuple[float, str]:
    """Seconds until the limits that a reply says are used up are reset, and which header says so; 0: none is.

    Args:
        headers: Response headers, names in lower case.
        now: Seconds since 1970; None: the clock.
    """
    found = [(wait, name) for name, wait, used in _limits(headers, time.time() if now is None else now) if used]
    return max(found, default=(0.0, ""))


def parse_reset(text: str, now: float, *, ms: bool = False) -> float | None:
    """Seconds until a rate limit's reset, at most `MOST_S`; None: it cannot be read.

    Providers write it as seconds from now (`12`, `0.5`), a span as Go does (`1s`, `6m0s`, `120ms`), a moment since 1970
    in seconds, milliseconds or finer, an ISO 8601 time or an HTTP date.

    Args:
        text: The header's value.
        now: Seconds since 1970.
        ms: Whether a number that is no moment counts milliseconds.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value >= EPOCH_S * (1000 if ms else 1):
            while EPOCH_S * 1000 <= value < float("inf"):
                value /= 1000
            return _bounded(value - now)
        return _bounded(value / 1000 if ms else value)
    if text and _SPAN.fullmatch(text):
        return _bounded(sum(float(number) * _UNITS[unit.lower()] for number, unit in _PARTS.findall(text)))
    moment = _moment(text)
    return None if moment is None else _bounded(moment - now)


def _moment(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 time or an HTTP date."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            continue
    return None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), MOST_S)


def _limits(headers: Mapping[str, str], now: float) -> Iterator[tuple[str, float, bool]]:
    """Each limit that is told with its reset: the header's name, the seconds until then, whether it is used up."""
    for name, text in headers.items():
        if _LIMIT.search(name) is None:
            continue
        if "reset" in name:
            of = name.removesuffix("-ms")
            wait = parse_reset(text, now, ms=of != name)
            # What has a limit of 0 is not offered at all (images, for instance), and nothing of it is used up.
            if wait is not None and not _is_zero(headers.get(of.replace("reset", "limit"), "")):
                yield name, wait, _is_zero(headers.get(of.replace("reset", "remaining"), ""))
        elif name.endswith("ratelimit"):
            # The draft of a standard: `limit=100, remaining=0, reset=50`, later `"default";r=0;t=50`.
            for part in _policies(text):
                wait = parse_reset(part.get("reset", part.get("t", "")), now)
                if wait is not None:
                    yield name, wait, _is_zero(part.get("remaining", part.get("r", "")))


def _policies(text: str) -> list[dict[str, str]]:
    separate = text.split(",") if re.search(r"\br\s*=", text) else [text]
    return [{key.lower(): value for key, value in _FIELD.findall(part)} for part in separate]


def _is_zero(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip()) is not None and float(text) == 0
