"""The columns a template may ask about: by role, at most a few of each, and what can be said of each for sure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from random import Random
from typing import TypeVar

from flows.questions.eligible import TEMPLATE_MISSING, Eligible, Value, eligible, known_values, quoted
from flows.tables.profiling import ColumnProfile, DatasetProfile

MAX_PER_ROLE = 8
"""Columns of one role that a template chooses among; more are sampled, so that pairs and triples stay few."""
MAX_LISTED = 6
"""Columns that a question lists by name."""
WHOLE_TABLE_COLUMNS = 100
"""Columns up to which a question may be about all columns of the table."""
MOST_DIGITS = 12
"""Significant digits of a rounded answer: sums in another order of rows agree to more than these."""

T = TypeVar("T")


@dataclass(frozen=True)
class Columns:
    """What a table offers to templates.

    Attributes:
        profile: The table's profile.
        measures: Numbers that can be averaged.
        categories: Few values, each often.
        named: The categories whose values an answer can name: numbers, and text told apart without regard to case.
        dates: Dates of any writing; some tell no more than a month or a quarter.
        years: Calendar years.
        labels: Text that names each row once.
        texts: Text of many values, labels among them.
    """

    profile: DatasetProfile
    measures: tuple[ColumnProfile, ...]
    categories: tuple[ColumnProfile, ...]
    named: tuple[ColumnProfile, ...]
    dates: tuple[ColumnProfile, ...]
    years: tuple[ColumnProfile, ...]
    labels: tuple[ColumnProfile, ...]
    texts: tuple[ColumnProfile, ...]

    def pairs(self) -> Iterator[tuple[ColumnProfile, ColumnProfile]]:
        """Two different measures, either first."""
        return permutations(self.measures, 2)

    def unordered_pairs(self) -> Iterator[tuple[ColumnProfile, ColumnProfile]]:
        """Two different measures, in the order of the file."""
        return combinations(self.measures, 2)

    def positive(self) -> tuple[ColumnProfile, ...]:
        """Measures above zero throughout."""
        return tuple(measure for measure in self.measures if low(measure) > 0)

    def whole(self) -> bool:
        """Whether a question may be about all columns: each is known, and has a name that can be written."""
        facts = self.profile.facts
        return (
            len(facts) == self.profile.columns <= WHOLE_TABLE_COLUMNS
            and len({fact.name.casefold() for fact in facts}) == len(facts)
            and all(fact.unique is not None and not fact.name_cut and fact.name.isprintable() for fact in facts)
        )


def eligible_columns(profile: DatasetProfile) -> Eligible:
    """The columns templates may ask about, by role."""
    return eligible(profile, most_missing=TEMPLATE_MISSING)


def columns_of(profile: DatasetProfile, found: Eligible, rng: Random) -> Columns:
    """The columns of a table by role; where a role has too many, a sample in the order of the file."""
    return Columns(
        profile=profile,
        measures=sample(found.measures, MAX_PER_ROLE, rng),
        categories=sample(found.categories, MAX_PER_ROLE, rng),
        named=sample(tuple(filter(_is_named, found.categories)), MAX_PER_ROLE, rng),
        dates=sample(found.dates, MAX_PER_ROLE, rng),
        years=sample(found.years, MAX_PER_ROLE, rng),
        labels=sample(found.labels, MAX_PER_ROLE, rng),
        texts=sample(tuple(column for column in found.texts if column.dtype != "object"), MAX_PER_ROLE, rng),
    )


def sample(items: Sequence[T], most: int, rng: Random) -> tuple[T, ...]:
    """At most so many of the items, in their order."""
    if len(items) <= most:
        return tuple(items)
    return tuple(items[place] for place in sorted(rng.sample(range(len(items)), most)))


def low(column: ColumnProfile) -> float:
    """The least value; minus infinity where the profile does not tell."""
    return -math.inf if column.min is None else column.min


def high(column: ColumnProfile) -> float:
    """The greatest value; infinity where the profile does not tell."""
    return math.inf if column.max is None else column.max


def present(column: ColumnProfile, profile: DatasetProfile) -> int:
    """Values that are not missing."""
    return profile.rows - column.missing


def frequent(column: ColumnProfile, at_least: int) -> list[Value]:
    """The category's values that occur at least so often, the most frequent first; text that can be quoted only."""
    return [
        value
        for value, count in known_values(column)
        if count >= at_least and (not isinstance(value, str) or (value.strip() and not quoted(value).startswith("[")))
    ]


def places(column: ColumnProfile) -> int:
    """Decimals that show a statistic of the column well: two for a spread of one and more, more for a smaller one."""
    spread = column.std or 1.0
    largest = max(abs(low(column)), abs(high(column)), 1.0)
    wanted = 2 - min(0, math.floor(math.log10(spread)))
    return max(0, min(wanted, MOST_DIGITS - math.ceil(math.log10(largest))))


def beyond_fences(column: ColumnProfile) -> bool:
    """Whether some value lies more than 1.5 interquartile ranges outside the quartiles."""
    lower, upper = (column.quantiles[at] if len(column.quantiles) == 3 else None for at in (0, 2))
    if lower is None or upper is None:
        return False
    reach = 1.5 * (upper - lower)
    return low(column) < lower - reach or high(column) > upper + reach


def beyond_deviations(column: ColumnProfile) -> bool:
    """Whether some value lies more than 3 sample standard deviations away from the mean."""
    if column.mean is None or column.std is None:
        return False
    return max(high(column) - column.mean, column.mean - low(column)) > 3 * column.std


def round_number(number: float, column: ColumnProfile) -> float:
    """A number near the one given that a person would choose as a threshold for the column."""
    step = math.floor(math.log10(column.std or 1.0))
    rounded = round(number, -step)
    return int(rounded) if rounded == int(rounded) else rounded


def _is_named(column: ColumnProfile) -> bool:
    if column.kind in ("integer", "number"):
        return True
    folded = [text.casefold().strip() for text, _ in column.top]
    return column.kind == "text" and column.dtype != "object" and len(set(folded)) == len(folded)
