"""The typed values an answer is made of, their exact canonical form, and a short text for people."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Literal

Kind = Literal[
    "none", "bool", "int", "float", "string", "date", "datetime", "duration", "list", "set", "mapping", "table", "other"
]

WIDE = Context(prec=9000, Emax=999_999, Emin=-999_999)
"""Decimal arithmetic that never rounds a number an answer may hold."""


@dataclass(frozen=True, slots=True)
class Missing:
    """No value: None, NA or NaT."""

    kind: Kind = "none"


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""

    value: bool
    kind: Kind = "bool"


@dataclass(frozen=True, slots=True)
class Number:
    """A number, exactly as it was printed; `kind` is int or float. NaN and the infinities are floats."""

    value: Decimal
    kind: Kind = "float"


@dataclass(frozen=True, slots=True)
class Text:
    """A string, as written."""

    value: str
    kind: Kind = "string"


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day."""

    value: date
    kind: Kind = "date"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time: `local` to the second on its own clock, nanoseconds, and seconds east of UTC if known."""

    local: datetime
    nanos: int = 0
    offset_s: int | None = None
    kind: Kind = "datetime"

    @property
    def at_midnight(self) -> bool:
        """Whether the moment's own clock shows the start of a day."""
        return self.nanos == 0 and (self.local.hour, self.local.minute, self.local.second) == (0, 0, 0)

    @property
    def instant(self) -> str:
        """A text equal for equal moments: UTC time where the offset is known, else the local time."""
        if self.offset_s is None:
            return f"{self.local.isoformat()}.{self.nanos:09d}"
        # Counted from a fixed day: the first and the last hours of the calendar have no UTC datetime.
        seconds = (self.local.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1) - self.offset_s
        return f"utc {seconds}.{self.nanos:09d}"


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in seconds."""

    value: Decimal
    kind: Kind = "duration"


@dataclass(frozen=True, slots=True)
class Listing:
    """A sequence whose order counts."""

    items: tuple[Node, ...]
    kind: Kind = "list"


@dataclass(frozen=True, slots=True)
class Collection:
    """A set: no order, and exact duplicates count once."""

    items: tuple[Node, ...]
    kind: Kind = "set"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Pairs of key and value, all of them kept even where keys are equal."""

    pairs: tuple[tuple[Node, Node], ...]
    kind: Kind = "mapping"


@dataclass(frozen=True, slots=True)
class Table:
    """Column names, rows of cells, and row labels unless they are the plain 0, 1, 2, …."""

    columns: tuple[Node, ...]
    rows: tuple[tuple[Node, ...], ...]
    index: tuple[Node, ...] | None = None
    kind: Kind = "table"


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something that has no comparable value: an object, or a value too large or malformed to be read."""

    text: str
    type: str = ""
    kind: Kind = "other"


Node = Missing | Flag | Number | Text | Day | Moment | Duration | Listing | Collection | Mapping | Table | Opaque

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number_text(value: Decimal) -> str:
    """The shortest text of a number's value: 1.50 and 1.5 have the same."""
    if not value.is_finite():
        return "nan" if value.is_nan() else "inf" if value > 0 else "-inf"
    plain = WIDE.normalize(value)
    return "0" if plain == 0 else f"{plain:f}" if -7 <= plain.adjusted() <= 20 else str(plain)


def label_text(node: Node) -> str | None:
    """A scalar as the text it is printed as, a midnight as its day; None for what is no scalar."""
    if isinstance(node, Text):
        return node.value
    if isinstance(node, Number):
        return number_text(node.value)
    if isinstance(node, Flag):
        return "true" if node.value else "false"
    if isinstance(node, Day):
        return node.value.isoformat()
    if isinstance(node, Moment):
        return node.local.date().isoformat() if node.at_midnight else _render_moment(node)
    return None


def canonical(node: Node) -> str:
    """The exact identity of a value as JSON text: equal for equal values of the same kind, different otherwise."""
    return _dump(_form(node))


def is_comparable(node: Node) -> bool:
    """Whether everything in the value can be compared."""
    return not isinstance(node, Opaque) and all(map(is_comparable, children(node)))


def children(node: Node) -> tuple[Node, ...]:
    """The values directly inside a value: elements, keys and values, cells and labels."""
    if isinstance(node, Listing | Collection):
        return node.items
    if isinstance(node, Mapping):
        return tuple(part for pair in node.pairs for part in pair)
    if isinstance(node, Table):
        return node.columns + (node.index or ()) + tuple(cell for row in node.rows for cell in row)
    return ()


def with_article(kind: str) -> str:
    """A kind of value as it stands in a sentence."""
    if kind == "none":
        return "no value"
    return f"{'an' if kind[0] in 'aio' else 'a'} {kind}"


def is_nan(node: Node) -> bool:
    """Whether the value is the float NaN."""
    return isinstance(node, Number) and node.value.is_nan()


def unsound(node: Node) -> str:
    """What a value holds that is no result: "infinity", "NaN", or nothing. In a table NaN is a missing value."""
    found = _unsound(node)
    return "infinity" if "infinity" in found else "NaN" if found else ""


def _unsound(node: Node) -> set[str]:
    if isinstance(node, Number | Duration) and not node.value.is_finite():
        return {"NaN" if node.value.is_nan() else "infinity"}
    found = {each for child in children(node) for each in _unsound(child)}
    return found - {"NaN"} if isinstance(node, Table) else found


def holds_gap(node: Node) -> bool:
    """Whether a value is missing somewhere inside a list, a set or a mapping."""
    return any(isinstance(child, Missing) or holds_gap(child) for child in children(node))


def _dump(form: Any) -> str:
    return json.dumps(form, ensure_ascii=True, separators=(",", ":"))


def _form(node: Node) -> list[Any]:
    if isinstance(node, Number):
        return [node.kind, number_text(node.value)]
    if isinstance(node, Duration):
        return [node.kind, number_text(node.value)]
    if isinstance(node, Moment):
        return [node.kind, node.instant]
    if isinstance(node, Day):
        return [node.kind, node.value.isoformat()]
    if isinstance(node, Flag | Text):
        return [node.kind, node.value]
    if isinstance(node, Opaque):
        return [node.kind, node.type, node.text]
    return [node.kind, *_compound_form(node)]


def _compound_form(node: Missing | Listing | Collection | Mapping | Table) -> list[Any]:
    if isinstance(node, Listing):
        return [_form(item) for item in node.items]
    if isinstance(node, Collection):
        return sorted({_dump(_form(item)) for item in node.items})
    if isinstance(node, Mapping):
        return sorted(([_form(key), _form(value)] for key, value in node.pairs), key=_dump)
    if isinstance(node, Table):
        index = None if node.index is None else [_form(label) for label in node.index]
        return [[_form(name) for name in node.columns], index, [[_form(cell) for cell in row] for row in node.rows]]
    return []


def render_node(node: Node, limit: int = 120) -> str:
    """A value as one line of text for people, at most `limit` characters; a cut is marked with an ellipsis.

    Always text that can be written down: a lone surrogate, which no encoding has, is shown by its number.
    """
    text = _render(node, limit).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= limit else text[: max(0, limit - 1)] + "…"


def _render(node: Node, room: int) -> str:
    if isinstance(node, Number | Duration):
        return number_text(node.value) + (" s" if isinstance(node, Duration) else "")
    if isinstance(node, Text):
        return json.dumps(node.value[: room + 1], ensure_ascii=False)
    if isinstance(node, Day):
        return node.value.isoformat()
    if isinstance(node, Moment):
        return _render_moment(node)
    if isinstance(node, Flag):
        return "true" if node.value else "false"
    if isinstance(node, Opaque):
        return " ".join(f"<{node.type or 'value'}: {node.text[:room]}>".split())
    return _render_compound(node, room)


def _render_moment(node: Moment) -> str:
    text = node.local.isoformat(sep=" ")
    if node.nanos:
        text += f".{node.nanos:09d}".rstrip("0")
    if node.offset_s is None:
        return text
    minutes = abs(node.offset_s) // 60
    return f"{text}{'-' if node.offset_s < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _render_compound(node: Missing | Listing | Collection | Mapping | Table, room: int) -> str:
    if isinstance(node, Listing):
        return f"[{_join(node.items, room)}]"
    if isinstance(node, Collection):
        return "{" + _join(tuple(sorted(node.items, key=canonical)), room) + "}"
    if isinstance(node, Mapping):
        texts, used = [], 0
        for key, value in node.pairs:
            texts.append(f"{_render(key, room)}: {_render(value, room)}")
            used += len(texts[-1]) + 2
            if used > room:
                break
        return "{" + ", ".join(texts) + "}"
    if isinstance(node, Table):
        size = f"{len(node.rows)} × {len(node.columns)} table"
        first = f", first row {_render(Listing(node.rows[0]), room)}" if node.rows else ""
        return f"{size} [{_join(node.columns, room)}]{first}"
    return "none"


def _join(items: tuple[Node, ...], room: int) -> str:
    texts: list[str] = []
    used = 0
    for item in items:
        texts.append(_render(item, room))
        used += len(texts[-1]) + 2
        if used > room:
            break
    return ", ".join(texts)
