"""Which well-typed programs make sense: no operator undoes another, nothing is averaged that has no average."""

from __future__ import annotations

from collections import Counter
from math import prod

from flows.questions.eligible import MAX_LEVELS
from flows.questions.programs.bindings import is_positive, periods
from flows.questions.programs.grammar import Node, Scene, Sort

MIN_ROWS = 30
"""Rows an answer should rest on, as far as can be estimated before anything is run."""
MIN_GROUP = 6.0
"""Rows a group should have on average."""
MOST_PERIODS = 400
MAX_CUTS = 3
_KEEPS = {
    "rows_high": 0.25,
    "rows_low": 0.25,
    "rows_top_quarter": 0.25,
    "rows_of_months": 0.25,
    "rows_unequal": 0.7,
    "rows_known": 0.9,
    "rows_missing": 0.1,
    "rows_without_outliers": 0.85,
    "rows_equal": 0.35,
    "rows_in": 0.5,
    "rows_of_largest_group": 0.4,
    "rows_of_highest_group": 0.3,
    "rows_of_lowest_group": 0.3,
}
"""Share of the rows that a filter leaves, roughly; a half where nothing is said."""
_ALWAYS_POSITIVE = frozenset({"column", "ratio", "total"})
_OF_SPREAD = frozenset({"spread", "shape", "whole"})
"""A distance from the middle or a rank has a middle worth asking for, but no spread that means anything."""
_FEWEST_LEVELS = {
    "second_group": 3,
    "spread_over_groups": 3,
    "entropy": 3,
    "concentration": 3,
    "top_groups": 4,
    "closest_to_average": 4,
    "groups_above_average": 4,
    "groups_to_share": 4,
}
_MOST_LEVELS = {"all_groups": 12}
_MONTHS = {"year": 12, "calendar_quarter": 3, "calendar_month": 1}
_SAFE = frozenset({"centre", "additive"})
_LEVELS = {
    "quarter_of_year": 4,
    "quarter": 4,
    "half": 2,
    "fixed_half": 2,
    "gap": 2,
    "month": 12,
    "weekday": 7,
    "decade": 4,
}


def makes_sense(root: Node, scene: Scene) -> bool:
    """Whether a bound, well-typed tree is worth being run."""
    return (
        _columns_differ(root)
        and fits_together(root)
        and _is_positive_where_it_must_be(root, scene)
        and _leaves_enough(root, scene)
        and _ranks_enough(root, scene)
    )


def fits_together(root: Node) -> bool:
    """Whether the operators of a tree go together, whatever they are bound to."""
    return all(_fits(node) for node in root.walk())


def traits(node: Node) -> frozenset[str]:
    """The tags of a node and of what it is computed from; of its rows only whether any were left out."""
    found = set(node.operator.tags)
    for each in node.inputs:
        found |= each.operator.tags if each.operator.gives is Sort.TABLE else traits(each)
    return frozenset(found)


def _columns_differ(root: Node) -> bool:
    """Each column plays one part: a filter on what is then asked about gives the answer away, or empties it."""
    used = Counter(name for node in root.walk() for name in node.own_columns)
    return all(count == 1 for count in used.values())


def _fits(node: Node) -> bool:
    below: set[str] = set()
    for each in node.inputs:
        below |= each.operator.tags if each.operator.gives is Sort.TABLE else traits(each)
    if "relative" in below and below & _OF_SPREAD:
        return False
    return node.operator.needs <= below and not node.operator.refuses & below


def _is_positive_where_it_must_be(root: Node, scene: Scene) -> bool:
    for node in root.walk():
        if node.operator.name == "relative_change" and not _is_share_of_something(node.inputs[0], scene):
            return False
        if any("positive" in each.operator.tags for each in node.inputs if each.operator.gives is Sort.STATISTIC):
            measure = node.child(Sort.MEASURE)
            if measure is None or measure.operator.name not in _ALWAYS_POSITIVE:
                return False
            if not all(is_positive(scene.column(name)) for name in measure.own_columns):
                return False
    return True


def _is_share_of_something(timeline: Node, scene: Scene) -> bool:
    """Whether a timeline's values are all above zero, so that a change can be a percentage of them."""
    if timeline.operator.name == "period_size":
        return True
    measure, statistic = timeline.child(Sort.MEASURE), timeline.child(Sort.STATISTIC)
    return (
        measure is not None
        and statistic is not None
        and bool(statistic.operator.tags & _SAFE)
        and measure.operator.name in _ALWAYS_POSITIVE
        and all(is_positive(scene.column(name)) for name in measure.own_columns)
    )


def _leaves_enough(root: Node, scene: Scene) -> bool:
    rows = float(scene.profile.rows)
    cuts = [node for node in root.walk() if node.operator.gives is Sort.TABLE and node.inputs]
    for node in cuts:
        rows *= _KEEPS.get(node.operator.name, 0.5)
    keys = [node for node in root.walk() if node.operator.gives in (Sort.KEY, Sort.HALVES, Sort.DATE)]
    levels = prod(_levels(node, scene) for node in keys)
    return len(cuts) <= MAX_CUTS and rows >= MIN_ROWS and rows / levels >= MIN_GROUP


def _ranks_enough(root: Node, scene: Scene) -> bool:
    """Whether there are as many groups as the question needs to have more than one possible answer."""
    ranking = root.child(Sort.RANKING, Sort.TIMELINE)
    if ranking is None:
        return True
    grouped = ranking.child(Sort.TIMELINE) or ranking
    key = grouped.child(Sort.KEY, Sort.HALVES, Sort.DATE)
    levels = _levels(key, scene) if key else len(ranking.own_columns)
    least = _FEWEST_LEVELS.get(root.operator.name, 2)
    most = _MOST_LEVELS.get(root.operator.name, MOST_PERIODS if ranking.operator.gives is Sort.TIMELINE else MAX_LEVELS)
    return least <= levels <= most


def _levels(node: Node, scene: Scene) -> int:
    if node.operator.name in _LEVELS:
        return _LEVELS[node.operator.name]
    if node.operator.name in _MONTHS:
        return periods(scene.column(node.own_columns[0]), _MONTHS[node.operator.name]) or 1
    product = 1
    for name in node.own_columns:
        product *= scene.column(name).unique or 1
    return product
