"""Coercion: a typed value is brought into the type its question asks for, by documented rules only."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal

from flows.answers.folding import fold
from flows.answers.moments import parse_date
from flows.answers.nodes import (
    WIDE,
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
    canonical,
    is_nan,
    label_text,
    with_article,
)
from flows.answers.numerals import parse_number, seconds_of
from flows.answers.readers import JsonPairs, read_json
from flows.answers.signatures import key_text
from flows.answers.tabular import TableShaper
from flows.questions.records import AnswerSpec, AnswerType

_BOOLS = {"true": True, "yes": True, "false": False, "no": False}
_SCALAR_TYPES = frozenset({"bool", "int", "float", "percent", "date", "string"})
_MAX_JSON_TEXT = 1_000_000


class Shaper:
    """Brings values into the type of one answer spec and keeps note of every coercion.

    Args:
        spec: What the question asks for.
        coercions: Where notes go; a list of its own by default.
    """

    def __init__(self, spec: AnswerSpec, coercions: list[str] | None = None) -> None:
        self.spec = spec
        self.coercions = [] if coercions is None else coercions
        self._by_key = {
            key_text(Text(key), case_sensitive=spec.case_sensitive): Shaper(
                AnswerSpec(type=own.type, unit=own.unit, case_sensitive=spec.case_sensitive), self.coercions
            )
            for key, own in spec.by_key.items()
        }
        self._tables = TableShaper(spec, self._note)
        self._shapes: dict[AnswerType, Callable[[Node], Node]] = {
            "bool": self._bool,
            "int": self._int,
            "float": self._number,
            "percent": self._number,
            "date": self._date,
            "string": self._string,
            "list": self._list,
            "set": self._set,
            "mapping": self._mapping,
            "table": self._table,
        }

    def shape(self, node: Node) -> Node:
        """The value in the type of the spec, or unchanged where no rule brings it there."""
        return self._as(node, self.spec.type)

    def _as(self, node: Node, kind: AnswerType) -> Node:
        if kind in _SCALAR_TYPES:
            node = self._unwrapped(node)
        shape = self._shapes.get(kind)
        return node if shape is None else shape(node)

    def column_problem(self, table: Table) -> str:
        """Why a table's columns are not the ones asked for, one sentence; empty when they are."""
        return self._tables.column_problem(table)

    def _note(self, phrase: str) -> None:
        self.coercions.append(phrase)

    def _unwrapped(self, node: Node) -> Node:
        node = self._unlabelled(node)
        while True:
            if isinstance(node, Table) and len(node.rows) == 1 and len(node.columns) == 1:
                self._note("a table of one cell as its value")
                node = node.rows[0][0]
            elif isinstance(node, Listing) and len(node.items) == 1:
                self._note("a list of one element as its element")
                node = node.items[0]
            else:
                return node

    def _unlabelled(self, node: Node) -> Node:
        """The values of a Series that still has the row numbers a filter or a sort left it with.

        Sent as pairs, it cannot be told from counts by year: so int values, which could be such counts, stay pairs.
        """
        if not isinstance(node, Mapping) or not node.pairs or self.spec.type == "int":
            return node
        if any(key.kind != "int" or value.kind == "int" for key, value in node.pairs):
            return node
        self._note("a series without its row numbers")
        return Listing(tuple(value for _, value in node.pairs))

    # Scalars

    def _bool(self, node: Node) -> Node:
        if isinstance(node, Text) and (value := _BOOLS.get(fold(node.value))) is not None:
            self._note("text as a bool")
            return Flag(value)
        return node

    def _number(self, node: Node) -> Node:
        unit = self._unit()
        if isinstance(node, Text) and (value := parse_number(node.value, unit)) is not None:
            self._note("text as a number")
            return Number(value, "int" if _is_whole(value) and not set(node.value) & set(".eE%") else "float")
        if isinstance(node, Duration) and (seconds := seconds_of(unit)) is not None:
            self._note(f"a duration in {unit}")
            return Number(Decimal(repr(float(node.value / seconds))))
        return node

    def _unit(self) -> str | None:
        # A percent question without a unit counts in per cent: 5 means 5 %.
        return self.spec.unit or ("%" if "percent" in (self.spec.type, self.spec.items) else None)

    def _int(self, node: Node) -> Node:
        number = self._number(node)
        if isinstance(number, Number) and number.kind == "float" and _is_whole(number.value):
            self._note("a whole float as an int")
            return Number(WIDE.to_integral_exact(number.value), "int")
        return number

    def _date(self, node: Node) -> Node:
        if isinstance(node, Text) and (found := parse_date(node.value)) is not None:
            self._note("text as a date")
            node = found
        if isinstance(node, Moment) and node.at_midnight:
            self._note("midnight as its day")
            return Day(node.local.date())
        return self._no_nan(node)

    def _string(self, node: Node) -> Node:
        node = self._no_nan(node)
        text = None if isinstance(node, Text) else label_text(node)
        if text is None:
            return node
        self._note(f"{with_article(node.kind)} as text")
        return Text(text)

    def _no_nan(self, node: Node) -> Node:
        # Where no number is asked for, NaN is only how pandas writes a missing value.
        return Missing() if is_nan(node) else node

    # Compounds

    def _items(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        kind = self.spec.items
        return nodes if kind is None else tuple(self._as(node, kind) for node in nodes)

    def _list(self, node: Node) -> Node:
        node = self._unlabelled(self._parsed(node))
        if isinstance(node, Table) and len(node.columns) == 1:
            self._note("a table of one column as a list")
            node = Listing(tuple(row[0] for row in node.rows))
        return Listing(self._items(node.items)) if isinstance(node, Listing) else node

    def _set(self, node: Node) -> Node:
        if isinstance(node, Collection):
            return _collection(self._items(node.items))
        listing = self._list(node)
        if isinstance(listing, Listing):
            self._note("a list as a set")
            return _collection(listing.items)
        return listing

    def _mapping(self, node: Node) -> Node:
        node = self._parsed(node)
        if isinstance(node, Table):
            node = self._table_as_mapping(node)
        if isinstance(node, Mapping):
            return Mapping(tuple((key, self._value(key, value)) for key, value in node.pairs))
        return node

    def _value(self, key: Node, value: Node) -> Node:
        """A mapping's value in the type that is asked for under its key, else in that of all its values."""
        own = self._own(key)
        return own.shape(value) if own is not None else self._items((value,))[0]

    def _own(self, key: Node) -> Shaper | None:
        return self._by_key.get(key_text(key, case_sensitive=self.spec.case_sensitive)) if self._by_key else None

    def _table_as_mapping(self, table: Table) -> Node:
        if len(table.columns) == 2:
            pairs = tuple((row[0], row[1]) for row in table.rows)
        elif len(table.columns) == 1 and table.index is not None:
            pairs = tuple((label, row[0]) for label, row in zip(table.index, table.rows, strict=True))
        else:
            return table
        # Equal keys would collapse, and rows with them: such a table stays a table.
        if len({canonical(key) for key, _ in pairs}) < len(pairs):
            return table
        self._note("a table of keys and values as a mapping")
        return Mapping(pairs)

    def _table(self, node: Node) -> Node:
        table = self._tables.shape(node)
        if not isinstance(table, Table) or not self._by_key:
            return table
        columns = list(map(self._own, table.columns))
        return Table(table.columns, tuple(_shaped_row(row, columns) for row in table.rows), table.index)

    def _parsed(self, node: Node) -> Node:
        if not isinstance(node, Text) or not node.value.strip().startswith(("[", "{")):
            return node
        if len(node.value) > _MAX_JSON_TEXT:
            return node
        try:
            raw = json.loads(node.value, object_pairs_hook=JsonPairs)
        except (ValueError, RecursionError):
            # Not JSON after all, or nested beyond reason: it stays the text it is.
            return node
        found = read_json(raw)
        if isinstance(found, Opaque):
            return node
        self._note("JSON text as its value")
        return found


def _shaped_row(row: tuple[Node, ...], columns: Sequence[Shaper | None]) -> tuple[Node, ...]:
    # A missing value is one in a column of any type.
    return tuple(
        cell if own is None or isinstance(cell, Missing) else own.shape(cell)
        for cell, own in zip(row, columns, strict=True)
    )


def _collection(nodes: tuple[Node, ...]) -> Collection:
    return Collection(tuple({canonical(node): node for node in nodes}.values()))


def _is_whole(value: Decimal) -> bool:
    return value.is_finite() and value == WIDE.to_integral_value(value)
