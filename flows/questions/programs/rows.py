"""Operators on rows: what is left of a table. Missing values meet no condition, and the words say what is compared."""

from __future__ import annotations

from flows.questions.programs import bindings
from flows.questions.programs.grammar import Binder, Operator, Sort

_T, _M, _K = Sort.TABLE, Sort.MEASURE, Sort.KEY
_FACTS = {"rows": "len({out})", "trivial": "len({out}) == len({0})"}


def _plain(name: str, code: str, words: str, bind: Binder, weight: int = 1) -> Operator:
    """A filter that judges each row by itself."""
    return Operator(
        name,
        (_T,),
        _T,
        weight,
        code,
        words,
        bind,
        variable="kept",
        facts=_FACTS,
        row_wise=True,
        tags=frozenset({"cut"}),
    )


def _relative(
    name: str,
    takes: tuple[Sort, ...],
    code: str,
    words: str,
    weight: int,
    *,
    convention: str = "",
    needs: frozenset[str] = frozenset(),
    margin: str = "",
) -> Operator:
    """A filter that judges a row by the others."""
    return Operator(
        name,
        (_T, *takes),
        _T,
        weight,
        code,
        words,
        variable="kept",
        facts=_FACTS | {"margin": margin} if margin else _FACTS,
        convention=convention,
        tags=frozenset({"cut"}),
        needs=needs,
        refuses=frozenset({"relative", "monotone"}),
    )


_AS_IS = frozenset({"as_is"})
"""Groups that are in the file, so that a missing value stays one."""
_QUANTILES = "Quantiles are found by linear interpolation."
OPERATORS = (
    Operator("all_rows", (), _T, 0, "df"),
    _plain("rows_above", "{0}[{0}[{col!r}] > {value!r}]", "{col} is greater than {value}", bindings.threshold(1)),
    _plain("rows_below", "{0}[{0}[{col!r}] < {value!r}]", "{col} is less than {value}", bindings.threshold(1)),
    _plain("rows_high", "{0}[{0}[{col!r}] >= {value!r}]", "{col} is at least {value}", bindings.threshold(2)),
    _plain("rows_low", "{0}[{0}[{col!r}] <= {value!r}]", "{col} is at most {value}", bindings.threshold(0)),
    _plain(
        "rows_between",
        "{0}[{0}[{col!r}].between({low!r}, {high!r})]",
        "{col} lies between {low} and {high} (both included)",
        bindings.interval,
    ),
    _plain("rows_equal", "{0}[{0}[{col!r}] == {value!r}]", "{col} is {value}", bindings.category_value),
    _plain(
        "rows_unequal",
        "{0}[{0}[{col!r}].notna() & ({0}[{col!r}] != {value!r})]",
        "{col} is given and is not {value}",
        bindings.category_value,
    ),
    _plain("rows_in", "{0}[{0}[{col!r}].isin({values!r})]", "{col} is one of {values}", bindings.two_values),
    _plain("rows_missing", "{0}[{0}[{col!r}].isna()]", "{col} is missing", bindings.mostly_gone),
    _plain("rows_known", "{0}[{0}[{col!r}].notna()]", "{col} is not missing", bindings.gappy),
    _plain("rows_since", "{0}[{date} >= {value!r}]", "{col_date} is on or after {value}", bindings.since),
    _plain("rows_before", "{0}[{date} < {value!r}]", "{col_date} is before {value}", bindings.since),
    _plain(
        "rows_of_months",
        "{0}[{date}.dt.month.isin({months!r})]",
        "{col_date} falls in one of the months {months} (1 is January)",
        bindings.with_constant(bindings.date, "months", ((6, 7, 8), (12, 1, 2))),
        2,
    ),
    _relative("rows_above_mean", (_M,), "{0}[{1} > {1}.mean()]", "{1} is above its mean over {scope}", 2),
    _relative("rows_below_median", (_M,), "{0}[{1} < {1}.median()]", "{1} is below its median over {scope}", 2),
    _relative(
        "rows_top_quarter",
        (_M,),
        "{0}[{1} >= {1}.quantile(0.75)]",
        "{1} is at least its 75 % quantile over {scope}",
        2,
        convention=_QUANTILES,
    ),
    _relative(
        "rows_without_outliers",
        (_M,),
        "{0}[({1} - {1}.median()).abs() <= 1.5 * ({1}.quantile(0.75) - {1}.quantile(0.25))]",
        "{1} differs from its median over {scope} by at most 1.5 times its interquartile range over them",
        3,
        convention=_QUANTILES,
    ),
    _relative(
        "rows_above_group_mean",
        (_M, _K),
        '{0}[{1} > {1}.groupby({2}).transform("mean")]',
        "{1} is above its mean over {scope} with the same {2}",
        3,
        needs=_AS_IS,
    ),
    _relative(
        "rows_of_largest_group",
        (_K,),
        "{0}[{1} == {1}.mode()[0]]",
        "the {1} is the one that is most frequent over {scope}",
        3,
        needs=_AS_IS,
        margin="gap({1}.value_counts())",
    ),
    _relative(
        "rows_of_highest_group",
        (_M, _K, Sort.STATISTIC),
        "{0}[{2} == {s}.idxmax()]",
        "the {2} is the one with the highest {3} of {1} over {scope}",
        4,
        needs=_AS_IS | {"native"},
        margin="gap({s})",
    ),
    _relative(
        "rows_of_lowest_group",
        (_M, _K, Sort.STATISTIC),
        "{0}[{2} == {s}.idxmin()]",
        "the {2} is the one with the lowest {3} of {1} over {scope}",
        4,
        needs=_AS_IS | {"native"},
        margin="gap(-{s})",
    ),
)
