"""Templates about several numeric columns: which is widest, which go together, which explains another."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from flows.questions.records import AnswerSpec
from flows.questions.templates.binders import measure_lists, target_and_predictors, two_measures
from flows.questions.templates.columns import Columns, beyond_deviations, beyond_fences, places
from flows.questions.templates.facts import gap_at_bottom, gap_at_top, probe
from flows.questions.templates.template import Binding, Template, column, decimals


def _measures_for_mean(table: Columns, rng: Random) -> Iterator[Binding]:
    by_name = {measure.name: measure for measure in table.measures}
    for binding in measure_lists(3)(table, rng):
        widest = max((by_name[name] for name in binding["xs"].columns), key=lambda measure: measure.std or 0.0)
        yield {**binding, "d": decimals(places(widest))}


def _measures_for_std(table: Columns, rng: Random) -> Iterator[Binding]:
    by_name = {measure.name: measure for measure in table.measures}
    for binding in measure_lists(3)(table, rng):
        lowest = min((by_name[name] for name in binding["xs"].columns), key=lambda measure: measure.mean or 0.0)
        yield {**binding, "d": decimals(places(lowest))}


def _lists_with_outliers(table: Columns, rng: Random) -> Iterator[Binding]:
    has_outlier = {measure.name: beyond_deviations(measure) for measure in table.measures}
    for binding in measure_lists(3)(table, rng):
        if 0 < sum(has_outlier[name] for name in binding["xs"].columns) < len(binding["xs"].columns):
            yield binding


def _pairs_with_outliers(table: Columns, _: Random) -> Iterator[Binding]:
    for x, y in table.unordered_pairs():
        if beyond_fences(x) or beyond_fences(y):
            yield {"x": column(x), "y": column(y), "d": decimals(3)}


def _positive_pairs(table: Columns, _: Random) -> Iterator[Binding]:
    positive = table.positive()
    return ({"x": column(x), "y": column(y)} for x, y in table.pairs() if x in positive and y in positive)


def _weighted(table: Columns, _: Random) -> Iterator[Binding]:
    positive = table.positive()
    for x, w in table.pairs():
        if w in positive:
            yield {"x": column(x), "w": column(w), "d": decimals(places(x))}


def _quarters(table: Columns, _: Random) -> Iterator[Binding]:
    for x, y in table.pairs():
        edges = (x.min, *x.quantiles, x.max)
        if len(set(edges)) == 5 and None not in edges:
            yield {"x": column(x), "y": column(y), "d": decimals(places(y))}


_EVERY_PAIR = """
from itertools import combinations

numbers = df[$xs]
strength = pd.Series({(a, b): abs(numbers[a].corr(numbers[b])) for a, b in combinations(numbers.columns, 2)})
"""
_FEWEST_KNOWN = "numbers.count().min()"
_CLEAR_ORDER = """
ranked = strength.nlargest(3)
steps = (ranked - ranked.shift(-1)).dropna() / ranked.max()
"""

_WIDEST, _WIDEST_GAP = gap_at_top("numbers.var()")
_LOWEST, _LOWEST_GAP = gap_at_bottom("numbers.mean()")
_STRONGEST, _STRONGEST_GAP = gap_at_top("strength")
_WEAKEST, _WEAKEST_GAP = gap_at_bottom("strength")
_BEST, _BEST_GAP = gap_at_top("r_squared")
_QUARTER, _QUARTER_GAP = gap_at_top("means")

TEMPLATES = (
    Template(
        name="varies_more",
        difficulty="easy",
        n_steps=3,
        tags=("spread", "comparison", "yes or no"),
        bind=_positive_pairs,
        text="""Does $x vary more than $y, by the coefficient of variation, that is, the sample standard deviation
        (divisor n - 1) divided by the mean? Leave out missing values column by column, and answer true or false.""",
        hint="Divide the sample standard deviation of $x and of $y by their means, and compare the two ratios.",
        program="""
first = df[$x].std() / df[$x].mean()
second = df[$y].std() / df[$y].mean()
submit(bool(first > second))
""",
        probe=probe("min(df[$x].count(), df[$y].count())", margin="abs(first - second) / max(first, second)"),
        answer=AnswerSpec(type="bool"),
    ),
    Template(
        name="weighted_mean",
        difficulty="easy",
        n_steps=2,
        tags=("weighted mean",),
        bind=_weighted,
        text="""What is the mean of $x when each row counts with the weight given in $w? Use the rows in which
        both are known, and round to $d.""",
        hint="Keep the rows with both values, sum $x times $w, divide by the sum of $w, round.",
        program="""
known = df[[$x, $w]].dropna()
submit(np.average(known[$x], weights=known[$w]))
""",
        probe=probe("len(known)"),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="max_variance_mean",
        difficulty="medium",
        n_steps=3,
        tags=("spread", "selection"),
        bind=_measures_for_mean,
        text="""Among the columns $xs, take the one with the largest sample variance (divisor n - 1). What is its
        mean? Leave out missing values column by column, and round to $d.""",
        hint="Compute the sample variance of each of the columns, pick the column with the largest, take its mean.",
        program="""
numbers = df[$xs]
widest = numbers.var().idxmax()
submit(numbers[widest].mean())
""",
        probe=probe("numbers[widest].count()", margin=_WIDEST_GAP, setup=_WIDEST),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="min_mean_column_std",
        difficulty="medium",
        n_steps=3,
        tags=("spread", "selection"),
        bind=_measures_for_std,
        text="""Among the columns $xs, take the one with the smallest mean. What is its sample standard deviation
        (divisor n - 1)? Leave out missing values column by column, and round to $d.""",
        hint="Compute the mean of each of the columns, pick the column with the smallest, take its standard deviation.",
        program="""
numbers = df[$xs]
lowest = numbers.mean().idxmin()
submit(numbers[lowest].std())
""",
        probe=probe("numbers[lowest].count()", margin=_LOWEST_GAP, setup=_LOWEST),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="strongest_correlation",
        difficulty="medium",
        n_steps=3,
        tags=("correlation", "selection"),
        bind=measure_lists(3),
        text="""Which two of the columns $xs are most strongly correlated, by the absolute value of Pearson's
        coefficient? For each pair use the rows in which both are known. Give the set of the two names.""",
        hint="Compute Pearson's coefficient for every pair of the columns and take the pair with the largest size.",
        program=_EVERY_PAIR + "submit(set(strength.idxmax()))",
        probe=probe(_FEWEST_KNOWN, margin=_STRONGEST_GAP, setup=_STRONGEST),
        answer=AnswerSpec(type="set", items="string", case_sensitive=True),
    ),
    Template(
        name="weakest_correlation",
        difficulty="medium",
        n_steps=3,
        tags=("correlation", "selection"),
        bind=measure_lists(3),
        text="""Which two of the columns $xs are least correlated, that is, have the Pearson coefficient closest
        to zero? For each pair use the rows in which both are known. Give the set of the two names.""",
        hint="Compute Pearson's coefficient for every pair of the columns and take the pair with the smallest size.",
        program=_EVERY_PAIR + "submit(set(strength.idxmin()))",
        probe=probe(_FEWEST_KNOWN, margin=_WEAKEST_GAP, setup=_WEAKEST),
        answer=AnswerSpec(type="set", items="string", case_sensitive=True),
    ),
    Template(
        name="count_outlier_columns",
        difficulty="medium",
        n_steps=4,
        tags=("outliers", "columns"),
        bind=_lists_with_outliers,
        text="""How many of the columns $xs hold at least one value more than 3 sample standard deviations
        (divisor n - 1) away from the mean of their column? Leave out missing values column by column.""",
        hint="""Turn each of the columns into distances from its mean in sample standard deviations, and count
        the columns with any distance over 3.""",
        program="""
numbers = df[$xs]
distance = ((numbers - numbers.mean()) / numbers.std()).abs()
has_outlier = (distance > 3).any()
submit(int(has_outlier.sum()))
""",
        probe=probe(_FEWEST_KNOWN, trivial="has_outlier.all() or not has_outlier.any()"),
        answer=AnswerSpec(type="int"),
    ),
    Template(
        name="spearman_rank_correlation",
        difficulty="medium",
        n_steps=3,
        tags=("correlation", "ranks", "hypothesis test"),
        bind=two_measures(3),
        text="""What is Spearman's rank correlation of $x and $y? Use the rows in which both are known, give
        equal values their average rank, and round to $d.""",
        hint="Keep the rows with both values, rank each column with average ranks for ties, correlate the ranks.",
        program="""
known = df[[$x, $y]].dropna()
result = stats.spearmanr(known[$x], known[$y])
submit(float(result.statistic))
""",
        probe=probe("len(known)", p_value="result.pvalue"),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="correlation_after_outlier_removal",
        difficulty="hard",
        n_steps=5,
        tags=("correlation", "outliers"),
        bind=_pairs_with_outliers,
        text="""Take the rows in which both $x and $y are known. Drop every row where either value lies more than
        1.5 interquartile ranges outside its column's quartiles, computed over the rows taken and interpolated
        linearly. What is Pearson's correlation of $x and $y in the rows that remain? Round to $d.""",
        hint="""Keep the rows with both values, find the quartile fences of each column, keep the rows inside
        both, and correlate.""",
        program="""
known = df[[$x, $y]].dropna()
q1, q3 = known.quantile(0.25), known.quantile(0.75)
reach = 1.5 * (q3 - q1)
is_inside = ((known >= q1 - reach) & (known <= q3 + reach)).all(axis=1)
kept = known[is_inside]
submit(kept[$x].corr(kept[$y]))
""",
        probe=probe("len(kept)", trivial="is_inside.all()"),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="regression_most_predictive",
        difficulty="hard",
        n_steps=4,
        tags=("regression", "selection"),
        bind=target_and_predictors(2, 3),
        text="""For each of the columns $xs, fit a straight line with intercept that predicts $y from that column
        alone, by least squares over the rows in which both are known. Which column gives the highest R squared?
        Give its name under "column" and the R squared, rounded to $d, under "r_squared".""",
        hint="""The R squared of a line through two columns is the square of their Pearson correlation: compute
        it for each column, and take the largest.""",
        program="""
r_squared = df[$xs].corrwith(df[$y]) ** 2
submit({"column": r_squared.idxmax(), "r_squared": r_squared.max()})
""",
        probe=probe("df[[$y, r_squared.idxmax()]].dropna().shape[0]", margin=_BEST_GAP, setup=_BEST),
        answer=AnswerSpec(type="mapping", case_sensitive=True),
    ),
    Template(
        name="quantile_bin_best_mean",
        difficulty="hard",
        n_steps=4,
        tags=("binning", "quantiles", "mean"),
        bind=_quarters,
        text="""Divide the known values of $x into four quarters at its quartiles, interpolated linearly; a value
        equal to a quartile belongs to the lower quarter. Number the quarters 1 to 4 from the lowest values to
        the highest. In which quarter is the mean of $y highest, and what is that mean? Leave out missing values
        of $y. Give the number under "quarter" and the mean, rounded to $d, under "mean".""",
        hint="""Cut $x at its quartiles into quarters 1 to 4, take the mean of $y in each, and report the quarter
        with the highest.""",
        program="""
quarter = pd.qcut(df[$x], 4, labels=[1, 2, 3, 4])
means = df[$y].groupby(quarter, observed=True).mean()
submit({"quarter": int(means.idxmax()), "mean": means.max()})
""",
        probe=probe(
            "(quarter.notna() & df[$y].notna()).sum()",
            smallest_group="df[$y].groupby(quarter, observed=True).count().min()",
            margin=_QUARTER_GAP,
            setup=_QUARTER,
        ),
        answer=AnswerSpec(type="mapping"),
    ),
    Template(
        name="multiple_regression_top_predictors",
        difficulty="very_hard",
        n_steps=6,
        tags=("regression", "correlation", "selection"),
        bind=target_and_predictors(3, 3),
        text="""Use the rows in which $y and all of the columns $xs are known. Pick the two of these columns
        whose Pearson correlation with $y is largest in absolute value, then fit $y on the two by ordinary least
        squares with an intercept. Give the names of the two columns, the stronger one first, as a list under
        "predictors", and the adjusted R squared of the fit, rounded to $d, under "adjusted_r_squared".""",
        hint="""Drop the rows with gaps, correlate each candidate with $y, keep the two with the largest absolute
        value, fit the linear model with an intercept, and read off its adjusted R squared.""",
        program="""
known = df[[$y, *$xs]].dropna()
strength = known[$xs].corrwith(known[$y]).abs()
predictors = strength.nlargest(2).index.tolist()
model = sm.OLS(known[$y], sm.add_constant(known[predictors])).fit()
submit({"predictors": predictors, "adjusted_r_squared": model.rsquared_adj})
""",
        probe=probe("len(known)", margin="steps.min()", p_value="model.f_pvalue", setup=_CLEAR_ORDER),
        answer=AnswerSpec(type="mapping", case_sensitive=True),
    ),
)
