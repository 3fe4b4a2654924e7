"""A server's own words, made fit to be shown: one line, bounded, without keys and markup."""

from __future__ import annotations

import re

DETAIL_CHARS = 300
MASK = "***"

_KEYS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|csk|fw|tgp|nvapi|r8|ghp|gho|pplx|glpat)[-_][A-Za-z0-9_*.-]{8,}|\bhf_[A-Za-z0-9]{16,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]{10,}"
)
"""What keys of well-known providers look like."""
_NAMED = re.compile(
    r"(?P<name>\bbearer\s+|\b(?:api[-_ ]?key|access[-_ ]?token|auth[-_ ]?token|secret|password|passwd)"
    r"[\"']?\s*[:=]\s*[\"']?)(?P<value>[^\s\"',;&<>]{6,})",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@", re.IGNORECASE)
_PAGE = re.compile(r"\s*<[a-z!]", re.IGNORECASE)
_MARKUP = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->|</?[a-z!][^>]{0,500}>", re.IGNORECASE | re.DOTALL)


def shortened(text: str) -> str:
    """One line of at most `DETAIL_CHARS` characters, keys struck out; of a web page its words."""
    if _PAGE.match(text) and (words := _MARKUP.sub(" ", text)).strip():
        text = words
    line = masked(" ".join("".join(sign if sign.isprintable() else " " for sign in text).split()))
    return line if len(line) <= DETAIL_CHARS else line[: DETAIL_CHARS - 1] + "…"


def masked(text: str) -> str:
    """A text without what looks like a key, whosever it is: some servers repeat those of others."""
    text = _ADDRESS.sub(rf"\g<scheme>{MASK}@", _KEYS.sub(MASK, text))
    return _NAMED.sub(rf"\g<name>{MASK}", text)


def quoted(detail: str) -> str:
    """A detail as the end of a sentence about it."""
    return f": {detail.rstrip('.')}" if detail else ""
