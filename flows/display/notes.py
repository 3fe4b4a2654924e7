"""Notes about reading a file, as people are told them: each once, long lists folded, and counted in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from blocks.plurals import several

MOST_SHOWN = 5
"""Notes of one dataset that are said in full; the rest is counted."""


def note_lines(dataset: str, notes: Sequence[str], where: str) -> list[str]:
    """A line for each note, and one for those that are left out here.

    Args:
        dataset: Its name.
        notes: Plain sentences.
        where: Where all of them are.
    """
    lines = [f"{dataset}: {note}" for note in notes[:MOST_SHOWN]]
    more = len(notes) - len(lines)
    return [*lines, f"{dataset}: {counted(more)} more, see {where}"] if more > 0 else lines


def counted(notes: int) -> str:
    """So many notes about reading."""
    return f"{several(notes, 'note')} about reading"


def and_notes(sentence: str, notes: int) -> str:
    """A run's sentence with how many notes there are; as it is where there is none."""
    return f"{sentence}; {counted(notes)}" if notes else sentence
