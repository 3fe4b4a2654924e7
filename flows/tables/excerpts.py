"""Excerpts: a few rows of a table, chosen by their content, so that a table with the same rows chooses the same.

Two tables of which one lacks rows and columns of the other have no row in common as a whole. Here the columns are
matched by what stands in them, and rows are compared over the matched columns alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from blocks.frozen import Frozen

MOST_COLUMNS, MOST_EXCERPTS, LONGEST_EXCERPT = 64, 4, 64
NEARLY_ALL = 0.9
"""Share of the smaller table's rows, and of the narrower one's columns, that must be found in the other."""
FEWEST_ROWS = 12
"""Rows of the smaller table a comparison must rest on."""
MOSTLY_DISTINCT = 0.5
"""Share of distinct rows below which equal rows say little."""
_DIGITS = 6

_Row = tuple[int, ...]


class Excerpt(Frozen):
    """The rows whose values in one column, the anchor, have the smallest hashes.

    Attributes:
        anchor: Which of the columns.
        limit: Largest hash: of the rows with a smaller one none is left out.
        keys: The anchor's hash in each row.
        cells: The rows, each cell a hash of six hexadecimal digits.
    """

    anchor: Annotated[int, Field(ge=0, lt=MOST_COLUMNS)]
    limit: Annotated[int, Field(ge=0, lt=2**64)]
    keys: Annotated[tuple[int, ...], Field(min_length=1, max_length=LONGEST_EXCERPT)]
    cells: Annotated[str, Field(pattern=r"^[0-9a-f]+$", max_length=LONGEST_EXCERPT * MOST_COLUMNS * _DIGITS)]

    @model_validator(mode="after")
    def _rows_are_whole(self) -> Self:
        if len(self.cells) % (len(self.keys) * _DIGITS) or self.anchor >= self.width:
            raise ValueError("an excerpt's rows are not of one width")
        return self

    @property
    def width(self) -> int:
        """How many columns there are cells of."""
        return len(self.cells) // (len(self.keys) * _DIGITS)

    @cached_property
    def rows(self) -> tuple[_Row, ...]:
        """The cells, row by row."""
        cells = [int(self.cells[at : at + _DIGITS], 16) for at in range(0, len(self.cells), _DIGITS)]
        return tuple(tuple(cells[at : at + self.width]) for at in range(0, len(cells), self.width))

    def up_to(self, limit: int) -> list[_Row]:
        """The rows whose anchor has a hash up to there."""
        return [row for key, row in zip(self.keys, self.rows, strict=True) if key <= limit]


class Described(NamedTuple):
    """A table, as far as it is compared here.

    Attributes:
        rows: How many it has.
        columns: How many columns tell something: those without one value nearly everywhere.
        excerpts: Its excerpts.
    """

    rows: int
    columns: int
    excerpts: Sequence[Excerpt]


class Overlap(NamedTuple):
    """What one table has of another.

    Attributes:
        rows: Estimated share of the smaller table's rows that are in the larger, over the columns both have.
        columns: How many columns both have.
    """

    rows: float
    columns: int


def common_part(one: Described, other: Described) -> float:
    """Of two tables of which one lies in the other, nearly: the share of the larger one's cells that both have; else 0.

    Nearly: nine tenths of the smaller one's rows are in the other, and nine tenths of the narrower one's columns.
    """
    best = 0.0
    narrower, smaller = min(one.columns, other.columns), min(one.rows, other.rows)
    for overlap in _overlaps(one, other):
        if overlap.rows >= NEARLY_ALL and overlap.columns >= max(2, NEARLY_ALL * narrower):
            cells = overlap.rows * smaller * overlap.columns
            best = max(best, cells / max(one.rows * one.columns, other.rows * other.columns))
    return best


def _overlaps(one: Described, other: Described) -> Iterator[Overlap]:
    """What each pair of anchors that may be the same column tells."""
    smaller, larger = sorted((one, other), key=lambda table: table.rows)
    for mine, theirs in product(smaller.excerpts, larger.excerpts):
        if not set(mine.keys).intersection(theirs.keys):
            continue
        limit = min(mine.limit, theirs.limit)
        few, many = mine.up_to(limit), theirs.up_to(limit)
        if len(few) >= FEWEST_ROWS:
            found = _overlap(few, mine.anchor, many, theirs.anchor)
            if found is not None:
                yield found


def _overlap(few: Sequence[_Row], mine: int, many: Sequence[_Row], theirs: int) -> Overlap | None:
    if _contained(_cut(few, (mine,)), _cut(many, (theirs,))) < NEARLY_ALL:
        return None
    pairs = _matched(few, mine, many, theirs)
    own, others = _cut(few, [pair[0] for pair in pairs]), _cut(many, [pair[1] for pair in pairs])
    if len(own) < MOSTLY_DISTINCT * len(few):
        return None
    return Overlap(_contained(own, others), len(pairs))


def _matched(few: Sequence[_Row], mine: int, many: Sequence[_Row], theirs: int) -> list[tuple[int, int]]:
    """Columns with the same cells beside the same anchors; each is matched once, with the one most like it."""
    own = {at: _cut(few, (mine, at)) for at in range(len(few[0]))}
    others = {at: _cut(many, (theirs, at)) for at in range(len(many[0]))} if many else {}
    likeness = {(a, b): _contained(own[a], others[b]) for a, b in product(own, others)}
    pairs = [(mine, theirs)]
    for a, b in sorted(likeness, key=lambda pair: (-likeness[pair], pair)):
        free = all(a != taken[0] and b != taken[1] for taken in pairs)
        if free and likeness[a, b] >= NEARLY_ALL:
            pairs.append((a, b))
    return pairs


def _cut(rows: Sequence[_Row], columns: Sequence[int]) -> Counter[_Row]:
    return Counter(tuple(row[at] for at in columns) for row in rows)


def _contained(part: Counter[_Row], whole: Counter[_Row]) -> float:
    return (part & whole).total() / part.total()
