"""Operators on columns: a number, a group or a period for each row."""

from __future__ import annotations

from flows.questions.programs import bindings
from flows.questions.programs.grammar import Binder, Operator, Sort

_M, _K, _H, _D = Sort.MEASURE, Sort.KEY, Sort.HALVES, Sort.DATE


def _measure(
    name: str, weight: int, code: str, words: str, bind: Binder, stem: str, tags: frozenset[str] = frozenset()
) -> Operator:
    return Operator(name, (), _M, weight, code, words, bind, variable=stem, tags=tags)


def _group(
    name: str, sort: Sort, weight: int, code: str, words: str, bind: Binder, stem: str = "", convention: str = ""
) -> Operator:
    tags: frozenset[str] = frozenset() if stem else frozenset({"as_is"})
    if sort is _D and not stem.startswith("by_"):
        tags |= {"yearly"}
    if stem in ("quarter", "half"):
        tags = frozenset({"balanced"})
    return Operator(name, (), sort, weight, code, words, bind, variable=stem, convention=convention, tags=tags)


_STANDARD = frozenset({"standardised", "relative"})
_SIGNED = frozenset({"signed"})

MEASURES = (
    _measure("column", 0, "{t}[{col!r}]", "{col}", bindings.measure, ""),
    _measure(
        "ratio",
        2,
        "{t}[{col!r}] / {t}[{col_other!r}]",
        "the ratio of {col} to {col_other}",
        bindings.positive_pair,
        "ratio",
        frozenset({"fine"}),
    ),
    _measure(
        "difference",
        2,
        "{t}[{col!r}] - {t}[{col_other!r}]",
        "the difference {col} minus {col_other}",
        bindings.like_pair,
        "difference",
        _SIGNED,
    ),
    _measure(
        "total", 2, "{t}[{col!r}] + {t}[{col_other!r}]", "the sum of {col} and {col_other}", bindings.like_pair, "total"
    ),
    _measure(
        "logarithm",
        2,
        "np.log({t}[{col!r}])",
        "the natural logarithm of {col}",
        bindings.positive,
        "logarithm",
        _SIGNED | {"fine", "monotone"},
    ),
    _measure(
        "z_score",
        2,
        "({t}[{col!r}] - {t}[{col!r}].mean()) / {t}[{col!r}].std()",
        "the z-score of {col} (mean and sample standard deviation taken over {these})",
        bindings.measure,
        "z_score",
        _STANDARD | _SIGNED | {"fine"},
    ),
    _measure(
        "rank",
        2,
        '{t}[{col!r}].rank(method="average")',
        "the rank of {col} among {these} (1 for the smallest, equal values share the mean of their ranks)",
        bindings.measure,
        "rank",
        _STANDARD,
    ),
    _measure(
        "deviation",
        2,
        "({t}[{col!r}] - {t}[{col!r}].median()).abs()",
        "the absolute deviation of {col} from its median over {these}",
        bindings.measure,
        "deviation",
        _SIGNED | {"relative"},
    ),
    _measure(
        "group_residual",
        3,
        '{t}[{col!r}] - {t}[{col!r}].groupby({t}[{col_group!r}]).transform("mean")',
        "the difference between {col} and its mean over {these} with the same {col_group}",
        lambda scene: [
            (*measure, ("col_group", dict(group)["col"]))
            for measure in bindings.measure(scene)
            for group in bindings.category(scene)
        ],
        "residual",
        _SIGNED | {"centred", "relative"},
    ),
)

GROUPS = (
    _group("category", _K, 0, "{t}[{col!r}]", "value of {col}", bindings.wide_category),
    _group("binary", _H, 0, "{t}[{col!r}]", "value of {col}", bindings.binary),
    _group(
        "combination",
        _K,
        2,
        '{t}[{col!r}] + " / " + {t}[{col_other!r}]',
        "combination of {col} and {col_other}",
        bindings.two_categories,
        "combination",
        'Write a combination as the two values in that order with " / " between them.',
    ),
    _group(
        "quarter",
        _K,
        2,
        "cuts = {t}[{col!r}].quantile([0.25, 0.5, 0.75])\n"
        'pd.Series(np.searchsorted({cuts}, {t}[{col!r}]) + 1, index={t}.index, dtype="int64").map("Q{{}}".format)',
        "quarter of {col}",
        bindings.quartiled,
        "quarter",
        "The quarters Q1 (lowest) to Q4 (highest) are cut at the quartiles over {these} (linear interpolation); a "
        "value on a cut belongs to the lower quarter.",
    ),
    _group(
        "half",
        _H,
        1,
        'pd.Series(np.where({t}[{col!r}] > {t}[{col!r}].median(), "high", "low"), index={t}.index)',
        "half of {col}",
        bindings.quartiled,
        "half",
        'The half "high" holds the values above the median over {these}, "low" the others.',
    ),
    _group(
        "fixed_half",
        _H,
        1,
        'pd.Series(np.where({t}[{col!r}] >= {value!r}, "high", "low"), index={t}.index)',
        "level of {col}",
        bindings.threshold(1),
        "level",
        'The level of {col} is "high" from {value} upwards and "low" below.',
    ),
    _group(
        "gap",
        _H,
        2,
        'pd.Series(np.where({t}[{col_gap!r}].isna(), "missing", "given"), index={t}.index)',
        'state of {col_gap} ("missing" or "given")',
        lambda scene: [(("col_gap", dict(params)["col"]),) for params in bindings.gappy(scene)],
        "state",
    ),
    _group(
        "month",
        _K,
        1,
        "{date}.dt.month",
        "month of {col_date}",
        bindings.date,
        "month",
        "Months are the numbers 1 (January) to 12, whatever the year.",
    ),
    _group(
        "weekday",
        _K,
        1,
        "{date}.dt.day_name()",
        "weekday of {col_date}",
        bindings.weekdays,
        "weekday",
        "Weekdays are their English names.",
    ),
    _group(
        "quarter_of_year",
        _K,
        1,
        "{date}.dt.quarter",
        "quarter of the year of {col_date}",
        bindings.quarters_of_the_year,
        "quarter_of_year",
        "Quarters of the year are the numbers 1 (January to March) to 4, whatever the year.",
    ),
    _group(
        "decade",
        _K,
        2,
        "{date}.dt.year // 10 * 10",
        "decade of {col_date}",
        bindings.dated_years,
        "decade",
        "A decade is given by its first year, such as 1990.",
    ),
)

PERIODS = (
    _group("year", _D, 1, "{date}.dt.year", "calendar year of {col_date}", bindings.dated_years, "year"),
    _group(
        "calendar_quarter",
        _D,
        2,
        'days = {date}\n{days}.dt.strftime("%Y-Q") + {days}.dt.quarter.astype("Int64").astype("string")',
        "calendar quarter of {col_date}",
        bindings.dated_quarters,
        "by_quarter",
        "A calendar quarter is one of a certain year, written like 2001-Q3.",
    ),
    _group(
        "calendar_month",
        _D,
        2,
        '{date}.dt.strftime("%Y-%m")',
        "calendar month of {col_date}",
        bindings.dated_months,
        "by_month",
        "A calendar month is one of a certain year, written like 2001-07.",
    ),
    _group("year_column", _D, 0, "{t}[{col!r}]", "value of {col}", bindings.year_column),
)

OPERATORS = (*MEASURES, *GROUPS, *PERIODS)
