"""Collects what is said of columns while a table is read, so that many columns make one sentence."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import Final

from sandbox_image.zygote.reading.naming import listed

_PLURAL: Final = {"holds": "hold", "has": "have", "was": "were", "it": "they"}


@dataclass
class Remarks:
    """Sentences about columns, one for all those of which the same is said.

    Attributes:
        columns: By name, what the file says of a column: a unit, a format.
    """

    columns: dict[str, str] = field(default_factory=dict)
    _said: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def say(self, name: str, what: str, remedy: str = "") -> None:
        """Say something of a column.

        Args:
            name: The column.
            what: A clause in the past tense that follows one name or several.
            remedy: A clause after it, in which NAME stands for the column.
        """
        self._said.setdefault((what, remedy), []).append(name)

    def keep(self, name: str, text: str) -> None:
        """Add to the description of a column."""
        known = self.columns.get(name)
        if known is None:
            self.columns[name] = text
        elif text not in known:
            self.columns[name] = f"{known}; {text}"

    def sentences(self) -> list[str]:
        """All that was said."""
        result = []
        for (what, remedy), names in self._said.items():
            if len(names) > 1:
                what = re.sub(r"\b(holds|has|was|it)\b", lambda each: _PLURAL[each[0]], what)
            shown = _for_one(remedy, names[0]) if len(names) == 1 and len(names[0]) <= 60 else remedy
            result.append(f"{listed(names)} {what}" + (f"; {shown}" if shown else "") + ".")
        return result


def _for_one(remedy: str, name: str) -> str:
    """The remedy with the column's name, as a shell takes it."""
    option = "--types=" if name.startswith("-") else "--types "
    found = re.sub(r"NAME(=\w+)", lambda each: shlex.quote(name + each[1]), remedy.replace("--types ", option))
    return found.replace("NAME", name)


def missing_argument(word: str) -> str:
    """A word for --missing, as a shell takes it: commas part words there, so that one with a comma is quoted."""
    apart = re.search(r'[,"]', word) or word != word.strip()
    return shlex.quote('"' + word.replace('"', '""') + '"' if apart else word)
