"""Answers as plain JSON: what a question file can hold and `parse_reference` reads back as the same answer."""

from __future__ import annotations

from typing import Any

from flows.answers.answers import Answer, parse_reference
from flows.answers.comparator import compare
from flows.answers.nodes import (
    Collection,
    Day,
    Flag,
    Listing,
    Mapping,
    Missing,
    Moment,
    Node,
    Number,
    Table,
    Text,
    canonical,
    label_text,
    render_node,
)
from flows.questions.records import AnswerSpec


class NotPlain(ValueError):
    """The answer cannot be written as JSON without losing something."""


def as_json(answer: Answer, spec: AnswerSpec) -> Any:
    """The answer as JSON data.

    Args:
        answer: The answer, parsed with `spec`.
        spec: What the question asks for.

    Returns:
        Data that `parse_reference` reads, with the same spec, as an answer that matches this one at least after
        the spelling of its parts (an ISO text for a date, a list for a set, records for a table).

    Raises:
        NotPlain: JSON has no form for it: NaN, a length of time, keys or columns that are no labels or not distinct.
    """
    data = _plain(answer.node)
    found = compare(answer, parse_reference(data, spec), spec, accept="canonical")
    if not found.equal:
        raise NotPlain(f"as JSON it would be another answer: {found.reason}")
    return data


def _plain(node: Node) -> Any:
    if isinstance(node, Missing):
        return None
    if isinstance(node, Flag | Text):
        return node.value
    if isinstance(node, Number):
        return _number(node)
    if isinstance(node, Day | Moment):
        return label_text(node)
    if isinstance(node, Listing):
        return [_plain(item) for item in node.items]
    if isinstance(node, Collection):
        # Sorted by identity, so that the file is the same whichever order the session's hashes gave.
        return [_plain(item) for item in sorted(node.items, key=canonical)]
    if isinstance(node, Mapping):
        return _object(node.pairs)
    if isinstance(node, Table):
        return _records(node)
    raise NotPlain(f"JSON has no form for {render_node(node, 60)}")


def _number(node: Number) -> int | float:
    if not node.value.is_finite():
        raise NotPlain(f"JSON has no form for {render_node(node, 60)}")
    return int(node.value) if node.kind == "int" else float(node.value)


def _object(pairs: tuple[tuple[Node, Node], ...]) -> dict[str, Any]:
    names = [label_text(key) for key, _ in pairs]
    if None in names or len(set(names)) < len(names):
        raise NotPlain("its keys are not distinct labels")
    return {str(name): _plain(value) for name, (_, value) in zip(names, pairs, strict=True)}


def _records(table: Table) -> list[dict[str, Any]]:
    if table.index is not None:
        raise NotPlain("its rows are labelled")
    return [_object(tuple(zip(table.columns, row, strict=True))) for row in table.rows]
