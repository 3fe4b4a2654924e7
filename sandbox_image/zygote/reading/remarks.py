"""Collects what is said of columns while a table is read, so that many columns make one sentence."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sandbox_image.zygote.reading.naming import listed, several

_MOST_NOTES: Final = 100
_LONGEST: Final = 600
_NOTES_BYTES: Final = 32 * 1024
_COLUMNS_BYTES: Final = 64 * 1024
"""With what else is told of a file, both fit into one message of the template."""
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


def bounded(notes: Sequence[str], columns: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Notes on a file and on its columns, so many of them and so much of each as one message carries.

    Args:
        notes: On the file; how many more there are is said in the last one.
        columns: On columns, by name; how many are left out is said in a note on the file.
    """
    described: dict[str, str] = {}
    room = _COLUMNS_BYTES
    for name, note in columns.items():
        cut = _cut(note)
        size = _size(name) + _size(cut)
        if size <= room:
            described[name] = cut
            room -= size
    lost = len(columns) - len(described)
    told = [f"The descriptions of {several(lost, 'column')} were left out, since there are too many."] if lost else []
    room = _NOTES_BYTES - sum(map(_size, told))
    kept: list[str] = []
    for note in map(_cut, notes[: _MOST_NOTES - 1 if len(notes) > _MOST_NOTES else _MOST_NOTES]):
        room -= _size(note)
        if room < 0:
            break
        kept.append(note)
    if len(kept) < len(notes):
        told.append(f"{several(len(notes) - len(kept), 'more note')} left out.")
    return [*kept, *told], described


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _size(text: str) -> int:
    """How many bytes a text takes in a message, with what parts it from the next."""
    return len(json.dumps(text)) + 1
