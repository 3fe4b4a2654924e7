"""Signatures: a coarse key that two values share whenever they could match, and an order for what it leaves open."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flows.answers.folding import fold_label
from flows.answers.nodes import (
    Collection,
    Day,
    Duration,
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
    children,
    number_text,
)
from flows.answers.tiers import floor
from flows.questions.records import ValueSpec

_NUMBERLIKE = "#"


def signature(node: Node, *, case_sensitive: bool) -> str:
    """A key equal for any two values that match at any tier; numbers are left out of it, as they have some room."""
    return json.dumps(_signature(node, case_sensitive), separators=(",", ":"))


def key_text(node: Node, *, case_sensitive: bool) -> str:
    """A mapping's key as canonical text: 1, 1.0, "1" and "1.0" are one key; so are a day and its midnight."""
    if isinstance(node, Text):
        return fold_label(node.value, case_sensitive=case_sensitive)
    if isinstance(node, Number):
        return number_text(node.value)
    if isinstance(node, Flag):
        return fold_label(str(node.value), case_sensitive=case_sensitive)
    if isinstance(node, Day | Moment):
        return moment_text(node)
    if isinstance(node, Listing):
        return json.dumps([key_text(item, case_sensitive=case_sensitive) for item in node.items])
    return canonical(node)


def moment_text(node: Day | Moment) -> str:
    """A text equal for equal points in time; a day equals the midnight that starts it on a clock without an offset."""
    if isinstance(node, Day):
        return node.value.isoformat()
    if node.offset_s is None and node.at_midnight:
        return node.local.date().isoformat()
    return node.instant


def order(node: Node, parts: Sequence[ValueSpec], *, case_sensitive: bool) -> tuple[Any, ...]:
    """A sort key that puts values next to each other which are likely to match.

    Args:
        node: The value.
        parts: What is asked of it; of a row, what is asked of each of its columns.
        case_sensitive: Whether case counts.
    """
    pieces = node.items if isinstance(node, Listing) and len(node.items) == len(parts) > 1 else (node,)
    return (
        signature(node, case_sensitive=case_sensitive),
        [
            _rounded(number, part)
            for piece, part in zip(pieces, parts, strict=False)
            for number in _numbers(piece, case_sensitive)
        ],
        canonical(node),
    )


def _signature(node: Node, case_sensitive: bool) -> Any:
    if isinstance(node, Number | Missing):
        # NaN and a missing value match inside a compound, so both go with the numbers.
        return _NUMBERLIKE
    if isinstance(node, Text):
        return ["t", fold_label(node.value, case_sensitive=case_sensitive)]
    if isinstance(node, Flag):
        return node.value
    if isinstance(node, Day | Moment):
        return ["d", moment_text(node)]
    if isinstance(node, Duration):
        return "u"
    return _compound_signature(node, case_sensitive)


def _compound_signature(node: Node, case_sensitive: bool) -> Any:
    if isinstance(node, Listing):
        return ["l", *(_signature(item, case_sensitive) for item in node.items)]
    if isinstance(node, Collection):
        return ["s", *sorted(signature(item, case_sensitive=case_sensitive) for item in node.items)]
    if isinstance(node, Mapping):
        pairs = ((key_text(k, case_sensitive=case_sensitive), _signature(v, case_sensitive)) for k, v in node.pairs)
        return ["m", *sorted(json.dumps(pair) for pair in pairs)]
    if isinstance(node, Table):
        return ["T", len(node.rows), len(node.columns)]
    return "other"


def _numbers(node: Node, case_sensitive: bool) -> list[float]:
    if isinstance(node, Number | Duration):
        return [float("-inf") if node.value.is_nan() else float(node.value)]
    if isinstance(node, Missing):
        return [float("-inf")]
    if isinstance(node, Mapping):
        ordered = sorted(node.pairs, key=lambda pair: key_text(pair[0], case_sensitive=case_sensitive))
        return [number for _, value in ordered for number in _numbers(value, case_sensitive)]
    found = [_numbers(child, case_sensitive) for child in children(node)]
    if isinstance(node, Collection):
        found.sort()
    return [number for numbers in found for number in numbers]


def _rounded(value: float, part: ValueSpec) -> float:
    # Noise in the last digits, and around 0, must not decide the order.
    if part.scale is not None and abs(value) <= floor(part.scale):
        return 0.0
    return float(f"{value:.9g}") if part.decimals is None else float(f"{round(value, part.decimals):.14g}")
