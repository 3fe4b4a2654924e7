"""Near-duplicates: datasets with nearly the same rows or columns, or a part of another, found by sketches of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from blocks.errors import DatasetError
from blocks.frozen import Frozen
from blocks.sandboxes.models import CellResult
from flows.tables.excerpts import MOST_EXCERPTS, Described, Excerpt, common_part
from flows.tables.profiling import CellRunner

ALIKE = 0.8
"""Resemblance, 0 to 1, from which two datasets are near-duplicates."""
MOSTLY_DISTINCT = 0.5
"""Share of distinct rows below which equal rows say little: tables of a few codes have them by chance."""
MOST_OF_IT = 0.5
"""Share of the larger table's cells above which a table that lies in it is a near-duplicate."""
MAX_HASHES = 256

_Hash = Annotated[int, Field(ge=0, lt=2**64)]


class Sketch(Frozen):
    """Hashes of a table's content, the same in any order of rows and columns."""

    schema_version: Literal[1] = 1
    rows: Annotated[int, Field(ge=0)]
    distinct: Annotated[int, Field(ge=0)]
    row_hashes: Annotated[tuple[_Hash, ...], Field(max_length=MAX_HASHES)]
    column_hashes: Annotated[tuple[_Hash, ...], Field(max_length=MAX_HASHES)]
    telling: Annotated[int, Field(ge=0, description="columns without one value nearly everywhere")] = 0
    excerpts: Annotated[tuple[Excerpt, ...], Field(max_length=MOST_EXCERPTS)] = ()

    def described(self) -> Described:
        """What excerpts are compared of."""
        return Described(self.rows, self.telling, self.excerpts)


class Resemblance(NamedTuple):
    """How much of two tables is the same.

    Attributes:
        rows: Estimated share of rows in both, of those in either; 0 where equal rows would say little.
        columns: Share of columns with the same values, of those in either; names do not count.
        part: Where one table lies in the other, nearly: the share of the larger one's cells that both have; else 0.
    """

    rows: float
    columns: float
    part: float = 0.0

    @property
    def alike(self) -> bool:
        """Whether these are near-duplicates."""
        return max(self.rows, self.columns) >= ALIKE or self.part > MOST_OF_IT

    def sentence(self) -> str:
        """In words."""
        if max(self.rows, self.columns) < ALIKE:
            return f"one is a part of the other, with {self.part:.0%} of its cells"
        if self.rows >= self.columns:
            return f"{self.rows:.0%} of the rows are the same"
        return f"{self.columns:.0%} of the columns hold the same values"


@cache
def sketch_program() -> str:
    """The cell that computes the sketch and submits it as JSON text."""
    source = Path(__file__).with_name("sketching.py").read_text(encoding="utf-8")
    return source + "\n\nimport json\n\nsubmit(json.dumps(table_sketch(df)))\n"


async def sketch_dataset(session: CellRunner, *, timeout_s: float | None = None) -> Sketch:
    """Sketch the session's `df`.

    Args:
        session: A fresh session of the dataset's sandbox.
        timeout_s: Wall clock of the cell, seconds; None for the sandbox's own limit.

    Raises:
        DatasetError: The program failed on this table.
    """
    return _parse(await session.run(sketch_program(), timeout_s=timeout_s))


def resemblance(one: Sketch, other: Sketch) -> Resemblance:
    """Compare two tables."""
    telling = all(sketch.distinct >= MOSTLY_DISTINCT * sketch.rows for sketch in (one, other))
    return Resemblance(
        rows=_share_of_smallest(one.row_hashes, other.row_hashes) if telling else 0.0,
        columns=_share(set(one.column_hashes), set(other.column_hashes)),
        part=common_part(one.described(), other.described()),
    )


def nearest(sketch: Sketch, others: Iterable[tuple[str, Sketch]]) -> tuple[str, Resemblance] | None:
    """The near-duplicate most like the sketch, by name; the first by name among equals; None: there is none."""
    found = [(name, resemblance(sketch, other)) for name, other in others]
    alike = [(name, likeness) for name, likeness in found if likeness.alike]
    return min(alike, key=lambda pair: (-max(pair[1]), pair[0]), default=None)


def _share_of_smallest(one: Sequence[int], other: Sequence[int]) -> float:
    """The Jaccard index of two sets of which the smallest hashes are kept; exact while all are kept."""
    kept = MAX_HASHES if MAX_HASHES in (len(one), len(other)) else len(one) + len(other)
    smallest = sorted(set(one) | set(other))[:kept]
    both = set(one) & set(other)
    return sum(value in both for value in smallest) / len(smallest) if smallest else 0.0


def _share(one: set[int], other: set[int]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def _parse(cell: CellResult) -> Sketch:
    if cell.status != "ok" or cell.submission is None:
        why = f"{cell.error.name}: {cell.error.message[:200]}" if cell.error else cell.reason or cell.status
        raise DatasetError(f"The table could not be sketched ({why}).", "Check that the file is a plain table.")
    value = cell.submission.value
    try:
        if value.get("t") != "str":
            raise ValueError("the sketch is no text")
        return Sketch.model_validate(json.loads(value["v"]))
    except (ValidationError, ValueError, KeyError, RecursionError) as error:
        raise DatasetError("The table's sketch came back malformed.", "Report this together with the file.") from error
