"""Coercion of tables: records, rows, mappings and row labels are brought into the columns a question asks for."""

from __future__ import annotations

from collections.abc import Callable

from flows.answers.folding import fold
from flows.answers.nodes import Listing, Mapping, Node, Table, Text, canonical, label_text, render_node
from flows.questions.records import AnswerSpec


class TableShaper:
    """Brings values into a table with the columns of one answer spec.

    Args:
        spec: What the question asks for.
        note: Told of each coercion, one phrase.
    """

    def __init__(self, spec: AnswerSpec, note: Callable[[str], None]) -> None:
        self._names = spec.columns
        self._case_sensitive = spec.case_sensitive
        self._note = note

    def shape(self, node: Node) -> Node:
        """The value as a table, its columns in the order asked for; unchanged where no rule brings it there."""
        if isinstance(node, Listing):
            node = self._from_list(node)
        elif isinstance(node, Mapping) and self._names:
            node = self._from_mapping(node)
        return self._aligned(self._with_labels(node)) if isinstance(node, Table) and self._names else node

    def column_problem(self, table: Table) -> str:
        """Why the columns are not the ones asked for, one sentence; empty when they are."""
        if not self._names or self._columns(table) == self._asked:
            return ""
        have = render_node(Listing(table.columns))
        return f"The question asks for the columns {', '.join(self._names)} and the table has {have}."

    @property
    def _asked(self) -> list[str]:
        return [self._fold(name) for name in self._names]

    def _columns(self, table: Table) -> list[str]:
        return [self._name(column) for column in table.columns]

    def _name(self, column: Node) -> str:
        return self._fold(label_text(column) or canonical(column))

    def _fold(self, text: str) -> str:
        return fold(text, case_sensitive=self._case_sensitive)

    def _named(self, rows: tuple[tuple[Node, ...], ...]) -> Table:
        return Table(tuple(map(Text, self._names)), rows)

    # From lists and mappings

    def _from_list(self, listing: Listing) -> Node:
        mappings = [item for item in listing.items if isinstance(item, Mapping)]
        if mappings and len(mappings) == len(listing.items):
            return self._from_records(mappings) or listing
        width = len(self._names)
        rows = tuple(item.items for item in listing.items if isinstance(item, Listing) and len(item.items) == width)
        if not self._names or len(rows) < len(listing.items):
            return listing
        self._note("a list of rows as a table")
        return self._named(rows)

    def _from_records(self, records: list[Mapping]) -> Table | None:
        rows = [dict(record.pairs) for record in records]
        names = tuple(rows[0])
        if any(len(record.pairs) != len(names) for record in records) or any(set(row) != set(names) for row in rows):
            return None
        self._note("a list of records as a table")
        return Table(names, tuple(tuple(row[name] for name in names) for row in rows))

    def _from_mapping(self, mapping: Mapping) -> Node:
        names = [self._name(key) for key, _ in mapping.pairs]
        columns = [value.items for _, value in mapping.pairs if isinstance(value, Listing)]
        if sorted(names) == sorted(self._asked):
            if len(columns) == len(names) and len({len(column) for column in columns}) == 1:
                self._note("a mapping of columns as a table")
                return Table(tuple(key for key, _ in mapping.pairs), tuple(zip(*columns, strict=True)))
            if not columns:
                self._note("a mapping as a table of one row")
                return Table(tuple(key for key, _ in mapping.pairs), (tuple(value for _, value in mapping.pairs),))
        rows = tuple((*_levels(key), value) for key, value in mapping.pairs)
        if columns or any(len(row) != len(self._names) for row in rows):
            return mapping
        self._note("a mapping as a table of keys and values")
        return self._named(rows)

    # Into the columns asked for

    def _with_labels(self, table: Table) -> Table:
        """The row labels as the columns that are missing, or dropped where none is."""
        if table.index is None:
            return table
        if len(table.columns) == len(self._names):
            self._note("a table without its row labels")
            return Table(table.columns, table.rows)
        labels = [_levels(label) for label in table.index]
        have = self._columns(table)
        missing = tuple(Text(name) for name, asked in zip(self._names, self._asked, strict=True) if asked not in have)
        if not missing or any(len(label) != len(missing) for label in labels):
            return table
        self._note("row labels as columns")
        rows = tuple((*label, *row) for label, row in zip(labels, table.rows, strict=True))
        return Table((*missing, *table.columns), rows)

    def _aligned(self, table: Table) -> Table:
        asked, have = self._asked, self._columns(table)
        if have == asked or sorted(have) != sorted(asked) or len(set(asked)) < len(asked):
            return table
        self._note("columns in the order asked for")
        order = [have.index(name) for name in asked]
        columns = tuple(table.columns[place] for place in order)
        return Table(columns, tuple(tuple(row[place] for place in order) for row in table.rows), table.index)


def _levels(label: Node) -> tuple[Node, ...]:
    return label.items if isinstance(label, Listing) else (label,)
