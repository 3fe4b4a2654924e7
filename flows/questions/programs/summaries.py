"""Statistics: many numbers to one, the same for a column, for groups and for periods."""

from __future__ import annotations

from flows.questions.programs import bindings
from flows.questions.programs.grammar import Binder, Operator, Sort, unbound

_STD = "Standard deviations and variances are those of a sample (divided by n - 1)."
_QUANTILES = "Quantiles are found by linear interpolation."
_NATIVE = frozenset({"native"})
"""The same expression serves a column and a grouping."""


def _statistic(
    name: str,
    weight: int,
    code: str,
    words: str,
    stem: str,
    *,
    bind: Binder = unbound,
    convention: str = "",
    decimals: int | None = None,
    tags: frozenset[str] = frozenset(),
    refuses: frozenset[str] = frozenset(),
) -> Operator:
    return Operator(
        name,
        (),
        Sort.STATISTIC,
        weight,
        code,
        words,
        bind,
        variable=stem,
        convention=convention,
        decimals=decimals,
        tags=tags,
        refuses=refuses,
    )


_POSITIVE = frozenset({"positive"})
"""Only of numbers above zero."""
_SHAPE = frozenset({"shape"})
"""The same for z-scores as for the column itself."""
_EXTREME = frozenset({"extreme"})
"""One row decides."""

OPERATORS = (
    _statistic("mean", 0, "{x}.mean()", "mean", "mean", tags=_NATIVE | {"centre"}),
    _statistic("median", 0, "{x}.median()", "median", "median", tags=_NATIVE | {"centre"}),
    _statistic("std", 1, "{x}.std()", "sample standard deviation", "std", convention=_STD, tags=_NATIVE | {"spread"}),
    _statistic("var", 1, "{x}.var()", "sample variance", "variance", convention=_STD, tags=_NATIVE | {"spread"}),
    _statistic(
        "sem",
        1,
        "{x}.sem()",
        "standard error of the mean",
        "sem",
        convention="The standard error is the sample standard deviation (divided by n - 1) over the square root of "
        "the number of values.",
        tags=_NATIVE | {"spread"},
    ),
    _statistic("sum", 0, "{x}.sum()", "sum", "total", tags=_NATIVE | _POSITIVE | {"additive"}),
    _statistic("minimum", 0, "{x}.min()", "minimum", "lowest", tags=_NATIVE | _EXTREME),
    _statistic("maximum", 0, "{x}.max()", "maximum", "highest", tags=_NATIVE | _EXTREME),
    _statistic("range", 1, "{x}.max() - {x}.min()", "range (maximum minus minimum)", "spread", tags=_NATIVE | _EXTREME),
    _statistic(
        "iqr",
        1,
        "{x}.quantile(0.75) - {x}.quantile(0.25)",
        "interquartile range",
        "iqr",
        convention=_QUANTILES,
        tags=_NATIVE | {"spread"},
    ),
    _statistic(
        "quantile",
        1,
        "{x}.quantile({share!r})",
        "{share:.0%} quantile",
        "quantile",
        bind=bindings.choices("share", (0.1, 0.25, 0.75, 0.9)),
        convention=_QUANTILES,
        tags=_NATIVE,
    ),
    _statistic(
        "midhinge",
        2,
        "({x}.quantile(0.25) + {x}.quantile(0.75)) / 2",
        "mean of the lower and the upper quartile",
        "midhinge",
        convention=_QUANTILES,
        tags=_NATIVE | {"centre"},
    ),
    _statistic(
        "distinct", 0, "{x}.nunique()", "number of distinct values", "distinct", decimals=0, tags=_NATIVE | {"whole"}
    ),
    _statistic(
        "skew",
        2,
        "{x}.skew()",
        "skewness",
        "skewness",
        decimals=3,
        tags=_NATIVE | _SHAPE | {"spread"},
        convention="Skewness is the adjusted Fisher-Pearson coefficient of a sample (bias-corrected).",
    ),
    _statistic(
        "kurtosis",
        2,
        "stats.kurtosis({x}, bias=False)",
        "excess kurtosis",
        "kurtosis",
        decimals=3,
        tags=_SHAPE,
        convention="Excess kurtosis is that of a sample (bias-corrected), 0 for a normal distribution.",
    ),
    _statistic(
        "variation",
        1,
        "{x}.std() / {x}.mean()",
        "coefficient of variation",
        "variation",
        decimals=4,
        tags=_NATIVE | _POSITIVE | {"spread"},
        convention="The coefficient of variation is the sample standard deviation (divided by n - 1) over the mean.",
    ),
    _statistic(
        "quartile_dispersion",
        2,
        "({x}.quantile(0.75) - {x}.quantile(0.25)) / ({x}.quantile(0.75) + {x}.quantile(0.25))",
        "quartile coefficient of dispersion",
        "dispersion",
        decimals=4,
        tags=_NATIVE | _POSITIVE | {"spread"},
        convention="The quartile coefficient of dispersion is (Q3 - Q1) / (Q3 + Q1), with quartiles by linear "
        "interpolation.",
    ),
    _statistic(
        "mad",
        2,
        "({x} - {x}.median()).abs().median()",
        "median absolute deviation",
        "mad",
        tags=frozenset({"spread"}),
        convention="The median absolute deviation is the median distance from the median, without a scale factor.",
    ),
    _statistic(
        "trimmed_mean",
        2,
        "stats.trim_mean({x}, 0.1)",
        "10 % trimmed mean",
        "trimmed",
        tags=frozenset({"centre"}),
        convention="The trimmed mean leaves out the lowest and the highest 10 % of the values, their number rounded "
        "down on each side.",
    ),
    _statistic("geometric_mean", 2, "stats.gmean({x})", "geometric mean", "geometric", tags=_POSITIVE | {"centre"}),
    _statistic(
        "gini",
        3,
        "(2 * np.arange(1, len({x}) + 1) - len({x}) - 1) @ np.sort({x}) / (len({x}) * {x}.sum())",
        "Gini coefficient",
        "gini",
        decimals=4,
        tags=_POSITIVE | {"spread"},
        convention="The Gini coefficient is the mean absolute difference over all ordered pairs of values, a value "
        "with itself included, divided by twice the mean.",
    ),
    _statistic(
        "top_tenth_share",
        3,
        "{x}[{x} >= {x}.quantile(0.9)].sum() / {x}.sum()",
        "share of the sum that falls to the values at or above the 90 % quantile",
        "top_share",
        decimals=4,
        tags=_POSITIVE,
        convention="Give shares as fractions between 0 and 1. " + _QUANTILES,
    ),
)
