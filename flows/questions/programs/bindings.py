"""Bindings: which columns and constants an operator can be given on a table. All in the order of the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import combinations, pairwise, permutations
from math import floor, isfinite, log10

from flows.questions.eligible import Value, grain, known_values
from flows.questions.programs.grammar import Binder, Param, Params, Scene
from flows.tables.profiling import ColumnProfile

MIN_PERIODS = 6
"""Years a table must span to be asked about change over time."""
_MONTH = re.compile(r"(\d{4})-?(\d{1,2})")
_MONTHS = 12
_MOST_PAIRS = 60
_GONE = 30
_FEWEST_COUNTED = 6
_FEWEST_COMPARED, _MOST_COMPARED = 3, 6


def measure(scene: Scene) -> Sequence[Params]:
    """Each measure."""
    return [(("col", column.name),) for column in scene.columns.measures]


def positive(scene: Scene) -> Sequence[Params]:
    """Each measure whose values are all above zero."""
    return [(("col", column.name),) for column in scene.columns.measures if is_positive(column)]


def ordered_pair(scene: Scene) -> Sequence[Params]:
    """Two measures in either order."""
    pairs = permutations(scene.columns.measures, 2)
    return [(("col", a.name), ("col_other", b.name)) for a, b in pairs][:_MOST_PAIRS]


def positive_pair(scene: Scene) -> Sequence[Params]:
    """Two measures in either order, both above zero."""
    pairs = permutations([column for column in scene.columns.measures if is_positive(column)], 2)
    return [(("col", a.name), ("col_other", b.name)) for a, b in pairs][:_MOST_PAIRS]


def like_pair(scene: Scene) -> Sequence[Params]:
    """Two measures of the same order of magnitude and unit, as far as their names tell: what can be added up."""
    pairs = combinations([column for column in scene.columns.measures if is_positive(column)], 2)
    return [(("col", a.name), ("col_other", b.name)) for a, b in pairs if _alike(a, b)][:_MOST_PAIRS]


def threshold(quartile: int) -> Binder:
    """Each measure with a round number near one of its quartiles.

    Args:
        quartile: 0, 1 or 2 for the lower quartile, the median, the upper quartile.
    """

    def bind(scene: Scene) -> Sequence[Params]:
        return [(("col", column.name), ("value", _near(column, quartile))) for column in _with_quartiles(scene)]

    return bind


def interval(scene: Scene) -> Sequence[Params]:
    """Each measure with two round numbers near its quartiles."""
    return [
        (("col", column.name), ("low", _near(column, 0)), ("high", _near(column, 2)))
        for column in _with_quartiles(scene)
        if _near(column, 0) < _near(column, 2)
    ]


def quartiled(scene: Scene) -> Sequence[Params]:
    """Each measure whose quartiles and ends are all different."""
    return [(("col", column.name),) for column in _with_quartiles(scene) if _distinct_cuts(column)]


def category(scene: Scene) -> Sequence[Params]:
    """Each category."""
    return [(("col", column.name),) for column in scene.columns.categories]


def wide_category(scene: Scene) -> Sequence[Params]:
    """Each category of at least three values."""
    return [(("col", column.name),) for column in scene.columns.categories if (column.unique or 0) > 2]


def binary(scene: Scene) -> Sequence[Params]:
    """Each category of two values."""
    return [(("col", column.name),) for column in scene.columns.binaries]


def two_categories(scene: Scene) -> Sequence[Params]:
    """Two text categories whose combinations are not too many."""
    texts = [column for column in scene.columns.categories if column.kind == "text" and column.dtype != "object"]
    return [
        (("col", a.name), ("col_other", b.name))
        for a, b in combinations(texts, 2)
        if (a.unique or 0) * (b.unique or 0) <= scene.profile.rows / 10
    ]


def category_value(scene: Scene) -> Sequence[Params]:
    """Each category of at least three values with each of its frequent values."""
    return [
        (("col", column.name), ("value", value))
        for column in scene.columns.categories
        for value, count in known_values(column)[:4]
        if count >= scene.profile.rows / 20 and _askable(value)
    ]


def two_values(scene: Scene) -> Sequence[Params]:
    """Each category of at least four values with two of its frequent ones."""
    found: list[Params] = []
    for column in scene.columns.categories:
        values = [value for value, _ in known_values(column)[:4] if _askable(value)]
        if (column.unique or 0) >= 4:
            found += [(("col", column.name), ("values", pair)) for pair in combinations(values, 2)]
    return found


def gappy(scene: Scene) -> Sequence[Params]:
    """Each usable column of which at least 5 and 2 % of the values are missing."""
    usable = (*scene.columns.measures, *scene.columns.categories)
    floor_rows = max(5.0, scene.profile.rows / 50)
    return [(("col", name),) for name in dict.fromkeys(c.name for c in usable if c.missing >= floor_rows)]


def mostly_gone(scene: Scene) -> Sequence[Params]:
    """Each usable column with enough missing values to ask about the rows that lack it."""
    return [params for params in gappy(scene) if scene.column(str(dict(params)["col"])).missing >= _GONE]


def date(scene: Scene) -> Sequence[Params]:
    """Each date that tells its month."""
    return [(("col_date", column.name),) for column in scene.columns.dates if grain(column) in ("day", "month")]


def weekdays(scene: Scene) -> Sequence[Params]:
    """Each date whose known values fall on different weekdays: a weekly series has but one."""
    return [
        (("col_date", column.name),)
        for column in scene.columns.dates
        if grain(column) == "day" and len(_days(column)) > 1
    ]


def _days(column: ColumnProfile) -> set[int]:
    found = set()
    for text in (*column.examples, *_ends(column)):
        try:
            found.add(datetime.fromisoformat(text).weekday())
        except ValueError:  # written without leading zeros, or cut: it may be any day
            found |= {0, 1}
    return found


def dated_years(scene: Scene) -> Sequence[Params]:
    """Each date that spans enough years."""
    return [(("col_date", column.name),) for column in scene.columns.dates if _span(column) >= MIN_PERIODS]


def dated_quarters(scene: Scene) -> Sequence[Params]:
    """Each date that spans enough calendar quarters."""
    return _dated(scene, 3)


def dated_months(scene: Scene) -> Sequence[Params]:
    """Each date that spans enough calendar months."""
    return [params for params in _dated(scene, 1) if grain(scene.column(str(params[0][1]))) != "quarter"]


def quarters_of_the_year(scene: Scene) -> Sequence[Params]:
    """Each date that spans at least a year, so that every quarter of it may occur."""
    return [(("col_date", column.name),) for column in scene.columns.dates if periods(column, 1) > _MONTHS]


def periods(column: ColumnProfile, months: int) -> int:
    """Periods of so many months from a date's first value to its last; 0 where they cannot be read."""
    found = [_MONTH.match(end) for end in _ends(column)]
    first, last = (12 * int(end[1]) + int(end[2]) - 1 if end else -1 for end in found)
    return last // months - first // months + 1 if min(first, last) >= 0 else 0


def _dated(scene: Scene, months: int) -> Sequence[Params]:
    return [
        (("col_date", column.name),) for column in scene.columns.dates if periods(column, months) >= 2 * MIN_PERIODS
    ]


def year_column(scene: Scene) -> Sequence[Params]:
    """Each column of years that spans enough of them."""
    return [(("col", column.name),) for column in scene.columns.years if (column.unique or 0) >= MIN_PERIODS]


def since(scene: Scene) -> Sequence[Params]:
    """Each date with the starts of the years near the thirds of its span."""
    found: list[Params] = []
    for column in scene.columns.dates:
        first, years = _first_year(column), _span(column)
        if years >= 3:
            marks = dict.fromkeys(first + round(years * part / 3) for part in (1, 2))
            found += [(("col_date", column.name), ("value", f"{year}-01-01")) for year in marks]
    return found


def compared_with(scene: Scene) -> Sequence[Params]:
    """Each measure with the other measures, at most six, it is compared with."""
    names = [column.name for column in scene.columns.measures]
    found: list[Params] = []
    for name in names:
        others = tuple(other for other in names if other != name)[:_MOST_COMPARED]
        if len(others) >= _FEWEST_COMPARED:
            found.append((("col", name), ("cols", others)))
    return found


def several(scene: Scene) -> Sequence[Params]:
    """The measures, at most six of them, where there are at least three."""
    names = tuple(column.name for column in scene.columns.measures)[:_MOST_COMPARED]
    return [(("cols", names),)] if len(names) >= _FEWEST_COMPARED else []


def label_of(scene: Scene) -> Sequence[Params]:
    """Each column that names its row."""
    return [(("col_label", column.name),) for column in scene.columns.labels]


def counted(scene: Scene) -> Sequence[Params]:
    """Each category or text of more than a few values, to count those that are left."""
    columns = (*scene.columns.categories, *scene.columns.texts)
    labels = {column.name for column in scene.columns.labels}
    return [
        (("col", name),)
        for name in dict.fromkeys(c.name for c in columns)
        if name not in labels and (scene.column(name).unique or 0) >= _FEWEST_COUNTED
    ]


def choices(name: str, values: Sequence[Value]) -> Binder:
    """A constant out of a few, whatever the table."""
    bound: list[Params] = [((name, value),) for value in values]
    return lambda _: bound


def with_constant(bind: Callable[[Scene], Sequence[Params]], name: str, values: Sequence[Param]) -> Binder:
    """Bindings together with a constant out of a few."""
    return lambda scene: [(*params, (name, value)) for params in bind(scene) for value in values]


def is_positive(column: ColumnProfile) -> bool:
    """Whether all values are known to be above zero."""
    return column.min is not None and column.min > 0


def decimals_for(column: ColumnProfile) -> int:
    """Decimals that tell the column's values apart: 2, more where they vary by less than 1."""
    if not column.std or column.std >= 1:
        return 2
    return min(10, 2 - floor(log10(column.std)))


def _with_quartiles(scene: Scene) -> list[ColumnProfile]:
    return [
        column
        for column in scene.columns.measures
        if len(column.quantiles) == 3 and all(cut is not None and isfinite(cut) for cut in column.quantiles)
    ]


def _near(column: ColumnProfile, quartile: int) -> int | float:
    value = column.quantiles[quartile] or 0.0
    if column.kind == "integer" or (float(value).is_integer() and abs(value) < 1e15):
        return int(value)
    digits = 2 - floor(log10(abs(value))) if value else 0
    return round(value, max(digits, 0))


def _distinct_cuts(column: ColumnProfile) -> bool:
    cuts = [cut for cut in (column.min, *column.quantiles, column.max) if cut is not None]
    return all(low < high for low, high in pairwise(cuts))


def _alike(a: ColumnProfile, b: ColumnProfile) -> bool:
    if a.mean is None or b.mean is None or not 0.2 <= a.mean / b.mean <= 5:
        return False
    return a.name.rsplit("_", 1)[-1] == b.name.rsplit("_", 1)[-1] or a.name.split("_")[0] == b.name.split("_")[0]


def _askable(value: Value) -> bool:
    return not isinstance(value, str) or (value == value.strip() and 0 < len(value) <= 40 and '"' not in value)


def _first_year(column: ColumnProfile) -> int:
    return int(_ends(column)[0][:4])


def _span(column: ColumnProfile) -> int:
    first, last = _ends(column)
    return int(last[:4]) - int(first[:4]) + 1


def _ends(column: ColumnProfile) -> tuple[str, str]:
    if column.date_span is not None:
        return column.date_span
    if column.first and column.last:
        return column.first, column.last
    return str(int(column.min or 0)).zfill(4), str(int(column.max or 0)).zfill(4)
