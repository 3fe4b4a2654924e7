"""JSON in an answer: found, and made into columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

DEPTH = 5
ITEMS = 10
"""Of a list that get a column each."""
SCANNED = 200
"""Places of an answer at which JSON may begin that are tried."""
_FENCE = re.compile(r"```[A-Za-z0-9_+-]*[ \t]*\r?\n(.*?)```", re.DOTALL)
_START = re.compile(r"[{\[]")
_NONE = type(None)
_NO_WORD = re.compile(r"\W+|_{2,}")


def answer_fields(text: str) -> dict[str, Any]:
    """The fields of the JSON in an answer, each with a column's name; none where there is no JSON.

    Looked for in code fences, then in the whole answer, then anywhere in it. A list counts as the field `items`.
    """
    found = _find(text)
    return {} if found is None else dict(_fields(found, "", 0))


def _find(text: str) -> dict[str, Any] | None:
    for candidate in (*(match[1] for match in _FENCE.finditer(text)), text):
        value = _parsed(candidate)
        if value is not None:
            return value
    decoder = json.JSONDecoder()
    for number, match in enumerate(_START.finditer(text)):
        if number == SCANNED:
            break
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if value:
            return _as_object(value)
    return None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return _as_object(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _as_object(value: Any) -> dict[str, Any] | None:
    if isinstance(value, list):
        return {"items": value}
    return value if isinstance(value, dict) else None


def _fields(value: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        yield from _field(f"{prefix}_{_name(key)}" if prefix else _name(key), inner, depth)


def _field(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and depth < DEPTH:
        yield from _fields(value, name, depth + 1)
    elif isinstance(value, list) and value and depth < DEPTH:
        for at, item in enumerate(value[:ITEMS]):
            yield from _field(f"{name}_{at}", item, depth + 1)
    elif isinstance(value, dict | list):
        yield name, json.dumps(value, ensure_ascii=False)
    else:
        yield name, value


def _name(key: str) -> str:
    name = _NO_WORD.sub("_", key).strip("_") or "field"
    return f"_{name}" if name[0].isdigit() else name


class Schema:
    """The columns that JSON answers come to, collected over all rows before any is written.

    Args:
        taken: Columns that the output has anyway; a field of that name gets `json_` before it.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = frozenset(taken)
        self.types: dict[str, type] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """In the order in which they first came."""
        return tuple(self.types)

    def fields(self, text: str) -> dict[str, Any]:
        """The fields of an answer under the names of their columns."""
        return {self._column(name): value for name, value in answer_fields(text).items()}

    def learn(self, text: str) -> None:
        """Take the fields of an answer in."""
        for column, value in self.fields(text).items():
            self.types[column] = _wider(self.types.get(column, _NONE), _kind(value))

    def _column(self, name: str) -> str:
        while name in self._taken:
            name = f"json_{name}"
        return name


def _kind(value: Any) -> type:
    return type(value) if isinstance(value, bool | int | float) or value is None else str


def _wider(first: type, second: type) -> type:
    """The type that holds both."""
    kinds = {first, second} - {_NONE}
    if len(kinds) < 2:
        return kinds.pop() if kinds else _NONE
    return float if kinds == {int, float} else str
