"""How long a text is in tokens, estimated without a tokenizer."""

from __future__ import annotations

BYTES_PER_TOKEN = 4


def estimated_tokens(text: str) -> int:
    """About how many tokens a text takes: a quarter of its bytes, at least one. An estimate: no model counts so.

    For plain English that is a quarter of the characters. Bytes rather than characters, as Chinese or Russian take
    more tokens for each character than English does.
    """
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN) if text else 0
