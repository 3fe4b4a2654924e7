"""Templates about groups of rows: which leads, how they rank, what part of the whole they make."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

from flows.questions.records import AnswerSpec
from flows.questions.templates.binders import (
    category_and_measure,
    levels_and_measure,
    two_categories,
    two_levels,
    without_decimals,
)
from flows.questions.templates.columns import Columns, frequent, low
from flows.questions.templates.facts import gap_at_top, probe
from flows.questions.templates.template import Binding, Template, column, decimals, labels, value
from flows.tables.profiling import ColumnProfile


def _counts_up(x: ColumnProfile) -> bool:
    return low(x) >= 0


def _one_category(table: Columns, _: Random) -> Iterator[Binding]:
    return ({"g": column(g), "d": decimals(1)} for g in table.named)


def _cells(table: Columns, _: Random) -> Iterator[Binding]:
    for (g, h), x in product(two_categories(named=True)(table), table.measures):
        yield {"g": column(g), "h": column(h), "x": column(x)}


def _level_and_measure(table: Columns, rng: Random) -> Iterator[Binding]:
    for g, x in product(table.categories, table.measures):
        levels = frequent(g, at_least=8)
        if g != x and levels:
            yield {"g": column(g), "a": value(rng.choice(levels)), "x": column(x), "d": decimals(1)}


def _levels_and_pairs(table: Columns, rng: Random) -> Iterator[Binding]:
    for (g, a, b), (x, y) in product(two_levels(table, rng), table.unordered_pairs()):
        if g not in (x, y):
            yield {"g": column(g), "a": a, "b": b, "x": column(x), "y": column(y), "d": decimals(3)}


_SMALLEST = "known.groupby($g)[$x].count().min()"
_TOP, _TOP_GAP = gap_at_top("means")
_TOP_SHARE, _SHARE_GAP = gap_at_top("shares")
_TOP_COUNT, _COUNT_GAP = gap_at_top("counts")

TEMPLATES = (
    Template(
        name="top_value_share",
        difficulty="easy",
        n_steps=2,
        tags=("counts", "share"),
        bind=_one_category,
        text="""Which value of $g is the most frequent, and what percentage of the known values of $g does it
        make up? Give the value under "value" and the percentage (0 to 100), rounded to $d, under "percentage".""",
        hint="Count the values of $g without the missing ones, take the largest count, divide it by their sum.",
        program="""
counts = df[$g].value_counts()
percentage = counts.max() / counts.sum() * 100
submit({"value": counts.idxmax(), "percentage": percentage})
""",
        probe=probe("counts.sum()", margin=_COUNT_GAP, setup=_TOP_COUNT),
        answer=AnswerSpec(type="mapping", by_key=labels("value")),
    ),
    Template(
        name="group_summary_table",
        difficulty="medium",
        n_steps=3,
        tags=("groups", "summary", "table"),
        bind=category_and_measure(levels=(2, 12)),
        text="""Make a table with one row for each value of $g: the value itself in a column "group", how many
        values of $x are known in its rows in a column "count", their mean in a column "mean" and their sample
        standard deviation (divisor n - 1) in a column "std". Leave out rows where $g is missing. Round means and
        standard deviations to $d.""",
        hint="Group the rows by $g, compute count, mean and sample standard deviation of $x in each, round.",
        program="""
known = df[[$g, $x]].dropna()
summary = known.groupby($g)[$x].agg(["count", "mean", "std"])
submit(summary.rename_axis("group").reset_index())
""",
        probe=probe("len(known)", smallest_group="summary['count'].min()"),
        answer=AnswerSpec(type="table", columns=("group", "count", "mean", "std")),
    ),
    Template(
        name="pivot_highest_cell",
        difficulty="medium",
        n_steps=4,
        tags=("groups", "pivot", "selection"),
        bind=_cells,
        text="""For which combination of $g and $h is the mean of $x highest? Use the rows in which all three are
        known, and consider only combinations with at least 5 such rows. Give a list of two: the value of $g,
        then the value of $h.""",
        hint="""Drop rows with gaps, group by $g and $h, take count and mean of $x, keep the groups of 5 rows and
        more, and find the highest mean.""",
        program="""
known = df[[$g, $h, $x]].dropna()
cells = known.groupby([$g, $h])[$x].agg(["count", "mean"])
means = cells.loc[cells["count"] >= 5, "mean"]
submit(list(means.idxmax()))
""",
        probe=probe("cells.loc[means.index, 'count'].sum()", margin=_TOP_GAP, setup=_TOP),
        answer=AnswerSpec(type="list", items="string"),
    ),
    Template(
        name="conditional_share",
        difficulty="medium",
        n_steps=4,
        tags=("share", "filter"),
        bind=_level_and_measure,
        text="""Use the rows in which both $g and $x are known. Among those whose $x is above the median of $x in
        these rows, what percentage has $a in $g? The median of an even number of values is the mean of the middle two.
        Give the percentage (0 to 100) rounded to $d.""",
        hint="Drop rows with gaps, keep those with $x above the median, find the share of them where $g is $a.",
        program="""
known = df[[$g, $x]].dropna()
upper = known[known[$x] > known[$x].median()]
percentage = (upper[$g] == $a).mean() * 100
submit(percentage)
""",
        probe=probe("len(upper)", trivial="percentage in (0, 100)"),
        answer=AnswerSpec(type="percent", unit="%"),
    ),
    Template(
        name="category_highest_target_mean",
        difficulty="hard",
        n_steps=4,
        tags=("groups", "selection", "difference"),
        bind=category_and_measure(),
        text="""Use the rows in which both $g and $x are known. For which value of $g is the mean of $x highest,
        and by how much does it exceed the mean of $x over all these rows? Give the value under "group" and the
        difference, rounded to $d, under "difference".""",
        hint="""Drop rows with gaps, take the mean of $x for each value of $g, find the highest, and subtract the
        overall mean from it.""",
        program="""
known = df[[$g, $x]].dropna()
means = known.groupby($g)[$x].mean()
difference = means.max() - known[$x].mean()
submit({"group": means.idxmax(), "difference": difference})
""",
        probe=probe("len(known)", smallest_group=_SMALLEST, margin=_TOP_GAP, setup=_TOP),
        answer=AnswerSpec(type="mapping", by_key=labels("group")),
    ),
    Template(
        name="rank_categories_by_target_mean",
        difficulty="hard",
        n_steps=3,
        tags=("groups", "ranking"),
        bind=without_decimals(category_and_measure(levels=(3, 7))),
        text="""Order the values of $g by the mean of $x in their rows, the highest mean first. Use the rows in
        which both are known, and give the list of the values.""",
        hint="Drop rows with gaps, take the mean of $x for each value of $g, sort from high to low.",
        program="""
known = df[[$g, $x]].dropna()
means = known.groupby($g)[$x].mean().sort_values(ascending=False)
submit(means.index.tolist())
""",
        probe=probe(
            "len(known)",
            smallest_group=_SMALLEST,
            margin="steps.min()",
            setup="steps = (means - means.shift(-1)).dropna() / (means.abs().max() or 1)",
        ),
        answer=AnswerSpec(type="list", items="string"),
    ),
    Template(
        name="correlation_change_analysis",
        difficulty="hard",
        n_steps=5,
        tags=("correlation", "groups", "difference"),
        bind=_levels_and_pairs,
        text="""By how much does Pearson's correlation of $x and $y in the rows where $g is $a exceed that in the
        rows where it is $b? Give the first coefficient minus the second, over the rows in which both $x and $y
        are known, rounded to $d.""",
        hint="""Drop rows with gaps, correlate $x and $y in the rows where $g is $a and again where it is $b,
        subtract the second from the first.""",
        program="""
known = df[[$g, $x, $y]].dropna()
first = known[known[$g] == $a]
second = known[known[$g] == $b]
difference = first[$x].corr(first[$y]) - second[$x].corr(second[$y])
submit(difference)
""",
        probe=probe("len(first) + len(second)", smallest_group="min(len(first), len(second))"),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="segment_then_analyze_outliers",
        difficulty="hard",
        n_steps=5,
        tags=("groups", "outliers", "selection"),
        bind=category_and_measure(1, levels=(2, 12)),
        text="""Within the rows of each value of $g, call a value of $x an outlier if it lies more than 1.5
        interquartile ranges outside the quartiles of that group, interpolated linearly. Use the rows in which
        both are known. Which value of $g has the highest percentage of outliers? Give it under "group", and the
        percentage (0 to 100), rounded to $d, under "percentage".""",
        hint="""Drop rows with gaps, group by $g, set fences 1.5 interquartile ranges outside each group's
        quartiles, find each group's share of values beyond them, and take the highest.""",
        program="""
def outlier_share(values):
    q1, q3 = values.quantile([0.25, 0.75])
    reach = 1.5 * (q3 - q1)
    return ((values < q1 - reach) | (values > q3 + reach)).mean()


known = df[[$g, $x]].dropna()
shares = known.groupby($g)[$x].agg(outlier_share)
submit({"group": shares.idxmax(), "percentage": shares.max() * 100})
""",
        probe=probe(
            "len(known)", smallest_group=_SMALLEST, margin=_SHARE_GAP, trivial="shares.max() == 0", setup=_TOP_SHARE
        ),
        answer=AnswerSpec(type="mapping", by_key=labels("group")),
    ),
    Template(
        name="pareto_count",
        difficulty="hard",
        n_steps=4,
        tags=("groups", "cumulative share"),
        bind=without_decimals(category_and_measure(levels=(5, 30), named=False, where=_counts_up)),
        text="""Add up $x for each value of $g, over the rows in which both are known. What is the smallest
        number of values of $g whose sums together reach at least 80% of the grand total?""",
        hint="""Drop rows with gaps, sum $x for each value of $g, sort from high to low, cumulate, and count how
        many it takes to reach 80% of the total.""",
        program="""
known = df[[$g, $x]].dropna()
totals = known.groupby($g)[$x].sum().sort_values(ascending=False)
reached = totals.cumsum() / totals.sum()
submit(int((reached < 0.8).sum()) + 1)
""",
        probe=probe(
            "len(known)",
            smallest_group=_SMALLEST,
            trivial="reached.iloc[0] >= 0.8 or reached.iloc[-2] < 0.8 or (reached - 0.8).abs().min() < 1e-9",
        ),
        answer=AnswerSpec(type="int"),
    ),
    Template(
        name="is_group_mean_higher",
        difficulty="medium",
        n_steps=3,
        tags=("groups", "comparison", "yes or no"),
        bind=without_decimals(levels_and_measure(0)),
        text="""Is the mean of $x higher in the rows where $g is $a than in the rows where it is $b? Leave out missing
        values, and answer true or false.""",
        hint="Take the mean of $x in the rows where $g is $a and where it is $b, and compare the two.",
        program="""
first = df.loc[df[$g] == $a, $x]
second = df.loc[df[$g] == $b, $x]
submit(bool(first.mean() > second.mean()))
""",
        probe=probe(
            "first.count() + second.count()",
            smallest_group="min(first.count(), second.count())",
            margin="abs(first.mean() - second.mean()) / (max(abs(first.mean()), abs(second.mean())) or 1)",
        ),
        answer=AnswerSpec(type="bool"),
    ),
    Template(
        name="skewed_in_every_group",
        difficulty="hard",
        n_steps=4,
        tags=("groups", "distribution", "yes or no"),
        bind=without_decimals(category_and_measure(levels=(2, 12), named=False)),
        text="""Is the mean of $x greater than its median for every value of $g? Use the rows in which both are
        known, and answer true or false.""",
        hint="Drop rows with gaps, compare mean and median of $x for each value of $g, and see whether all agree.",
        program="""
known = df[[$g, $x]].dropna()
values = known.groupby($g)[$x]
excess = values.mean() - values.median()
submit(bool((excess > 0).all()))
""",
        probe=probe("len(known)", smallest_group=_SMALLEST, margin="(excess.abs() / values.std()).min()"),
        answer=AnswerSpec(type="bool"),
    ),
)
