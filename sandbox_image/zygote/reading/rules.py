"""The rules a user gives for reading a CSV file, as the LOAD frame carries them; what is not given is found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

COLUMN_TYPES: Final = ("text", "integer", "number", "date", "boolean", "dmy", "mdy")
"""The types a column can be given; dmy and mdy are dates whose order of day and month is told."""


@dataclass(frozen=True)
class Rules:
    """How a file is to be read. None, or an empty collection: found out.

    Attributes:
        encoding: Name of the encoding.
        delimiter: One character between fields; the empty string for a file of one column.
        quote: One character around fields; the empty string where quotation marks mean nothing.
        escape: One character that takes the meaning from the next; the empty string for none.
        decimal: The decimal mark of numbers.
        thousands: The mark between groups of three digits; the empty string for none.
        header_line: Number of the line with the column names, from 1; 0 where there is none.
        skip_lines: Numbers of lines that are left out, from 1.
        footer_lines: How many lines at the end are left out.
        comment: What a line begins with that is left out; the empty string for none.
        missing: Words that mean a missing value, in every column, besides those that always do.
        types: Types of columns by name, each one of `COLUMN_TYPES`.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    header_line: int | None = None
    skip_lines: tuple[int, ...] = ()
    footer_lines: int | None = None
    comment: str | None = None
    missing: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: object) -> Rules:
        """The rules out of a LOAD frame; None stands for none given.

        Raises:
            ValueError: The value is no mapping, or a rule in it is unknown or of the wrong type.
        """
        if value is None:
            return cls()
        if not isinstance(value, Mapping):
            raise ValueError("the reading rules are no mapping")
        unknown = set(value) - {each.name for each in fields(cls)}
        if unknown:
            raise ValueError(f"unknown reading rules: {', '.join(sorted(map(str, unknown)))}")
        given: dict[str, Any] = dict(value)
        for name in ("encoding", "delimiter", "quote", "escape", "decimal", "thousands", "comment"):
            _expect(name, given.get(name), str)
        for name in ("header_line", "footer_lines"):
            _expect(name, given.get(name), int)
        given["skip_lines"] = _items("skip_lines", given.get("skip_lines") or (), int)
        given["missing"] = _items("missing", given.get("missing") or (), str)
        types = given.get("types") or {}
        if not isinstance(types, Mapping) or any(type_ not in COLUMN_TYPES for type_ in types.values()):
            raise ValueError(f"the types of columns are a mapping to {', '.join(COLUMN_TYPES)}")
        given["types"] = dict(types)
        return cls(**given)


NO_RULES: Final = Rules()
"""Everything about the file is found out."""


def _expect(name: str, value: object, kind: type) -> None:
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise ValueError(f"the reading rule {name} is of the wrong type")


def _items(name: str, value: object, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, kind) for each in value):
        raise ValueError(f"the reading rule {name} is a list")
    return tuple(value)
