"""Small tables and what each template's question answers on them, worked out by hand."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from flows.questions.templates.template import Binding, Slot, column, columns, dates, decimals, number, value
from flows.tables.column_facts import table_facts
from flows.tables.profiling import ColumnProfile, DatasetProfile

TABLES: Mapping[str, str] = {
    "copies": "n,s\n1,x\n1,x\n1,x\n2,y\n2,\n2,\n",
    "gaps": "key,a,b,c\n1,,,p\n2,,,p\n3,,5,q\n4,1,,q\n5,2,7,r\n6,1,5,r\n",
    # Mean 5, squared deviations 32; quartile fences of `far` at -4.5 and 13.5.
    "numbers": "v,far\n2,-50\n4,1\n4,2\n4,3\n5,4\n5,5\n7,6\n9,7\n,99\n,100\n",
    "half": "v,k\n1,1\n2,1\n3,1\n,1\n,1\n,1\n",
    "fives": "even,odd\n1,1\n2,2\n3,3\n4,4\n6,100\n",
    # Ten 0 and ten 2, then 12, which is far only once 1000 is gone; `plain` has nothing far.
    "spikes": "v,plain,line\n" + "".join(f"{2 * (i % 2)},{i % 2},{i}\n" for i in range(20)) + "12,0,20\n1000,1,21\n",
    # z is orthogonal to x; r(x, y) squared is 132.25 / 133.75; u is x with the middle two swapped.
    "four": "x,y,z,u\n1,2,1,1\n2,4,-1,3\n3,6,-1,2\n4,9,1,4\n",
    "outlying": "x,y\n1,1\n2,2\n3,3\n4,4\n5,5\n6,6\n7,8\n8,7\n100,0\n,3\n",
    "quarters": "x,y\n1,1\n2,1\n3,9\n4,10\n5,2\n6,2\n7,3\n8,3\n,50\n",
    # y = 3p + 2q + s with orthogonal p, q, s: R squared of p and q is 104 / 112.
    "design": "y,p,q,s\n"
    + "".join(f"{3 * p + 2 * q + s},{p},{q},{s}\n" for s in (1, -1) for p in (1, -1) for q in (1, -1)),
    "groups": "g,h,x,t,s,k\n"
    "a,p,1,1,1,1\na,p,2,2,1,2\na,q,3,3,1,3\na,q,4,4,9,4\nb,p,6,4,2,5\nb,p,7,3,2,6\n"
    "b,p,8,2,2,7\nb,q,9,1,8,8\nc,q,2,5,0,9\nc,q,3,5,0,10\nc,p,4,5,0,11\nc,p,5,6,4,12\n,p,900,7,,13\nc,p,,7,,14\n",
    "tails": "g,x\na,1\na,2\na,3\na,4\na,100\nb,1\nb,2\nb,3\nb,4\nb,5\n",
    "cells": "g,h,x\n" + "u,m,10\n" * 5 + "v,n,7\n" * 5 + "u,n,99\n" * 2 + "v,,999\n" * 6,
    "counts": "g,h\n" + "a,m\n" * 10 + "a,n\n" * 20 + "b,m\n" * 20 + "b,n\n" * 10 + "a,\n" * 7,
    "spreads": "g,x\na,1\na,2\na,3\nb,0\nb,5\nb,10\nb,\n",
    "coin": "g,x\nlow,1\nlow,2\nhigh,10\nhigh,0\nlow,\n",
    "scales": "g,x\n" + "".join(f"a,{i}\nb,{10 * i}\n" for i in range(1, 9)),
    "wild": "g,x\na,1\na,2\na,3\na,4\na,100\nb,5\nb,6\nb,7\nb,8\nb,9\n",
    "days": "day,v\n2020-02-01,10\n2020-01-01,1\n2020-01-11,3\n2021-02-01,20\n2021-01-01,2\n2021-03-01,\n",
    # From the first to the last day it is 1461 days, four years of 365.25 days.
    "trend": "day,v\n2024-01-01,11\n2020-01-01,3\n2022-01-01,\n",
    "animals": "s\nRed fox\nred deer\nBlue whale\nred kite\n\nRed fox\n".replace("\n\n", '\n""\n'),
    "named": "name,x,y\nA,10,5\nB,9,3\nC,8,8\nD,,1\nE,7,7\n",
}


@dataclass(frozen=True)
class Case:
    """One question on one table: the template, how its blanks are filled, and the answer."""

    template: str
    table: str
    slots: Mapping[str, Any]
    expected: Any

    def binding(self) -> Binding:
        """The slots: a text names a column, a list several columns, everything else is a slot already."""
        by_name = facts(self.table)
        return {name: _slot(given, by_name) for name, given in self.slots.items()}


def frame(table: str) -> pd.DataFrame:
    """A table as a session finds it."""
    return pd.read_csv(io.StringIO(TABLES[table]))


def facts(table: str) -> dict[str, ColumnProfile]:
    """The profile of a table's columns, by name."""
    profile = DatasetProfile.model_validate(table_facts(frame(table)))
    return {fact.name: fact for fact in profile.facts}


def _slot(given: Any, by_name: Mapping[str, ColumnProfile]) -> Slot:
    if isinstance(given, Slot):
        return given
    if isinstance(given, list):
        return columns(tuple(by_name[name] for name in given))
    found = by_name[given]
    return dates(found) if found.date_like else column(found)


_D1, _D2, _D3, _D4 = (decimals(places) for places in range(1, 5))
_EACH = Slot("", 'date of "day", without the time of day')
_CLOCK = Slot("", ", and ignore the time of day")
_YEAR = {"t": "day", "each": Slot("", 'calendar year of "day"'), "x": "v"}
_TWO = Slot("2", "2")
_A, _B, _C = value("a"), value("b"), value("c")

CASES = (
    Case("count_high_missing_columns", "gaps", {"share": Slot("0.4", "40%")}, 2),
    Case("duplicate_rows_summary", "copies", {}, {"repeated": 3, "distinct": 3}),
    Case("identifier_like_columns", "gaps", {}, ["key"]),
    Case("missing_together", "gaps", {}, ["a", "b"]),
    Case("coefficient_of_variation", "numbers", {"x": "v", "d": _D3}, 0.428),
    Case("iqr_outlier_analysis", "numbers", {"x": "far"}, {"below": 1, "above": 2}),
    Case("percentile_ranking", "numbers", {"x": "v", "threshold": number(5), "d": _D1}, 75.0),
    Case(
        "descriptive_summary",
        "numbers",
        {"x": "v", "d": _D2},
        {"mean": 5.0, "median": 4.5, "std": 2.14, "min": 2.0, "max": 9.0},
    ),
    Case(
        "range_to_category",
        "numbers",
        {"x": "v", "first": number(4), "second": number(7)},
        {"low": 1, "middle": 5, "high": 2},
    ),
    Case("ks_normality_test", "half", {"x": "v", "d": _D4}, 0.1747),
    Case("conditional_normality", "fives", {"x": "even", "d": _D2}, {"measure": "mean", "value": 3.2}),
    Case("conditional_normality", "fives", {"x": "odd", "d": _D2}, {"measure": "median", "value": 3.0}),
    Case("audit_missing_imputation_effect", "half", {"x": "v", "d": _D2}, -36.75),
    Case("iterative_outlier_removal", "spikes", {"x": "v", "d": _D2}, {"rounds": 2, "removed": 2, "mean": 1.0}),
    Case("iterative_outlier_removal", "spikes", {"x": "line", "d": _D2}, {"rounds": 0, "removed": 0, "mean": 10.5}),
    Case("weighted_mean", "four", {"x": "x", "w": "y", "d": _D2}, 3.05),
    Case("max_variance_mean", "four", {"xs": ["x", "y", "z"], "d": _D2}, 5.25),
    Case("min_mean_column_std", "four", {"xs": ["x", "y", "z"], "d": _D2}, 1.15),
    Case("strongest_correlation", "four", {"xs": ["x", "y", "z"]}, ["y", "x"]),
    Case("weakest_correlation", "four", {"xs": ["x", "y", "z"]}, ["z", "x"]),
    Case("count_outlier_columns", "spikes", {"xs": ["v", "plain", "line"]}, 1),
    Case("spearman_rank_correlation", "four", {"x": "x", "y": "u", "d": _D3}, 0.8),
    Case("correlation_after_outlier_removal", "outlying", {"x": "x", "y": "y", "d": _D3}, 0.976),
    Case(
        "regression_most_predictive",
        "four",
        {"y": "y", "xs": ["x", "z"], "d": _D3},
        {"column": "x", "r_squared": 0.989},
    ),
    Case("quantile_bin_best_mean", "quarters", {"x": "x", "y": "y", "d": _D2}, {"quarter": 2, "mean": 9.5}),
    Case(
        "multiple_regression_top_predictors",
        "design",
        {"y": "y", "xs": ["s", "q", "p"], "d": _D3},
        {"predictors": ["p", "q"], "adjusted_r_squared": 0.9},
    ),
    Case("top_value_share", "tails", {"g": "g", "d": _D1}, {"value": "a", "percentage": 50.0}),
    Case("top_value_share", "cells", {"g": "h", "d": _D1}, {"value": "n", "percentage": 58.3}),
    Case(
        "group_summary_table",
        "groups",
        {"g": "g", "x": "x", "d": _D2},
        [
            {"group": "c", "count": 4, "mean": 3.5, "std": 1.29},
            {"group": "b", "count": 4, "mean": 7.5, "std": 1.29},
            {"group": "a", "count": 4, "mean": 2.5, "std": 1.29},
        ],
    ),
    Case("pivot_highest_cell", "cells", {"g": "g", "h": "h", "x": "x"}, ["u", "m"]),
    Case("conditional_share", "groups", {"g": "g", "a": _B, "x": "x", "d": _D1}, 80.0),
    Case("category_highest_target_mean", "groups", {"g": "g", "x": "x", "d": _D2}, {"group": "b", "difference": 3.0}),
    Case("rank_categories_by_target_mean", "groups", {"g": "g", "x": "x"}, ["b", "c", "a"]),
    Case("correlation_change_analysis", "groups", {"g": "g", "a": _A, "b": _B, "x": "x", "y": "t", "d": _D3}, 2.0),
    Case("segment_then_analyze_outliers", "tails", {"g": "g", "x": "x", "d": _D1}, {"group": "a", "percentage": 20.0}),
    Case("pareto_count", "groups", {"g": "g", "x": "x"}, 2),
    Case("skewed_in_every_group", "groups", {"g": "g", "x": "x"}, False),
    Case("is_group_mean_higher", "groups", {"g": "g", "a": _A, "b": _B, "x": "x"}, False),
    Case("is_group_mean_higher", "groups", {"g": "g", "a": _B, "b": _A, "x": "x"}, True),
    Case("varies_more", "fives", {"x": "even", "y": "odd"}, False),
    Case("varies_more", "fives", {"x": "odd", "y": "even"}, True),
    Case("skewed_in_every_group", "groups", {"g": "g", "x": "s"}, True),
    Case(
        "chi_squared_independence",
        "counts",
        {"g": "g", "h": "h", "d": _D2},
        {"statistic": 6.67, "degrees_of_freedom": 1},
    ),
    Case("mann_whitney_u_test", "groups", {"g": "g", "a": _A, "b": _C, "x": "x", "d": _D1}, 4.5),
    Case("levene_variance_test", "spreads", {"g": "g", "x": "x", "d": _D3}, 2.462),
    Case(
        "ttest_discovered_groups",
        "groups",
        {"g": "g", "x": "x", "d": _D3},
        {"highest": "b", "lowest": "a", "t": 5.477},
    ),
    # A resample of 0 and 10 has the mean 0, 5 or 10, with a quarter of the chances at either end.
    Case(
        "bootstrap_ci_discovered",
        "coin",
        {"g": "g", "x": "x", "seed": Slot("7", "7"), "d": _D2},
        {"group": "high", "low": 0.0, "high": 10.0},
    ),
    # By g the means are 2.5, 6.5 and 11.2 of 4, 4 and 5 values: 170.12 / 2 between, 24.8 / 10 within.
    Case("anova_discovered_groups", "groups", {"gs": ["g", "h"], "x": "k", "d": _D2}, {"column": "g", "F": 34.3}),
    Case(
        "adaptive_two_sample_test",
        "groups",
        {"g": "g", "a": _A, "b": _B, "x": "x", "d": _D3},
        {"test": "student", "statistic": -5.477},
    ),
    Case(
        "adaptive_two_sample_test",
        "scales",
        {"g": "g", "a": _A, "b": _B, "x": "x", "d": _D3},
        {"test": "welch", "statistic": -4.653},
    ),
    Case(
        "adaptive_two_sample_test",
        "wild",
        {"g": "g", "a": _A, "b": _B, "x": "x", "d": _D3},
        {"test": "mann-whitney", "statistic": 5.0},
    ),
    Case("longest_text", "animals", {"s": "s"}, "Blue whale"),
    Case("repeated_values", "animals", {"s": "s"}, 1),
    Case("frequent_first_word", "animals", {"s": "s"}, {"word": "red", "rows": 4}),
    Case("leading_labels", "named", {"s": "name", "x": "x", "k": Slot("3", "3")}, ["A", "B", "C"]),
    Case(
        "label_of_highest_ratio",
        "named",
        {"s": "name", "x": "x", "y": "y", "d": _D3},
        {"value": "B", "ratio": 3.0},
    ),
    Case("first_date_above", "days", {"t": "day", "x": "v", "threshold": number(5)}, "2020-02-01"),
    Case("date_span", "days", {"t": "day", "clock": _CLOCK}, 425),
    Case("longest_date_gap", "days", {"t": "day", "clock": _CLOCK}, 335),
    Case("month_with_highest_mean", "days", {"t": "day", "x": "v", "d": _D2}, {"month": 2, "mean": 15.0}),
    Case("change_from_first_to_last_year", "days", {"t": "day", "x": "v", "d": _D2}, 6.33),
    Case("year_with_most_gaps", "days", _YEAR, {"year": 2021, "missing": 1}),
    Case("year_of_widest_range", "days", _YEAR | {"d": _D2}, {"year": 2021, "range": 18.0}),
    Case("year_of_largest_rise", "days", _YEAR | {"d": _D2}, {"year": 2021, "rise": 6.33}),
    Case("highest_running_mean", "days", {"t": "day", "each": _EACH, "x": "v", "length": _TWO, "d": _D2}, 11.0),
    Case("trend_per_year", "trend", {"t": "day", "x": "v", "d": _D3}, 2.0),
    Case("correlation_with_previous_date", "days", {"t": "day", "each": _EACH, "x": "v", "d": _D3}, -0.462),
    Case("longest_rise", "days", {"t": "day", "each": _EACH, "x": "v"}, 2),
)
