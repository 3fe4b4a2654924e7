"""Binders that several templates share: which columns of a table fit a template's blanks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations, product
from random import Random

from flows.questions.templates.columns import MAX_LISTED, Columns, frequent, places, present, sample
from flows.questions.templates.template import Binder, Binding, Slot, column, columns, decimals, value
from flows.tables.profiling import ColumnProfile

MOST_FOR_NORMALITY = 5_000
"""Values up to which the p-value of the Shapiro-Wilk test holds."""
LISTS = 3
"""Lists of columns tried where a table has more measures than a question names."""

Condition = Callable[[ColumnProfile], bool]


def every(_: ColumnProfile) -> bool:
    """A condition that every column meets."""
    return True


def nothing(_: Columns, __: Random) -> Iterator[Binding]:
    """A question about the table as a whole, without blanks."""
    yield {}


def without_decimals(binder: Binder) -> Binder:
    """The same bindings for an answer that is not rounded."""

    def bind(table: Columns, rng: Random) -> Iterator[Binding]:
        for binding in binder(table, rng):
            yield {name: slot for name, slot in binding.items() if name != "d"}

    return bind


def one_measure(d: int | None = None, where: Condition = every) -> Binder:
    """Blanks x and d; decimals by the column's spread where none are given."""

    def bind(table: Columns, _: Random) -> Iterator[Binding]:
        for x in filter(where, table.measures):
            yield {"x": column(x), "d": _decimals(x, d)}

    return bind


def two_measures(d: int, *, ordered: bool = False) -> Binder:
    """Blanks x, y and d; both orders of a pair where the question tells them apart."""

    def bind(table: Columns, _: Random) -> Iterator[Binding]:
        for x, y in table.pairs() if ordered else table.unordered_pairs():
            yield {"x": column(x), "y": column(y), "d": decimals(d)}

    return bind


def measure_lists(at_least: int) -> Binder:
    """The blank xs: measures named one by one."""

    def bind(table: Columns, rng: Random) -> Iterator[Binding]:
        for listed in _lists(table.measures, at_least, rng):
            yield {"xs": columns(listed)}

    return bind


def target_and_predictors(at_least: int, d: int) -> Binder:
    """Blanks y, xs and d: a measure, and others that may explain it."""

    def bind(table: Columns, rng: Random) -> Iterator[Binding]:
        for y in table.measures:
            others = tuple(measure for measure in table.measures if measure != y)
            for listed in _lists(others, at_least, rng):
                yield {"y": column(y), "xs": columns(listed), "d": decimals(d)}

    return bind


def category_and_measure(
    d: int | None = None, *, levels: tuple[int, int] = (2, 30), named: bool = True, where: Condition = every
) -> Binder:
    """Blanks g, x and d: a category with so many values, text where they are part of the answer, and a measure."""

    def bind(table: Columns, _: Random) -> Iterator[Binding]:
        fewest, most = levels
        groups = table.named if named else table.categories
        for g, x in product(groups, filter(where, table.measures)):
            if g != x and fewest <= (g.unique or 0) <= most:
                yield {"g": column(g), "x": column(x), "d": _decimals(x, d)}

    return bind


def two_categories(*, named: bool) -> Callable[[Columns], Iterator[tuple[ColumnProfile, ColumnProfile]]]:
    """Two different categories, in the order of the file."""

    def pairs(table: Columns) -> Iterator[tuple[ColumnProfile, ColumnProfile]]:
        groups = table.named if named else table.categories
        for g, h in permutations(groups, 2):
            if groups.index(g) < groups.index(h):
                yield g, h

    return pairs


def two_levels(table: Columns, rng: Random) -> Iterator[tuple[ColumnProfile, Slot, Slot]]:
    """A category and two of its frequent values."""
    for g in table.categories:
        values = frequent(g, at_least=8)
        if len(values) >= 2:
            a, b = rng.sample(values, 2)
            yield g, value(a), value(b)


def levels_and_measure(d: int, *, normality: bool = False) -> Binder:
    """Blanks g, a, b, x and d: a measure among the rows of one value of a category, and of another."""

    def bind(table: Columns, rng: Random) -> Iterator[Binding]:
        for (g, a, b), x in product(two_levels(table, rng), table.measures):
            if g != x and not (normality and present(x, table.profile) > MOST_FOR_NORMALITY):
                yield {"g": column(g), "a": a, "b": b, "x": column(x), "d": decimals(d)}

    return bind


def _decimals(x: ColumnProfile, d: int | None) -> Slot:
    return decimals(places(x) if d is None else d)


def _lists(measures: tuple[ColumnProfile, ...], at_least: int, rng: Random) -> Iterator[tuple[ColumnProfile, ...]]:
    if len(measures) < at_least:
        return
    for _ in range(LISTS if len(measures) > MAX_LISTED else 1):
        yield sample(measures, MAX_LISTED, rng)
