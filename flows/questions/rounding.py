"""Decimals that fit an answer: enough to tell its value, no more than it has."""

from __future__ import annotations

import re
from decimal import Decimal

from flows.answers.answers import Answer
from flows.answers.nodes import Node, Number, children
from flows.questions.candidates import Candidate

SIGNIFICANT = 3
"""Digits of an answer, from its first one that is not 0, that the decimals asked for should show."""
FEWEST_SIGNIFICANT = 2
"""Digits below which an answer is not worth asking for."""
MOST_PLACES = 8
MORE_PLACES = 4
"""Decimals asked for at most: so many in all, or so many more than the source proposed."""


def places_words(places: int) -> str:
    """How many decimals an answer is rounded to, as a question says it."""
    return f"{places} decimal place" + ("" if places == 1 else "s")


def fitted(candidate: Candidate, answer: Answer) -> Candidate | None:
    """The candidate with as many decimals as its answer needs; None where the answer is nothing but 0.

    Words are changed where they say the decimals as `places_words` does. A candidate that asks for no decimals stays
    as it is, and so does an answer of whole numbers.

    Args:
        candidate: What a source proposes.
        answer: What its program submits, unrounded.
    """
    places = candidate.answer.decimals
    alone = isinstance(answer.node, Number)
    if alone and candidate.answer.type in ("float", "percent") and not _sizes(answer.node):
        return None
    if places is None:
        return candidate
    sizes = _sizes(answer.node)
    if not sizes or candidate.source == "llm":
        # A model's words are its own: they are judged, not changed.
        return None if alone and sizes and _shown(sizes[0], places) < 1 else candidate
    most = max(MOST_PLACES, places + MORE_PLACES)
    least = min(sizes)
    wanted = SIGNIFICANT if alone else FEWEST_SIGNIFICANT
    needed = max(places, min(most, wanted - 1 - least.adjusted()))
    if alone and _shown(least, needed) < FEWEST_SIGNIFICANT:
        return None
    return _with_places(candidate, places, needed)


def _with_places(candidate: Candidate, old: int, new: int) -> Candidate:
    if old == new:
        return candidate
    said = re.compile(rf"(?<!\d){re.escape(places_words(old))}(?!\w)")
    text, changes = said.subn(places_words(new), candidate.text)
    if not changes:
        return candidate
    return candidate.model_copy(update={"text": text, "answer": candidate.answer.model_copy(update={"decimals": new})})


def _shown(value: Decimal, places: int) -> int:
    """Significant digits of a value that so many decimals show."""
    return value.adjusted() + 1 + places


def _sizes(node: Node) -> list[Decimal]:
    """The sizes of all numbers that are not 0 and, inside lists and mappings, not whole."""
    if isinstance(node, Number):
        return [abs(node.value)] if node.value.is_finite() and node.value else []
    found: list[Decimal] = []
    for child in children(node):
        if not (isinstance(child, Number) and (child.kind == "int" or child.value == child.value.to_integral_value())):
            found += _sizes(child)
    return found
