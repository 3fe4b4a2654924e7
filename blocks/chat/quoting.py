"""A server's own words, made fit to be shown: one line, bounded, without keys and markup."""

from __future__ import annotations

import re

READ_CHARS = 20_000
"""How much of what a server says is looked at."""
DETAIL_CHARS = 300
MASK = "***"

_KEYS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|csk|fw|tgp|nvapi|r8|ghp|gho|pplx|glpat)[-_][A-Za-z0-9_*.-]{8,}|\bhf_[A-Za-z0-9]{16,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\beyJ[A-Za-z0-9_.-]{21,}"
)
"""What keys of well-known providers look like.

None of the patterns here reads a long text to its end once for each of its signs.
"""
_NAMED = re.compile(
    r"(?P<name>\bbearer\s+|\b(?:api[-_ ]?key|access[-_ ]?token|auth[-_ ]?token|secret|password|passwd)"
    r"[\"']?\s*[:=]\s*[\"']?)(?P<value>[^\s\"',;&<>]{6,})",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"://[^\s/@:]+:[^\s/@]+@")
_PAGE = re.compile(r"\s*<[a-z!]", re.IGNORECASE)
_MARKUP = re.compile(
    r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)|</?[a-z!][^>]{0,500}>", re.IGNORECASE | re.DOTALL
)


def shortened(text: str) -> str:
    """One line of at most `DETAIL_CHARS` characters, keys struck out; of a web page its words.

    The text may be as long as a server likes: what is behind `READ_CHARS` is not looked at.
    """
    text = text[:READ_CHARS]
    if _PAGE.match(text) and (words := _MARKUP.sub(" ", text)).strip():
        text = words
    line = masked(" ".join("".join(sign if sign.isprintable() else " " for sign in text).split()))
    return line if len(line) <= DETAIL_CHARS else line[: DETAIL_CHARS - 1] + "…"


def masked(text: str) -> str:
    """A text without what looks like a key, whosever it is: some servers repeat those of others."""
    text = _ADDRESS.sub(f"://{MASK}@", _KEYS.sub(MASK, text))
    return _NAMED.sub(rf"\g<name>{MASK}", text)


def quoted(detail: str) -> str:
    """A detail as the end of a sentence about it."""
    return f": {detail.rstrip('.')}" if detail else ""
