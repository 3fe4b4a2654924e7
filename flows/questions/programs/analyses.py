"""Operators between the columns and the answer: rankings, timelines, tests, correlations, fits."""

from __future__ import annotations

from collections.abc import Sequence

from flows.questions.programs import bindings
from flows.questions.programs.grammar import Operator, Params, Scene, Sort

_T, _M, _K, _H, _D, _S = Sort.TABLE, Sort.MEASURE, Sort.KEY, Sort.HALVES, Sort.DATE, Sort.STATISTIC
_ROWS = {"rows": "len({t})"}
_GROUPED = _ROWS | {"smallest_group": "{2}.value_counts().min()"}
_COUNTED = _ROWS | {"smallest_group": "{1}.value_counts().min()"}
# Bartlett's test of scipy takes no whole numbers.
_AS_FLOATS = 'stats.bartlett(*[values.astype("float64") for _, values in {1}.groupby({2})])'
_LISTED = "[values for _, values in {1}.groupby({2})]"


def _other_column(scene: Scene) -> Sequence[Params]:
    return [(("col_by", column.name),) for column in scene.columns.measures]


def _windows(scene: Scene) -> Sequence[Params]:
    del scene
    return [(("window", length), ("before", length - 1)) for length in (3, 4)]


RANKINGS = (
    Operator(
        "group_statistic",
        (_T, _M, _K, _S),
        Sort.RANKING,
        1,
        "{s}",
        "the {3} of {1}",
        variable="by_group",
        facts=_GROUPED,
        refuses=frozenset({"centred"}),
    ),
    Operator(
        "group_size",
        (_T, _K),
        Sort.RANKING,
        1,
        "{1}.value_counts()",
        "the number of rows",
        variable="sizes",
        facts=_COUNTED,
        tags=frozenset({"additive", "whole"}),
        decimals=0,
        refuses=frozenset({"balanced"}),
    ),
    Operator(
        "group_share",
        (_T, _K),
        Sort.RANKING,
        1,
        "{1}.value_counts(normalize=True) * 100",
        "the percentage of rows",
        variable="shares",
        facts=_COUNTED,
        decimals=2,
        refuses=frozenset({"balanced"}),
    ),
    Operator(
        "group_share_above",
        (_T, _M, _K),
        Sort.RANKING,
        3,
        "({1} > {1}.median()).groupby({2}).mean() * 100",
        "the percentage of rows whose value of {1} is above the median over all these groups together",
        variable="above",
        facts=_GROUPED,
        decimals=2,
        refuses=frozenset({"relative"}),
    ),
    Operator(
        "group_correlation",
        (_T, _M, _K),
        Sort.RANKING,
        3,
        "{t}.groupby({2})[[{col_by!r}]].apply(lambda part: part[{col_by!r}].corr({1}.loc[part.index]))",
        "the Pearson correlation between {col_by} and {1}",
        _other_column,
        variable="correlations",
        facts=_GROUPED,
        decimals=3,
        refuses=frozenset({"relative"}),
    ),
    Operator(
        "group_slope",
        (_T, _M, _K),
        Sort.RANKING,
        3,
        "{t}.groupby({2})[[{col_by!r}]].apply(lambda part: stats.linregress(part[{col_by!r}], "
        "{1}.loc[part.index]).slope)",
        "the least-squares slope of {1} on {col_by}",
        _other_column,
        variable="slopes",
        facts=_GROUPED,
        decimals=4,
        refuses=frozenset({"relative"}),
        tags=frozenset({"signed"}),
    ),
    Operator(
        "group_outliers",
        (_T, _M, _K),
        Sort.RANKING,
        3,
        "width = {1}.quantile(0.75) - {1}.quantile(0.25)\n"
        "low = {1}.quantile(0.25) - 1.5 * {width}\n"
        "high = {1}.quantile(0.75) + 1.5 * {width}\n"
        "(({1} < {low}) | ({1} > {high})).groupby({2}).sum()",
        "the number of outliers of {1}",
        variable="outliers",
        facts=_GROUPED,
        decimals=0,
        convention="An outlier lies more than 1.5 times the interquartile range below the lower or above the upper "
        "quartile, all taken over {these} as a whole (linear interpolation).",
        tags=frozenset({"whole"}),
        refuses=frozenset({"relative"}),
    ),
    Operator(
        "correlations_with",
        (_T,),
        Sort.RANKING,
        2,
        "{t}[{cols!r}].corrwith({t}[{col!r}])",
        "the Pearson correlation with {col}",
        bindings.compared_with,
        variable="correlations",
        facts=_ROWS,
        decimals=3,
        tags=frozenset({"of_columns"}),
    ),
    Operator(
        "rank_correlations_with",
        (_T,),
        Sort.RANKING,
        2,
        '{t}[{cols!r}].corrwith({t}[{col!r}], method="spearman").abs()',
        "the Spearman rank correlation with {col} in absolute value",
        bindings.compared_with,
        variable="strengths",
        facts=_ROWS,
        decimals=3,
        tags=frozenset({"of_columns"}),
    ),
    Operator(
        "column_skews",
        (_T,),
        Sort.RANKING,
        2,
        "{t}[{cols!r}].skew().abs()",
        "the skewness in absolute value",
        bindings.several,
        variable="skews",
        facts=_ROWS,
        decimals=3,
        convention="Skewness is the adjusted Fisher-Pearson coefficient of a sample (bias-corrected).",
        tags=frozenset({"of_columns"}),
    ),
    Operator(
        "pair_correlations",
        (_T,),
        Sort.PAIRING,
        3,
        "matrix = {t}[{cols!r}].corr().abs()\n"
        "{matrix}.where(np.triu(np.ones({matrix}.shape, dtype=bool), k=1)).stack().dropna()",
        "the Pearson correlation in absolute value",
        bindings.several,
        variable="pairs",
        facts=_ROWS,
        decimals=3,
        tags=frozenset({"of_columns"}),
    ),
    Operator(
        "period_statistic",
        (_T, _M, _D, _S),
        Sort.TIMELINE,
        1,
        "{s}",
        "the {3} of {1}",
        variable="by_period",
        facts=_GROUPED,
        refuses=frozenset({"relative"}),
    ),
)

_PASSED_OVER = "Periods without such rows are passed over."
OVER_TIME = (
    Operator(
        "period_size",
        (_T, _D),
        Sort.TIMELINE,
        1,
        "{1}.value_counts().sort_index()",
        "the number of rows",
        variable="by_period",
        facts=_COUNTED,
        tags=frozenset({"additive", "whole"}),
        decimals=0,
    ),
    Operator(
        "change",
        (Sort.TIMELINE,),
        Sort.TIMELINE,
        2,
        "{0}.diff().dropna()",
        "the change of {0} against the {key} before it in the table",
        variable="changes",
        convention=f"The first {{key}} has no change, and a fall is a negative one. {_PASSED_OVER}",
        tags=frozenset({"derived", "change", "signed"}),
        refuses=frozenset({"derived"}),
    ),
    Operator(
        "relative_change",
        (Sort.TIMELINE,),
        Sort.TIMELINE,
        3,
        "{0}.pct_change().dropna() * 100",
        "the change of {0} in percent of its value for the {key} before it in the table",
        variable="changes",
        convention=f"The first {{key}} has no change, and a fall is a negative one. {_PASSED_OVER}",
        decimals=2,
        tags=frozenset({"derived", "change", "signed"}),
        refuses=frozenset({"derived", "signed", "shape", "spread"}),
    ),
    Operator(
        "rolling_mean",
        (Sort.TIMELINE,),
        Sort.TIMELINE,
        3,
        "{0}.rolling({window!r}).mean().dropna()",
        "the rolling mean over {window} of {0}",
        _windows,
        variable="rolling",
        convention="A rolling mean over {window} belongs to the last of them: it is the plain mean of the value of "
        f"that {{key}} and of the {{before}} before it in the table; the first {{before}} have none. {_PASSED_OVER}",
        tags=frozenset({"derived"}),
        refuses=frozenset({"derived", "whole"}),
    ),
)

CROSSES = (
    Operator(
        "cross_count",
        (_T, _K, _K),
        Sort.CROSS,
        2,
        "pd.crosstab({1}, {2})",
        "the {1} and the {2}",
        variable="counts",
        facts=_ROWS | {"smallest_group": "min({out}.sum(axis=0).min(), {out}.sum(axis=1).min())"},
    ),
)


def _test(
    name: str,
    code: str,
    words: str,
    weight: int,
    convention: str,
    takes: tuple[Sort, ...],
    tags: frozenset[str] = frozenset(),
) -> Operator:
    return Operator(
        name,
        takes,
        Sort.TEST,
        weight,
        code,
        words,
        variable="test",
        facts=_GROUPED,
        convention=convention,
        tags=tags,
        refuses=frozenset({"relative", "extreme"}),
    )


_TWO, _MANY = (_T, _M, _H), (_T, _M, _K)
_DIRECTED = frozenset({"directed"})
"""Of tests whose statistic has a sign that depends on which group is the first."""
_BETWEEN = "between the groups formed by the {2}"

TESTS = (
    _test(
        "t_test",
        f"stats.ttest_ind(*{_LISTED})",
        f"Student's t-test of {{1}} {_BETWEEN}",
        2,
        "Student's t-test assumes equal variances and is two-sided.",
        _TWO,
        _DIRECTED,
    ),
    _test(
        "welch_test",
        f"stats.ttest_ind(*{_LISTED}, equal_var=False)",
        f"Welch's t-test of {{1}} {_BETWEEN}",
        2,
        "Welch's t-test does not assume equal variances and is two-sided.",
        _TWO,
        _DIRECTED,
    ),
    _test(
        "rank_sum_test",
        f'stats.mannwhitneyu(*{_LISTED}, method="asymptotic")',
        f"the Mann-Whitney U test of {{1}} {_BETWEEN}",
        3,
        "The Mann-Whitney test is two-sided, with the normal approximation corrected for ties and for continuity; its "
        "statistic is U of the group whose name comes first in sorted order.",
        _TWO,
    ),
    _test(
        "ks_test",
        f"stats.ks_2samp(*{_LISTED})",
        f"the two-sample Kolmogorov-Smirnov test of {{1}} {_BETWEEN}",
        3,
        "The Kolmogorov-Smirnov test is two-sided.",
        _TWO,
    ),
    _test(
        "levene_test",
        f"stats.levene(*{_LISTED})",
        f"Levene's test of equal variances of {{1}} {_BETWEEN}",
        3,
        "Levene's test is centred on the median (Brown-Forsythe).",
        _MANY,
    ),
    _test(
        "bartlett_test",
        _AS_FLOATS,
        f"Bartlett's test of equal variances of {{1}} {_BETWEEN}",
        3,
        "",
        _MANY,
    ),
    _test(
        "anova",
        f"stats.f_oneway(*{_LISTED})",
        f"the one-way analysis of variance (F test) of {{1}} {_BETWEEN}",
        2,
        "",
        _MANY,
    ),
    _test(
        "kruskal_test",
        f"stats.kruskal(*{_LISTED})",
        f"the Kruskal-Wallis H test of {{1}} {_BETWEEN}",
        3,
        "The Kruskal-Wallis statistic is corrected for ties.",
        _MANY,
    ),
    Operator(
        "chi_squared",
        (Sort.CROSS,),
        Sort.TEST,
        2,
        "stats.chi2_contingency({0}, correction=False)",
        "the chi-squared test of independence of {0}",
        variable="test",
        facts={"smallest_group": "np.floor({0}.sum(axis=1).min() * {0}.sum(axis=0).min() / {0}.to_numpy().sum())"},
        convention="The chi-squared test is made without Yates' continuity correction.",
    ),
    Operator(
        "normality_test",
        (_T, _M),
        Sort.TEST,
        2,
        "stats.jarque_bera({1})",
        "the Jarque-Bera test of normality of {1}",
        variable="test",
        facts=_ROWS,
        tags=frozenset({"normality"}),
        refuses=frozenset({"relative"}),
    ),
)

CORRELATIONS = tuple(
    Operator(
        name,
        (_T, _M, _M),
        Sort.CORRELATION,
        weight,
        f"stats.{function}({{1}}, {{2}})",
        f"the {words} between {{1}} and {{2}}",
        variable="correlation",
        facts=_ROWS,
        refuses=frozenset({"relative"}),
        convention=convention,
        tags=frozenset({"correlation"}),
    )
    for name, function, words, weight, convention in (
        ("pearson", "pearsonr", "Pearson correlation", 1, "P-values of correlations are two-sided."),
        (
            "spearman",
            "spearmanr",
            "Spearman rank correlation",
            2,
            "The p-value of a Spearman correlation is two-sided, by the t approximation.",
        ),
        ("kendall", "kendalltau", "Kendall rank correlation", 2, "Kendall's correlation is tau-b."),
    )
)

FITS = (
    Operator(
        "line",
        (_T, _M, _M),
        Sort.FIT,
        2,
        "stats.linregress({1}, {2})",
        "the least-squares line (with intercept) that predicts {2} from {1}",
        variable="line",
        facts=_ROWS,
        refuses=frozenset({"relative"}),
    ),
)

OPERATORS = (*RANKINGS, *OVER_TIME, *CROSSES, *TESTS, *CORRELATIONS, *FITS)
