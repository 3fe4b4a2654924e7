"""Templates about one numeric column: its spread, its outliers, its distribution, and what filling gaps does to it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from flows.questions.records import AnswerSpec
from flows.questions.templates.binders import MOST_FOR_NORMALITY, one_measure, without_decimals
from flows.questions.templates.columns import (
    Columns,
    beyond_deviations,
    beyond_fences,
    high,
    low,
    places,
    present,
    round_number,
)
from flows.questions.templates.facts import probe
from flows.questions.templates.template import Binding, Template, column, decimals, number
from flows.tables.profiling import ColumnProfile


def _is_positive(x: ColumnProfile) -> bool:
    return low(x) > 0


def _thresholds(table: Columns, rng: Random) -> Iterator[Binding]:
    for x in table.measures:
        wanted = rng.choice([middle for middle in (*x.quantiles, x.mean) if middle is not None])
        threshold = round_number(wanted, x)
        if low(x) < threshold < high(x):
            yield {"x": column(x), "threshold": number(threshold), "d": decimals(1)}


def _bands(table: Columns, _: Random) -> Iterator[Binding]:
    for x in table.measures:
        lower, _middle, upper = (x.quantiles[at] if len(x.quantiles) == 3 else None for at in range(3))
        if lower is None or upper is None:
            continue
        first, second = round_number(lower, x), round_number(upper, x)
        if low(x) < first < second < high(x):
            yield {"x": column(x), "first": number(first), "second": number(second)}


def _with_gaps(table: Columns, _: Random) -> Iterator[Binding]:
    for x in table.measures:
        if 0.01 <= x.missing / table.profile.rows <= 0.6:
            yield {"x": column(x), "d": decimals(2)}


def _few_enough(table: Columns, _: Random) -> Iterator[Binding]:
    for x in table.measures:
        if present(x, table.profile) <= MOST_FOR_NORMALITY:
            yield {"x": column(x), "d": decimals(places(x))}


TEMPLATES = (
    Template(
        name="coefficient_of_variation",
        difficulty="easy",
        n_steps=2,
        tags=("spread", "ratio"),
        bind=one_measure(3, _is_positive),
        text="""What is the coefficient of variation of $x, that is, its sample standard deviation (divisor n - 1)
        divided by its mean? Leave out missing values, and give the ratio rounded to $d.""",
        hint="Compute the sample standard deviation and the mean of $x, divide the one by the other, round.",
        program="""
values = df[$x]
submit(values.std() / values.mean())
""",
        probe=probe("values.count()"),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="iqr_outlier_analysis",
        difficulty="easy",
        n_steps=3,
        tags=("outliers", "quantiles"),
        bind=without_decimals(one_measure(where=beyond_fences)),
        text="""How many values of $x lie more than 1.5 interquartile ranges below the first quartile, and how
        many lie more than 1.5 interquartile ranges above the third quartile? Interpolate quartiles linearly and
        leave out missing values. Give the counts under the names "below" and "above".""",
        hint="""Find the quartiles of $x and their distance, set a fence 1.5 distances outside either quartile,
        and count the values beyond each fence.""",
        program="""
values = df[$x]
q1, q3 = values.quantile([0.25, 0.75])
reach = 1.5 * (q3 - q1)
below = int((values < q1 - reach).sum())
above = int((values > q3 + reach).sum())
submit({"below": below, "above": above})
""",
        probe=probe("values.count()", trivial="below == above == 0"),
        answer=AnswerSpec(type="mapping", items="int"),
    ),
    Template(
        name="percentile_ranking",
        difficulty="easy",
        n_steps=2,
        tags=("share", "distribution"),
        bind=_thresholds,
        text="""What percentage of the values of $x are at most $threshold? Leave out missing values, and give
        the percentage (0 to 100) rounded to $d.""",
        hint="""Drop the missing values of $x, find the share of those that are $threshold or less, multiply by
        100, round.""",
        program="""
values = df[$x].dropna()
percentage = (values <= $threshold).mean() * 100
submit(percentage)
""",
        probe=probe("len(values)", trivial="percentage in (0, 100)"),
        answer=AnswerSpec(type="percent", unit="%"),
    ),
    Template(
        name="descriptive_summary",
        difficulty="easy",
        n_steps=2,
        tags=("summary", "spread"),
        bind=one_measure(),
        text="""Summarise $x by its mean, median, sample standard deviation (divisor n - 1), smallest and largest
        value. Leave out missing values. Give the numbers under the names "mean", "median", "std", "min" and
        "max", each rounded to $d.""",
        hint="Compute the five statistics of $x and round each.",
        program="""
summary = df[$x].agg(["mean", "median", "std", "min", "max"])
submit(summary.to_dict())
""",
        probe=probe("df[$x].count()"),
        answer=AnswerSpec(type="mapping", items="float"),
    ),
    Template(
        name="range_to_category",
        difficulty="easy",
        n_steps=2,
        tags=("binning", "counts"),
        bind=_bands,
        text="""Call a value of $x low if it is under $first, middle if it is at least $first but under $second,
        and high if it is at least $second. How many values are low, how many middle and how many high? Leave out
        missing values, and give the counts under the names "low", "middle" and "high".""",
        hint="""Cut $x into three bands at $first and $second, each band with its lower end, and count the values
        in each.""",
        program="""
bands = pd.cut(df[$x], [-np.inf, $first, $second, np.inf], right=False, labels=["low", "middle", "high"])
submit(bands.value_counts().to_dict())
""",
        probe=probe("bands.count()", smallest_group="bands.value_counts().min()"),
        answer=AnswerSpec(type="mapping", items="int"),
    ),
    Template(
        name="ks_normality_test",
        difficulty="medium",
        n_steps=3,
        tags=("distribution", "hypothesis test"),
        bind=one_measure(4),
        text="""How far is the distribution of $x from a normal one? Give the two-sided one-sample
        Kolmogorov-Smirnov statistic of its values against the normal distribution that has their mean and their
        sample standard deviation (divisor n - 1). Leave out missing values and round to $d.""",
        hint="""Drop the missing values of $x, take their mean and sample standard deviation, and compare them
        with that normal distribution by the Kolmogorov-Smirnov test; its statistic is the answer.""",
        program="""
values = df[$x].dropna()
result = stats.kstest(values, "norm", args=(values.mean(), values.std()))
submit(float(result.statistic))
""",
        probe=probe("len(values)"),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="conditional_normality",
        difficulty="hard",
        n_steps=4,
        tags=("distribution", "hypothesis test", "decision"),
        bind=_few_enough,
        text="""Choose how to describe the centre of $x: by its median if the Shapiro-Wilk test rejects normality
        (p-value under 0.05), by its mean if it does not. Leave out missing values. Give the choice, "mean" or
        "median", under the name "measure", and its value rounded to $d under the name "value".""",
        hint="""Drop the missing values of $x, run the Shapiro-Wilk test, compare its p-value with 0.05, and
        compute the median or the mean accordingly.""",
        program="""
values = df[$x].dropna()
if stats.shapiro(values).pvalue < 0.05:
    measure, centre = "median", values.median()
else:
    measure, centre = "mean", values.mean()
submit({"measure": measure, "value": centre})
""",
        probe=probe("len(values)"),
        answer=AnswerSpec(type="mapping"),
    ),
    Template(
        name="audit_missing_imputation_effect",
        difficulty="hard",
        n_steps=4,
        tags=("missing values", "imputation", "spread"),
        bind=_with_gaps,
        text="""Suppose every missing value of $x were replaced by the median of the known values. By what
        percentage would the sample standard deviation (divisor n - 1) of $x change, compared with that of the
        known values alone? The median of an even number of values is the mean of the middle two, and a fall is
        negative. Round to $d.""",
        hint="""Take the sample standard deviation of the known values of $x, fill the gaps with their median,
        take it again, and express the change as a percentage of the first.""",
        program="""
known = df[$x]
filled = known.fillna(known.median())
change = (filled.std() / known.std() - 1) * 100
submit(change)
""",
        probe=probe("known.count()", trivial="abs(change) < 0.05"),
        answer=AnswerSpec(type="percent", unit="%"),
    ),
    Template(
        name="iterative_outlier_removal",
        difficulty="very_hard",
        n_steps=6,
        tags=("outliers", "iteration"),
        bind=one_measure(where=beyond_deviations),
        text="""Clean $x in rounds: in each round, compute the mean and the sample standard deviation (divisor n
        - 1) of the values that are left, and remove all values more than 3 standard deviations away from the
        mean. Stop before a round that would remove nothing. Leave out missing values from the start. Give the
        number of rounds that removed something under the name "rounds", the number of values removed in all
        under "removed", and the mean of the values left, rounded to $d, under "mean".""",
        hint="""Drop the missing values of $x. Repeat: find the values over 3 sample standard deviations from the
        mean; if there are none, stop; otherwise drop them and count the round. Then report rounds, removed
        values and mean.""",
        program="""
known = df[$x].dropna()
kept = known
rounds = 0
while (is_far := (kept - kept.mean()).abs() > 3 * kept.std()).any():
    kept = kept[~is_far]
    rounds += 1
submit({"rounds": rounds, "removed": len(known) - len(kept), "mean": kept.mean()})
""",
        probe=probe("len(kept)", trivial="rounds == 0"),
        answer=AnswerSpec(type="mapping"),
    ),
)
