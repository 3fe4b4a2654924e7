"""Templates that compare groups by a statistical test, a confidence interval or an analysis of variance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

from flows.questions.records import AnswerSpec
from flows.questions.templates.binders import category_and_measure, levels_and_measure, two_categories
from flows.questions.templates.columns import MAX_LISTED, Columns, places, sample
from flows.questions.templates.facts import gap_at_top, probe
from flows.questions.templates.template import Binding, Slot, Template, column, columns, decimals, labels

_MOST_RESAMPLED = 100_000
"""Rows up to which a thousand resamples are drawn in a few seconds."""


def _two_categories(table: Columns, _: Random) -> Iterator[Binding]:
    for g, h in two_categories(named=False)(table):
        yield {"g": column(g), "h": column(h), "d": decimals(2)}


def _category_lists(table: Columns, rng: Random) -> Iterator[Binding]:
    for x in table.measures:
        groups = tuple(g for g in table.categories if g != x)
        if len(groups) >= 2:
            yield {"gs": columns(sample(groups, MAX_LISTED, rng)), "x": column(x), "d": decimals(2)}


def _resampled(table: Columns, rng: Random) -> Iterator[Binding]:
    if table.profile.rows > _MOST_RESAMPLED:
        return
    for g, x in product(table.named, table.measures):
        seed = str(rng.randrange(1, 1_000))
        yield {"g": column(g), "x": column(x), "seed": Slot(seed, seed), "d": decimals(places(x))}


_KNOWN = """
known = df[[$g, $x]].dropna()
"""
_TWO_GROUPS = """
first = df.loc[df[$g] == $a, $x].dropna()
second = df.loc[df[$g] == $b, $x].dropna()
"""
_ROWS_OF_TWO = "len(first) + len(second)"
_SMALLER = "min(len(first), len(second))"
_SMALLEST = "known.groupby($g)[$x].count().min()"
_TOP, _TOP_GAP = gap_at_top("means")
_TOP_F, _F_GAP = gap_at_top("f_statistics")
_BOTH_ENDS = """
ranked = means.sort_values()
ends = [ranked.iloc[1] - ranked.iloc[0], ranked.iloc[-1] - ranked.iloc[-2]]
"""

_SEVERAL_GROUPS = _KNOWN + 'submit({"trivial": known[$g].nunique() < 2})'

TEMPLATES = (
    Template(
        name="chi_squared_independence",
        difficulty="medium",
        n_steps=3,
        tags=("hypothesis test", "counts"),
        bind=_two_categories,
        text="""Test whether $g and $h are independent, by Pearson's chi-squared test on the table of their
        counts, without a continuity correction, over the rows in which both are known. Give the test statistic,
        rounded to $d, under "statistic", and the degrees of freedom under "degrees_of_freedom".""",
        hint="""Count the rows for each pair of values of $g and $h, run the chi-squared test without Yates'
        correction on that table, report statistic and degrees of freedom.""",
        program="""
counts = pd.crosstab(df[$g], df[$h])
result = stats.chi2_contingency(counts, correction=False)
submit({"statistic": float(result.statistic), "degrees_of_freedom": int(result.dof)})
""",
        probe=probe("counts.to_numpy().sum()", smallest_group="result.expected_freq.min()", p_value="result.pvalue"),
        answer=AnswerSpec(type="mapping"),
    ),
    Template(
        name="mann_whitney_u_test",
        difficulty="medium",
        n_steps=3,
        tags=("hypothesis test", "ranks", "groups"),
        bind=levels_and_measure(1),
        text="""Compare $x between the rows where $g is $a and the rows where it is $b by the Mann-Whitney U
        test. What is the U statistic of the former, that is, the number of pairs of one row from each group
        in which the row with $a has the larger $x, where a pair of equal values counts one half? Leave out
        missing values and round to $d.""",
        hint="""Take the known values of $x where $g is $a and where it is $b, run the Mann-Whitney test, and
        report U of the first group.""",
        program=_TWO_GROUPS
        + """result = stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic")
submit(float(result.statistic))
""",
        probe=probe(_ROWS_OF_TWO, smallest_group=_SMALLER, p_value="result.pvalue"),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="levene_variance_test",
        difficulty="hard",
        n_steps=4,
        tags=("hypothesis test", "spread", "groups"),
        bind=category_and_measure(3, levels=(2, 12), named=False),
        text="""Compare the spread of $x between the groups formed by the values of $g: give the statistic of
        Levene's test with deviations taken from each group's median (the Brown-Forsythe test), over the rows in
        which both are known, rounded to $d.""",
        hint="Drop rows with gaps, split $x by $g, run Levene's test centred at the medians, report its statistic.",
        program=_KNOWN
        + """groups = [values for _, values in known.groupby($g)[$x]]
result = stats.levene(*groups, center="median")
submit(float(result.statistic))
""",
        probe=probe("len(known)", smallest_group="min(map(len, groups))", p_value="result.pvalue"),
        answer=AnswerSpec(type="float"),
        guard=_SEVERAL_GROUPS,
    ),
    Template(
        name="ttest_discovered_groups",
        difficulty="hard",
        n_steps=5,
        tags=("hypothesis test", "groups", "selection"),
        bind=category_and_measure(3, levels=(3, 12)),
        text="""Use the rows in which both $g and $x are known. Find the value of $g with the highest and the one
        with the lowest mean of $x, and compare $x between the two by Welch's t-test (unequal variances). Give
        the two values under "highest" and "lowest", and the t statistic of the former against the latter,
        rounded to $d, under "t".""",
        hint="""Drop rows with gaps, take the mean of $x for each value of $g, pick the values with the highest
        and the lowest, run Welch's t-test of the first group against the second.""",
        program=_KNOWN
        + """means = known.groupby($g)[$x].mean()
highest, lowest = means.idxmax(), means.idxmin()
result = stats.ttest_ind(known.loc[known[$g] == highest, $x], known.loc[known[$g] == lowest, $x], equal_var=False)
submit({"highest": highest, "lowest": lowest, "t": float(result.statistic)})
""",
        probe=probe(
            "(known[$g].isin([highest, lowest])).sum()",
            smallest_group=_SMALLEST,
            margin="min(ends) / (means.abs().max() or 1)",
            p_value="result.pvalue",
            setup=_BOTH_ENDS,
        ),
        answer=AnswerSpec(type="mapping", by_key=labels("highest", "lowest")),
        guard=_SEVERAL_GROUPS,
    ),
    Template(
        name="bootstrap_ci_discovered",
        difficulty="very_hard",
        n_steps=6,
        tags=("bootstrap", "groups", "confidence interval"),
        bind=_resampled,
        text="""Use the rows in which both $g and $x are known, and find the value of $g with the highest mean of
        $x. Give a 95% bootstrap confidence interval for that group's mean: sort its n values of $x from low to
        high and number them from 0; make one generator with NumPy's default_rng($seed); 1,000 times in a row,
        draw n numbers with its integers(0, n, n) and take the mean of the values with these numbers; the ends of
        the interval are the 2.5th and the 97.5th percentile of the 1,000 means, interpolated linearly. Give the
        value of $g under "group", and the ends, rounded to $d, under "low" and "high".""",
        hint="""Drop rows with gaps, find the value of $g with the highest mean of $x, sort its values, resample
        them with the generator given, collect the means and take the two percentiles.""",
        program=_KNOWN
        + """means = known.groupby($g)[$x].mean()
group = means.idxmax()
values = np.sort(known.loc[known[$g] == group, $x].to_numpy())
rng = np.random.default_rng($seed)
resampled = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(1_000)]
low, high = np.percentile(resampled, [2.5, 97.5])
submit({"group": group, "low": float(low), "high": float(high)})
""",
        probe=probe("len(values)", smallest_group=_SMALLEST, margin=_TOP_GAP, setup=_TOP),
        answer=AnswerSpec(type="mapping", by_key=labels("group")),
        guard=_SEVERAL_GROUPS,
    ),
    Template(
        name="anova_discovered_groups",
        difficulty="very_hard",
        n_steps=5,
        tags=("hypothesis test", "analysis of variance", "selection"),
        bind=_category_lists,
        text="""Which of the columns $gs divides the rows into groups whose means of $x differ most, by the F
        statistic of a one-way analysis of variance? For each column use the rows in which it and $x are known.
        Give the name of the column under "column" and its F statistic, rounded to $d, under "F".""",
        hint="""For each of the columns, drop rows with gaps, split $x by the column's values and compute the F
        statistic of a one-way analysis of variance; report the largest.""",
        program="""
def analyse(column):
    known = df[[column, $x]].dropna()
    return stats.f_oneway(*(values for _, values in known.groupby(column)[$x]))


results = {column: analyse(column) for column in $gs}
f_statistics = pd.Series({column: result.statistic for column, result in results.items()})
best = f_statistics.idxmax()
submit({"column": best, "F": f_statistics[best]})
""",
        probe=probe(
            "df[[best, $x]].dropna().shape[0]",
            smallest_group="min(df.groupby(column)[$x].count().min() for column in results)",
            margin=_F_GAP,
            p_value="results[best].pvalue",
            setup=_TOP_F,
        ),
        answer=AnswerSpec(type="mapping", case_sensitive=True),
        guard='submit({"trivial": min(df.loc[df[$x].notna(), each].nunique() for each in $gs) < 2})',
    ),
    Template(
        name="adaptive_two_sample_test",
        difficulty="very_hard",
        n_steps=7,
        tags=("hypothesis test", "decision", "groups"),
        bind=levels_and_measure(3, normality=True),
        text="""Compare $x between the rows where $g is $a (first group) and the rows where it is $b (second
        group), leaving out missing values. Choose the test like this: if the Shapiro-Wilk test rejects normality
        in either group (p-value under 0.05), take the Mann-Whitney U test; otherwise, if Levene's test centred
        at the medians rejects equal variances (p-value under 0.05), take Welch's t-test; otherwise Student's
        t-test. Give the choice, "mann-whitney", "welch" or "student", under "test", and its statistic, U of the
        first group or t of the first against the second, rounded to $d, under "statistic".""",
        hint="""Take the two groups of $x, test each for normality, then if needed test for equal variances, and
        run the test that follows from the two outcomes.""",
        program=_TWO_GROUPS
        + """if min(stats.shapiro(first).pvalue, stats.shapiro(second).pvalue) < 0.05:
    test = "mann-whitney"
    result = stats.mannwhitneyu(first, second, alternative="two-sided", method="asymptotic")
elif stats.levene(first, second, center="median").pvalue < 0.05:
    test = "welch"
    result = stats.ttest_ind(first, second, equal_var=False)
else:
    test = "student"
    result = stats.ttest_ind(first, second)
submit({"test": test, "statistic": float(result.statistic)})
""",
        probe=probe(_ROWS_OF_TWO, smallest_group=_SMALLER, p_value="result.pvalue"),
        answer=AnswerSpec(type="mapping"),
    ),
)
