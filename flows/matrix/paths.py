"""Paths with `{{variables}}`: a value is one part of a name and never leads anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from blocks.errors import UserError
from flows.matrix.templates import Template

MOST_BYTES = 255
"""Of a name, on every usual file system."""
# What some file system or shell takes for something else than a letter of a name.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\..*)?", re.IGNORECASE)


class PathTemplate:
    """A path the user gave, which may hold variables.

    Args:
        text: The path.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._fixed = Path(text)
        self._parts = [Template(part) for part in Path(text).parts]
        self.names = tuple(dict.fromkeys(name for part in self._parts for name in part.names))

    def fill(self, values: Mapping[str, str]) -> Path:
        """The path for a row.

        Raises:
            UserError: A variable has no value.
        """
        if not self.names:
            return self._fixed
        empty = [name for name in self.names if not values.get(name, "").strip()]
        if empty:
            raise UserError(f"The path {self.text} needs a value for {', '.join(empty)}.")
        safe = {name: safe_name(values[name]) for name in self.names}
        return Path(*(safe_name(part.fill(safe).text) if part.names else part.text for part in self._parts))

    def beside(self, suffix: str) -> Path:
        """A file for all rows together, beside what the path leads to: its first parts without variables."""
        fixed = [part.text for part in self._parts]
        first = next((at for at, part in enumerate(self._parts) if part.names), len(fixed) - 1)
        name = "-".join(part.replace("{{", "").replace("}}", "") for part in fixed[first:])
        return Path(*fixed[:first], safe_name(name + suffix))


def safe_name(value: str) -> str:
    """A value as part of a file name: no separators, nothing hidden, nothing reserved, not too long.

    Args:
        value: Any text.
    """
    printable = "".join(sign if sign.isprintable() else "_" for sign in value)
    name = _FORBIDDEN.sub("_", printable).strip().rstrip(". ")
    if name.startswith("."):
        name = "_" + name.lstrip(".")
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    return _shortened(name) or "_"


def _shortened(name: str) -> str:
    """At most `MOST_BYTES`, with its suffix."""
    if len(name.encode()) <= MOST_BYTES:
        return name
    stem, suffix = (name[: -len(Path(name).suffix)], Path(name).suffix) if Path(name).suffix else (name, "")
    suffix = suffix if len(suffix.encode()) <= 20 else ""
    return stem.encode()[: MOST_BYTES - len(suffix.encode())].decode(errors="ignore") + suffix
