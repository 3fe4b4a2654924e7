"""Checks that a tagged value from a session has the shape the contract gives it. The bytes are untrusted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 64
_DIGITS = re.compile(r"-?[0-9]+")
_FLOAT_WORDS = frozenset({"nan", "inf", "-inf"})

Children = list[Any]


def check_tagged(value: object) -> dict[str, Any]:
    """Return the value as it came when it is well formed.

    Args:
        value: Parsed JSON.

    Raises:
        ValueError: An unknown tag, a missing or surplus key, a payload of the wrong type, or nesting over `MAX_DEPTH`.
    """
    level: Children = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            break
        level = [child for item in level for child in _check_one(item)]
    if level:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    assert isinstance(value, dict)
    return value


def _check_one(item: object) -> Children:
    """Check one node, return the tagged values directly inside it."""
    if not isinstance(item, dict) or not isinstance(tag := item.get("t"), str):
        raise ValueError("not a tagged value")
    check = _CHECKS.get(tag)
    if check is None:
        raise ValueError("unknown tag")
    return check(item)


def _keys(item: dict[str, Any], *names: str) -> None:
    if item.keys() != {"t", *names}:
        raise ValueError("missing or surplus key")


def _require(true: bool) -> None:
    if not true:
        raise ValueError("payload of the wrong type")


def _is_list(value: object) -> Children:
    if not isinstance(value, list):
        raise ValueError("payload of the wrong type")
    return value


def _none(item: dict[str, Any]) -> Children:
    _keys(item)
    return []


def _bool(item: dict[str, Any]) -> Children:
    _keys(item, "v")
    _require(isinstance(item["v"], bool))
    return []


def _int(item: dict[str, Any]) -> Children:
    _keys(item, "v")
    value = item["v"]
    _require(type(value) is int or (isinstance(value, str) and _DIGITS.fullmatch(value) is not None))
    return []


def _float(item: dict[str, Any]) -> Children:
    _keys(item, "v")
    value = item["v"]
    _require(type(value) in (int, float) or (isinstance(value, str) and value in _FLOAT_WORDS))
    return []


def _text(item: dict[str, Any]) -> Children:
    _keys(item, "v")
    _require(isinstance(item["v"], str))
    return []


def _seconds(item: dict[str, Any]) -> Children:
    _keys(item, "v")
    _require(type(item["v"]) in (int, float))
    return []


def _members(item: dict[str, Any]) -> Children:
    _keys(item, "v")
    return _is_list(item["v"])


def _map(item: dict[str, Any]) -> Children:
    _keys(item, "v")
    pairs = [_is_list(pair) for pair in _is_list(item["v"])]
    _require(all(len(pair) == 2 for pair in pairs))
    return [part for pair in pairs for part in pair]


def _table(item: dict[str, Any]) -> Children:
    _keys(item, "columns", "index", "rows")
    columns, rows = _is_list(item["columns"]), [_is_list(row) for row in _is_list(item["rows"])]
    index = [] if item["index"] is None else _is_list(item["index"])
    _require(all(len(row) == len(columns) for row in rows))
    _require(item["index"] is None or len(index) == len(rows))
    return [*columns, *index, *(cell for row in rows for cell in row)]


def _other(item: dict[str, Any]) -> Children:
    _keys(item, "v", "type")
    _require(isinstance(item["v"], str) and isinstance(item["type"], str))
    return []


_CHECKS: dict[str, Callable[[dict[str, Any]], Children]] = {
    "none": _none,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "str": _text,
    "date": _text,
    "datetime": _text,
    "timedelta": _seconds,
    "decimal": _text,
    "list": _members,
    "set": _members,
    "map": _map,
    "table": _table,
    "other": _other,
}
