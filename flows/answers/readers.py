"""Reading raw values into typed nodes: tagged values from a session, plain JSON from a question file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingABC
from decimal import Decimal, InvalidOperation
from typing import Any

from flows.answers.moments import parse_date
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
    Opaque,
    Table,
    Text,
    with_article,
)
from flows.answers.numerals import MAX_DIGITS

MAX_DEPTH = 32
"""Levels of nesting an answer may have."""
MAX_NODES = 250_000
"""Values an answer may hold, cells and labels included."""
MAX_TEXT = 1_000_000
"""Characters a string in an answer may have."""


class Unreadable(Exception):
    """A raw value that is no answer: malformed, too deep, too large."""


class _Reader:
    """Counts what it reads, so that a hostile value ends in `Unreadable` and never in exhausted memory or stack."""

    def __init__(self) -> None:
        self.left = MAX_NODES

    def enter(self, depth: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise Unreadable(f"more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")


class _TaggedReader(_Reader):
    def read(self, raw: Any, depth: int = 0) -> Node:
        self.enter(depth)
        if not isinstance(raw, dict):
            raise Unreadable("not a tagged value")
        tag = raw.get("t")
        reader = _SCALARS.get(tag) if isinstance(tag, str) else None
        if reader is not None:
            return reader(raw.get("v"))
        return self._compound(str(tag), raw, depth + 1)

    def _compound(self, tag: str, raw: dict[str, Any], depth: int) -> Node:
        if tag == "list":
            return Listing(self._all(raw.get("v"), depth))
        if tag == "set":
            return Collection(self._all(raw.get("v"), depth))
        if tag == "map":
            pairs = [_sequence(pair, 2) for pair in _sequence(raw.get("v"))]
            return Mapping(tuple((self.read(key, depth), self.read(value, depth)) for key, value in pairs))
        if tag == "table":
            return self._table(raw, depth)
        if tag == "other":
            return Opaque(str(raw.get("v"))[:2000], str(raw.get("type"))[:200])
        raise Unreadable(f"unknown tag {tag[:40]!r}")

    def _table(self, raw: dict[str, Any], depth: int) -> Table:
        columns = self._all(raw.get("columns"), depth)
        rows = tuple(self._all(_sequence(row, len(columns)), depth) for row in _sequence(raw.get("rows")))
        if raw.get("index") is None:
            return Table(columns, rows)
        return Table(columns, rows, self._all(_sequence(raw["index"], len(rows)), depth))

    def _all(self, raw: Any, depth: int) -> tuple[Node, ...]:
        return tuple(self.read(item, depth) for item in _sequence(raw))


class _JsonReader(_Reader):
    def read(self, raw: Any, depth: int = 0) -> Node:
        self.enter(depth)
        if raw is None:
            return Missing()
        if isinstance(raw, bool):
            return Flag(raw)
        if isinstance(raw, int):
            return _int(raw)
        if isinstance(raw, float):
            return _float(raw)
        if isinstance(raw, str):
            return _text(raw)
        if isinstance(raw, MappingABC):
            return Mapping(tuple((self.read(str(k), depth + 1), self.read(v, depth + 1)) for k, v in raw.items()))
        if isinstance(raw, JsonPairs):
            return Mapping(tuple((self.read(k, depth + 1), self.read(v, depth + 1)) for k, v in raw.pairs))
        if isinstance(raw, Sequence):
            return Listing(tuple(self.read(item, depth + 1) for item in raw))
        raise Unreadable(f"{with_article(type(raw).__name__)} is no JSON value")


class JsonPairs:
    """A JSON object with every pair kept, equal keys too: the `object_pairs_hook` of `json.loads`."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def read_tagged(raw: Any) -> Node:
    """The typed value a session sent, see `sandbox_image.zygote.values`.

    What comes out of a session is not trusted: a malformed, too large or too deep value gives an `Opaque`, which equals
    nothing.
    """
    return _guarded(_TaggedReader().read, raw)


def read_json(raw: Any) -> Node:
    """The typed value plain JSON states; `Opaque` where it is too large or too deep."""
    return _guarded(_JsonReader().read, raw)


def _guarded(read: Callable[[Any], Node], raw: Any) -> Node:
    try:
        return read(raw)
    except Unreadable as error:
        return Opaque(str(error), "unreadable")


def _sequence(raw: Any, length: int | None = None) -> Sequence[Any]:
    if not isinstance(raw, list | tuple):
        raise Unreadable("a list was expected")
    if length is not None and len(raw) != length:
        raise Unreadable(f"{length} elements were expected")
    return raw


def _bool(raw: Any) -> Node:
    if not isinstance(raw, bool):
        raise Unreadable("a bool was expected")
    return Flag(raw)


def _int(raw: Any) -> Node:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise Unreadable("an integer was expected")
    return Number(_decimal(raw, whole=True), "int")


def _float(raw: Any) -> Node:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise Unreadable("a float was expected")
    return Number(_decimal(repr(raw) if isinstance(raw, float) else raw))


def _decimal(raw: int | str, *, whole: bool = False) -> Decimal:
    # Python itself refuses to print an integer much longer than this.
    if raw.bit_length() > 3 * MAX_DIGITS if isinstance(raw, int) else len(raw) > MAX_DIGITS:
        raise Unreadable(f"a number of more than {MAX_DIGITS} digits")
    text = str(raw)
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Unreadable(f"not a number: {text[:40]!r}") from None
    if value.is_nan() and not whole:
        return Decimal("NaN")
    if whole and (not value.is_finite() or "e" in text.casefold() or "." in text):
        raise Unreadable(f"not an integer: {text[:40]!r}")
    if value.is_finite() and value and abs(value.adjusted()) > MAX_DIGITS:
        raise Unreadable("a number out of all bounds")
    return value


def _text(raw: Any) -> Node:
    if not isinstance(raw, str):
        raise Unreadable("a string was expected")
    if len(raw) > MAX_TEXT:
        raise Unreadable(f"a string of more than {MAX_TEXT} characters")
    return Text(raw)


def _date(raw: Any) -> Node:
    found = parse_date(raw) if isinstance(raw, str) else None
    if not isinstance(found, Day):
        raise Unreadable("an ISO date was expected")
    return found


def _datetime(raw: Any) -> Node:
    found = parse_date(raw) if isinstance(raw, str) else None
    if found is None:
        raise Unreadable("an ISO date and time was expected")
    if isinstance(found, Moment):
        return found
    raise Unreadable("a time of day was expected")


def _duration(raw: Any) -> Node:
    number = _float(raw)
    if not isinstance(number, Number) or not number.value.is_finite():
        raise Unreadable("a finite number of seconds was expected")
    return Duration(number.value)


def _missing(raw: Any) -> Node:
    if raw is not None:
        raise Unreadable("none has no value")
    return Missing()


_SCALARS: dict[str, Callable[[Any], Node]] = {
    "none": _missing,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "decimal": lambda raw: _float(raw if isinstance(raw, str) else None),
    "str": _text,
    "date": _date,
    "datetime": _datetime,
    "timedelta": _duration,
}
