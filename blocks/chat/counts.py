"""Numbers of tokens and requests as servers tell them: in digits, or in JSON."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"[0-9]{1,18}")


def written_count(text: str) -> int | None:
    """A count that is written in digits; None: it is none, or longer than any count is."""
    text = text.strip()
    return int(text) if _DIGITS.fullmatch(text) else None


def told_count(value: object) -> int | None:
    """A count above 0 that stands in JSON; None: it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
