"""Every operator on a table of twelve rows, against answers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from flows.questions.programs.enumeration import CATALOGUE
from flows.questions.programs.grammar import Node, Param, is_well_typed
from flows.questions.programs.shaping import shape_of
from flows.questions.programs.wording import question_text
from tests.support.programs import answer_of, program_of, run, scene_of, small_table, tree

ALL = tree("all_rows")
X, Y, M, E = (tree("column", col=name) for name in "xyme")
G, H, K = tree("category", col="g"), tree("binary", col="h"), tree("binary", col="k")
MEAN, MEDIAN, SUM = tree("mean"), tree("median"), tree("sum")
YEARS = tree("period_statistic", ALL, X, tree("year", col_date="d"), MEAN)  # 1.5 3.5 5.5 7.5 9.5 17.5
YEARS_OF_M = tree("period_statistic", ALL, M, tree("year_column", col="year"), MEAN)  # 4 4.5 5.5 5.5 8 11.5
MEANS = tree("group_statistic", ALL, X, G, MEAN)  # a 2.5, b 6.5, c 13.5
SUMS = tree("group_statistic", ALL, X, G, SUM)  # a 10, b 26, c 54
SIZES_OF_S = tree("group_size", ALL, tree("category", col="s"))  # r 7, t 4
WITH_X = tree("correlations_with", ALL, col="x", cols=("y", "m", "e"))
PAIRS = tree("pair_correlations", ALL, cols=("x", "y", "m"))
TWO, MANY = (ALL, X, H), (ALL, X, G)
CROSS = tree("cross_count", ALL, G, K)  # a 3 1, b 2 2, c 0 4
FIRST_DAY = tree("rows_before", ALL, col_date="d", value="2000-02-01")
LINE = tree("line", ALL, X, Y)


def count(filtered: Node) -> Node:
    return tree("row_count", filtered)


def filtered(name: str, *inputs: Node, **params: Param) -> Node:
    return count(tree(name, ALL, *inputs, **params))


def summary(measure: Node, statistic: str, **params: Param) -> Node:
    return tree("summary", ALL, measure, tree(statistic, **params))


def every(ranking: Node) -> Node:
    return tree("all_groups", ranking)


def statistic(name: str, *inputs: Node) -> Node:
    return tree("size_of_statistic" if name in ("t_test", "welch_test") else "statistic", tree(name, *inputs))


FILTERS: list[tuple[Node, Any]] = [
    (filtered("rows_above", col="x", value=4), 8),
    (filtered("rows_below", col="x", value=4), 3),
    (filtered("rows_high", col="x", value=4), 9),
    (filtered("rows_low", col="e", value=8.0), 4),
    (filtered("rows_between", col="x", low=3, high=5), 3),
    (filtered("rows_equal", col="s", value="r"), 7),
    (filtered("rows_unequal", col="s", value="r"), 4),
    (filtered("rows_in", col="g", values=("a", "c")), 8),
    (filtered("rows_missing", col="e"), 2),
    (filtered("rows_known", col="e"), 10),
    (filtered("rows_since", col_date="d", value="2004-01-01"), 4),
    (filtered("rows_before", col_date="d", value="2001-01-01"), 2),
    (filtered("rows_of_months", col_date="d", months=(6, 7, 8)), 6),
    (filtered("rows_above_mean", X), 5),
    (filtered("rows_below_median", X), 6),
    (filtered("rows_top_quarter", X), 3),
    (filtered("rows_without_outliers", X), 11),
    (filtered("rows_above_group_mean", X, G), 5),
    (filtered("rows_of_largest_group", tree("category", col="s")), 7),
    (tree("summary", tree("rows_of_highest_group", ALL, X, G, MEAN), M, SUM), 39),
    (tree("summary", tree("rows_of_lowest_group", ALL, X, G, MEAN), M, SUM), 17),
    (tree("row_share", tree("rows_above", ALL, col="x", value=6)), 50.0),
    (tree("distinct_values", tree("rows_above", ALL, col="x", value=4), col="g"), 2),
]
MEASURES: list[tuple[Node, Any]] = [
    (summary(tree("ratio", col="y", col_other="x"), "maximum"), 3.0),
    (summary(tree("difference", col="y", col_other="x"), "mean"), 8.5),
    (summary(tree("total", col="y", col_other="x"), "mean"), 23.5),
    (summary(tree("logarithm", col="x"), "maximum"), 3.1781),
    # Standard deviation of x: sqrt(407 / 11) = 6.0828; (24 - 7.5) / 6.0828.
    (every(tree("group_statistic", ALL, tree("z_score", col="x"), G, tree("maximum"))),
     {"a": -0.5754, "b": 0.0822, "c": 2.7126}),
    (every(tree("group_statistic", ALL, tree("rank", col="x"), G, MEAN)), {"a": 2.5, "b": 6.5, "c": 10.5}),
    # Distances from 6.5: 5.5 4.5 3.5 2.5 1.5 0.5 0.5 1.5 2.5 3.5 4.5 17.5.
    (summary(tree("deviation", col="x"), "mean"), 4.0),
    (every(tree("group_statistic", ALL, tree("group_residual", col="x", col_group="g"), H, MEAN)),
     {"p": -1.5, "q": 1.5}),
]  # fmt: skip
GROUPS: list[tuple[Node, Any]] = [
    (every(SIZES_OF_S), {"r": 7, "t": 4}),
    (every(tree("group_size", ALL, K)), {"u": 5, "v": 7}),
    (every(tree("group_size", ALL, tree("combination", col="h", col_other="k"))),
     {"p / u": 3, "q / u": 2, "p / v": 3, "q / v": 4}),
    (every(tree("group_statistic", ALL, M, tree("quarter", col="x"), SUM)),
     {"Q1": 16.0, "Q2": 12.0, "Q3": 17.0, "Q4": 33.0}),
    (every(tree("group_statistic", ALL, M, tree("half", col="x"), SUM)), {"low": 28.0, "high": 50.0}),
    (every(tree("group_size", ALL, tree("fixed_half", col="x", value=4))), {"low": 3, "high": 9}),
    (every(tree("group_statistic", ALL, X, tree("gap", col_gap="e"), SUM)), {"missing": 7.0, "given": 83.0}),
    (every(tree("group_statistic", ALL, X, tree("month", col_date="d"), SUM)), {"1": 36.0, "6": 54.0}),
    # 15 January 2000 was a Saturday.
    (every(tree("group_size", FIRST_DAY, tree("weekday", col_date="d"))), {"Saturday": 1}),
    (every(tree("group_size", ALL, tree("decade", col_date="d"))), {"2000": 12}),
]  # fmt: skip
# Two quarters of 2000 have one row each: January 2000-Q1, June 2000-Q2; x rises by 1 from row to row, at last by 13.
QUARTERS = tree("period_statistic", ALL, X, tree("calendar_quarter", col_date="d"), MEAN)
MONTHS = tree("period_statistic", ALL, X, tree("calendar_month", col_date="d"), SUM)
CHANGES = tree("change", YEARS)  # 2 2 2 2 8
OVER_TIME: list[tuple[Node, Any]] = [
    (every(tree("group_size", ALL, tree("quarter_of_year", col_date="d"))), {"1": 6, "2": 6}),
    (tree("largest_group", QUARTERS), "2005-Q2"),
    (tree("top_groups", MONTHS, count=3), ["2005-06", "2005-01", "2004-06"]),
    (tree("steepest_rise", MONTHS), "2005-06"),
    (every(tree("period_size", ALL, tree("year", col_date="d"))), dict.fromkeys(map(str, range(2000, 2006)), 2)),
    (every(CHANGES), {"2001": 2.0, "2002": 2.0, "2003": 2.0, "2004": 2.0, "2005": 8.0}),
    (tree("largest_group", tree("change", MONTHS)), "2005-06"),
    (tree("largest_group", tree("relative_change", YEARS)), 2001),  # 3.5 / 1.5
    (tree("highest_value", tree("relative_change", YEARS)), 133.33),
    (every(tree("rolling_mean", YEARS, window=3, before=2)), {"2002": 3.5, "2003": 5.5, "2004": 7.5, "2005": 11.5}),
    (tree("first_above_average", tree("rolling_mean", YEARS, window=4, before=3)), 2005),  # 4.5 6.5 10
]
STATISTICS: list[tuple[Node, Any]] = [
    (summary(X, "mean"), 7.5),
    (summary(E, "median"), 11.0),
    (summary(X, "std"), 6.08),
    (summary(X, "var"), 37.0),
    (summary(X, "sem"), 1.76),
    (summary(X, "sum"), 90),
    (summary(X, "minimum"), 1),
    (summary(X, "maximum"), 24),
    (summary(X, "range"), 23),
    (summary(X, "iqr"), 5.5),  # 9.25 - 3.75
    (summary(X, "quantile", share=0.1), 2.1),
    (summary(X, "midhinge"), 6.5),
    (summary(tree("ratio", col="y", col_other="x"), "distinct"), 12),
    # Third and fourth powers of the distances from 7.5 sum to 3,960 and 77,618.75.
    (summary(X, "skew"), 1.919),
    (summary(X, "kurtosis"), 4.901),
    (summary(X, "variation"), 0.811),
    (summary(X, "quartile_dispersion"), 0.4231),  # 5.5 / 13
    (summary(X, "mad"), 3.0),
    (summary(X, "trimmed_mean"), 6.5),  # without 1 and 24: 65 / 10
    (summary(X, "geometric_mean"), round((math.factorial(11) * 24) ** (1 / 12), 2)),
    (summary(X, "gini"), 0.387),  # 2 (1 + 4 + 9 + … + 121 + 12 · 24) / (12 · 90) - 13 / 12
    (summary(X, "top_tenth_share"), 0.3889),  # the 90 % quantile is 10.9: (11 + 24) / 90
    (every(tree("group_statistic", ALL, X, G, tree("mad"))), {"a": 1.0, "b": 1.0, "c": 1.0}),
    (every(tree("group_statistic", ALL, X, G, tree("range"))), {"a": 3.0, "b": 3.0, "c": 15.0}),
]
ANALYSES: list[tuple[Node, Any]] = [
    (every(MEANS), {"a": 2.5, "b": 6.5, "c": 13.5}),
    (every(tree("group_share", ALL, K)), {"u": 41.67, "v": 58.33}),
    (every(tree("group_share_above", ALL, X, G)), {"a": 0.0, "b": 50.0, "c": 100.0}),
    (every(tree("group_correlation", ALL, Y, G, col_by="x")), {"a": 1.0, "b": 1.0, "c": 1.0}),
    (every(tree("group_slope", ALL, Y, G, col_by="x")), {"a": 2.0, "b": 2.0, "c": 2.0}),
    (every(tree("group_outliers", ALL, X, G)), {"a": 0, "b": 0, "c": 1}),
    (tree("largest_group", WITH_X), "y"),
    (tree("largest_group", tree("rank_correlations_with", ALL, col="x", cols=("m", "e", "y"))), "e"),
    (tree("largest_group", tree("column_skews", ALL, cols=("m", "x", "e"))), "x"),
    (tree("strongest_pair", PAIRS), ["x", "y"]),
    (tree("weakest_pair", tree("pair_correlations", ALL, cols=("x", "y", "m"))), ["x", "m"]),
    (tree("pairs_above", tree("pair_correlations", ALL, cols=("x", "y", "m")), limit=0.9), 1),
]
RANKINGS: list[tuple[Node, Any]] = [
    (tree("largest_group", MEANS), "c"),
    (tree("smallest_group", MEANS), "a"),
    (tree("second_group", MEANS), "b"),
    (tree("top_groups", MEANS, count=2), ["c", "b"]),
    (tree("highest_value", MEANS), 13.5),
    (tree("spread_of_groups", MEANS), 11.0),
    (tree("ratio_of_groups", MEANS), 5.4),
    (tree("spread_over_groups", MEANS), 5.568),  # sqrt((25 + 1 + 36) / 2)
    (tree("groups_above_average", MEANS), 1),
    (tree("closest_to_average", MEANS), "b"),
    (tree("entropy", tree("group_size", ALL, H)), 1.0),
    (tree("concentration", SUMS), 0.4558),  # (100 + 676 + 2916) / 8100
    (tree("largest_share", SUMS), 60.0),
    (tree("groups_to_share", SUMS, share=0.8), 2),
    (tree("steepest_rise", YEARS), 2005),
    (tree("steepest_fall", YEARS_OF_M), 2003),
    (tree("rises", YEARS_OF_M), 4),
    (tree("trend", YEARS), 2.8571),  # 50 / 17.5
    (tree("first_above_average", YEARS), 2004),
    (tree("total_change", YEARS), 16.0),
    (tree("largest_group", YEARS), 2005),
]
COMPARISONS: list[tuple[Node, Any]] = [
    (tree("shift_from_all", tree("rows_equal", ALL, col="g", value="c"), X, MEAN), 6.0),
    (tree("ratio_to_all", tree("rows_equal", ALL, col="g", value="c"), X, MEAN), 1.8),
    (tree("outlier_count", ALL, X), 1),
    (tree("z_outlier_count", ALL, X, limit=2), 1),
    (tree("shift_without_outliers", ALL, X), -1.5),
    (tree("label_of_highest", ALL, M, col_label="name"), "n10"),
    (tree("label_of_lowest", ALL, M, col_label="name"), "n3"),
    (tree("labels_of_highest", ALL, X, col_label="name", count=3), ["n11", "n10", "n9"]),
]
# p: 1 3 5 7 9 11 (mean 6, variance 14); q: 2 4 6 8 10 24 (mean 9, variance 62).
TESTS: list[tuple[Node, Any]] = [
    (statistic("t_test", *TWO), 0.843),  # 3 / sqrt(38 / 3)
    (statistic("welch_test", *TWO), 0.843),
    (statistic("rank_sum_test", *TWO), 15.0),  # pairs in which p wins: 0 + 1 + 2 + 3 + 4 + 5
    (statistic("ks_test", *TWO), 0.167),
    (statistic("levene_test", *TWO), 0.6),  # distances from the medians: 10 · 12 / 200
    (statistic("bartlett_test", *TWO), 2.314),  # (10 ln 38 - 5 ln 14 - 5 ln 62) / 1.1
    (statistic("anova", *TWO), 0.711),  # t squared: 27 / 38
    (statistic("kruskal_test", *TWO), 0.231),  # 3 / 13
    (statistic("chi_squared", CROSS), 4.8),
    # n / 6 · (S² + (K - 3)² / 4) with S = 1.6707 and K = 5.6229.
    (statistic("normality_test", ALL, X), 9.022),
    (tree("decision", tree("anova", *MANY), alpha=0.05), True),  # F = 124 / (159 / 9) = 7.02 on 2 and 9
    (tree("decision", tree("anova", *TWO), alpha=0.05), False),
    # Chi-squared with 2 degrees of freedom: exp(-4.8 / 2).
    (tree("p_value", tree("chi_squared", CROSS)), 0.0907),
    (tree("coefficient", tree("pearson", ALL, X, Y)), 1.0),
    (tree("coefficient", tree("spearman", ALL, X, E)), 1.0),
    (tree("coefficient", tree("kendall", ALL, X, M)), 0.455),  # 48 concordant, 18 discordant of 66
    (tree("slope", LINE), 2.0),
    (tree("intercept", LINE), 1.0),
    (tree("r_squared", LINE), 1.0),
    (tree("effect_size", *TWO), 0.487),  # 3 / sqrt(38)
    (tree("explained_variance", *MANY), 0.6093),  # 248 / 407
    (tree("cramers_v", CROSS), 0.6325),  # sqrt(4.8 / 12)
    (tree("largest_cell", CROSS), 4),
]
CASES = [*FILTERS, *MEASURES, *GROUPS, *OVER_TIME, *STATISTICS, *ANALYSES, *RANKINGS, *COMPARISONS, *TESTS]


def as_asked(root: Node, expected: object) -> object:
    """What was worked out by hand, to half a step of the decimals that the question asks for."""
    room = 0.5 * 10.0 ** -shape_of(root, scene_of(small_table())).decimals + 1e-9
    return pytest.approx(expected, abs=room) if isinstance(expected, float | dict) else expected


@pytest.mark.parametrize(("root", "expected"), CASES, ids=[root.key[:80] for root, _ in CASES])
def test_an_operator_gives_the_answer_worked_out_by_hand(root: Node, expected: object) -> None:
    frame = small_table()
    assert is_well_typed(root)
    got = answer_of(root, frame)
    assert got == as_asked(root, expected)
    assert type(got) is type(expected)
    pd.testing.assert_frame_equal(frame, small_table())


def test_every_operator_has_a_case() -> None:
    covered = {node.operator.name for root, _ in CASES for node in root.walk()}
    names = [operator.name for operator in CATALOGUE]
    assert len(names) == len(set(names))
    assert set(names) - covered == set()
    assert len(names) >= 100


def test_an_answer_does_not_depend_on_the_order_of_the_rows() -> None:
    frame = small_table()
    shuffled = frame.sample(frac=1, random_state=1)
    for root, expected in CASES:
        got, _ = run(program_of(root, frame), shuffled)
        assert got == as_asked(root, expected)


def test_quarters_are_cut_even_where_their_edges_coincide() -> None:
    """As the question says: a value on a cut belongs to the lower quarter, whether or not a quarter stays empty."""
    frame = small_table().assign(m=[5, 5, 5, 5, 5, 5, 5, 8, 9, 10, 12, 11])
    sizes = tree("group_size", ALL, tree("quarter", col="m"))
    program = program_of(every(sizes), small_table())
    assert run(program, frame)[0] == {"Q1": 7, "Q3": 2, "Q4": 3}


def test_what_a_change_and_a_rolling_mean_are_is_said() -> None:
    scene = scene_of(small_table())
    asked = {
        root.inputs[0].operator.name: question_text(root, shape_of(root, scene), scene, "0")
        for root in (
            tree("largest_group", tree("change", MONTHS)),
            tree("highest_value", tree("rolling_mean", QUARTERS, window=3, before=2)),
        )
    }
    assert asked["change"].endswith(
        'A calendar month is one of a certain year, written like 2001-07. The first calendar month of "d" has no '
        "change, and a fall is a negative one. Periods without such rows are passed over. Answer with its name, "
        "exactly as written."
    )
    assert 'the change of the sum of "x" against the calendar month of "d" before it in the table' in asked["change"]
    assert (
        "A rolling mean over 3 belongs to the last of them: it is the plain mean of the value of that calendar quarter "
        'of "d" and of the 2 before it in the table; the first 2 have none.'
    ) in asked["rolling_mean"]


def test_rows_without_a_value_are_left_out_by_name() -> None:
    """The program says which columns it needs, and drops rows for those only."""
    frame = small_table()
    assert answer_of(tree("summary", ALL, E, MEAN), frame) == 11.0
    assert answer_of(tree("coefficient", tree("pearson", ALL, X, E)), frame) == pytest.approx(0.866, abs=0.001)
    assert answer_of(every(tree("group_statistic", ALL, E, tree("category", col="s"), SUM)), frame) == {
        "r": 86.0,
        "t": 24.0,
    }
