"""Texts with `{{variables}}`: split once, filled for each row in one pass, so that no value is read as a template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_NAME = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}")


class Filled(NamedTuple):
    """A template with its values."""

    text: str
    missing: tuple[str, ...]
    """Variables without a value; they stand in the text as they were written."""


class Template:
    """A text with `{{name}}` in it.

    Args:
        text: The text.
    """

    def __init__(self, text: str) -> None:
        pieces = _NAME.split(text)
        self.text = text
        self._plain, self._slots = pieces[::2], pieces[1::2]
        self.names = tuple(dict.fromkeys(self._slots))

    def fill(self, values: Mapping[str, str]) -> Filled:
        """Put values in; an empty value is a value, a name without one stays."""
        parts = [self._plain[0]]
        for slot, plain in zip(self._slots, self._plain[1:], strict=True):
            value = values.get(slot)
            parts += ["{{" + slot + "}}" if value is None else value, plain]
        return Filled("".join(parts), tuple(name for name in self.names if name not in values))
