"""Templates about dates: gaps, months and years, trends and runs of a measure over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from random import Random

from flows.questions.eligible import Grain, ends, grain, has_times, quoted
from flows.questions.records import AnswerSpec
from flows.questions.templates.columns import Columns, high, low, places, round_number
from flows.questions.templates.facts import gap_at_top, probe
from flows.questions.templates.template import Binder, Binding, Slot, Template, column, dates, decimals, number
from flows.tables.profiling import ColumnProfile


def _one_date(table: Columns, _: Random) -> Iterator[Binding]:
    return ({"t": dates(t), "clock": _clock(t)} for t in table.dates if grain(t) == "day")


def _clock(t: ColumnProfile) -> Slot:
    """What a question about days says of the time of day."""
    return Slot("", ", and ignore the time of day" if has_times(t) else "")


def _dated_measures(table: Columns, *grains: Grain) -> Iterator[tuple[ColumnProfile, ColumnProfile]]:
    """Dates of these grains, each with a measure."""
    found = [t for t in (*table.dates, *table.years) if grain(t) in grains]
    return ((t, x) for t, x in product(found, table.measures) if t != x)


_ANY: tuple[Grain, ...] = ("day", "month", "quarter", "year")


def _point(t: ColumnProfile) -> Slot:
    """Each point in time that a date tells apart."""
    words = f"{'date' if grain(t) == 'day' else 'value'} of {quoted(t.name)}"
    return Slot("", f"{words}, without the time of day" if has_times(t) else words, (t.name,))


def _year(t: ColumnProfile) -> Slot:
    """Each year that a date tells apart."""
    return Slot("", f"{'value' if grain(t) == 'year' else 'calendar year'} of {quoted(t.name)}", (t.name,))


def _binder(
    *grains: Grain,
    each: Callable[[ColumnProfile], Slot] | None = None,
    rounded: Callable[[ColumnProfile], int] | None = None,
) -> Binder:
    """Dates of these grains, each with a measure.

    Args:
        grains: What the dates tell.
        each: What is spoken of one by one; None for nothing.
        rounded: To how many decimals an answer about a measure is rounded; None where it is not.
    """

    def bind(table: Columns, _: Random) -> Iterator[Binding]:
        for t, x in _dated_measures(table, *grains):
            yield {
                "t": dates(t),
                **({"each": each(t)} if each is not None else {}),
                "x": column(x),
                **({"d": decimals(rounded(x))} if rounded is not None else {}),
            }

    return bind


_year_and_measure = _binder(*_ANY, each=_year, rounded=places)


def _years_and_measure(table: Columns, rng: Random) -> Iterator[Binding]:
    """As `_year_and_measure`, for dates of at least two years."""
    several = {t.name for t in (*table.dates, *table.years) if len({end[:4] for end in ends(t)}) > 1}
    return (binding for binding in _year_and_measure(table, rng) if several.issuperset(binding["t"].columns))


def _runs(table: Columns, rng: Random) -> Iterator[Binding]:
    for t, x in _dated_measures(table, *_ANY):
        length = rng.choice((3, 5, 7, 10))
        if (t.unique or 0) >= 10 * length:
            yield {
                "t": dates(t),
                "each": _point(t),
                "x": column(x),
                "length": Slot(str(length), str(length)),
                "d": decimals(places(x)),
            }


def _date_and_threshold(table: Columns, _: Random) -> Iterator[Binding]:
    for t, x in _dated_measures(table, "day"):
        if len(x.quantiles) == 3 and x.quantiles[2] is not None:
            threshold = round_number(x.quantiles[2], x)
            if low(x) < threshold < high(x):
                yield {"t": dates(t), "x": column(x), "threshold": number(threshold)}


def _date_and_gaps(table: Columns, _: Random) -> Iterator[Binding]:
    return (
        {"t": dates(t), "each": _year(t), "x": column(x)} for t, x in _dated_measures(table, *_ANY) if x.missing >= 5
    )


_AVERAGES = """
averages = df[$x].groupby($t.dt.normalize()).mean().dropna()
"""
_BY_YEAR = """
known = df[$x].notna()
year = $t[known].dt.year
"""
_TOP, _TOP_GAP = gap_at_top("means")
_RISE, _RISE_GAP = gap_at_top("rises.dropna()")
_RANGE, _RANGE_GAP = gap_at_top("ranges")
_GAPS, _GAPS_GAP = gap_at_top("gaps")

TEMPLATES = (
    Template(
        name="first_date_above",
        difficulty="easy",
        n_steps=3,
        tags=("dates", "filter"),
        bind=_date_and_threshold,
        text="On which date in $t does $x first exceed $threshold? Give the earliest such date as YYYY-MM-DD.",
        hint="Read $t as dates, keep the rows where $x is over $threshold, take the earliest date.",
        program="""
dates = $t
over = dates[df[$x] > $threshold]
submit(over.min().date())
""",
        probe=probe("dates[df[$x].notna()].count()", trivial="over.min().date() == dates[df[$x].notna()].min().date()"),
        answer=AnswerSpec(type="date"),
    ),
    Template(
        name="longest_date_gap",
        difficulty="medium",
        n_steps=3,
        tags=("dates", "gaps"),
        bind=_one_date,
        text="""Put the distinct dates of $t in order. What is the largest number of days from one of them to the
        next? Leave out missing dates$clock.""",
        hint="Read $t as dates without time, drop duplicates, sort, subtract each from the next, take the largest.",
        program="""
days = $t.dt.normalize().drop_duplicates().sort_values()
gaps = days.diff().dt.days
submit(int(gaps.max()))
""",
        probe=probe("days.count()", trivial="gaps.max() == gaps.min()"),
        answer=AnswerSpec(type="int", unit="days"),
    ),
    Template(
        name="month_with_highest_mean",
        difficulty="medium",
        n_steps=3,
        tags=("dates", "groups", "selection"),
        bind=_binder("day", "month", rounded=places),
        text="""Over all years together, in which calendar month of $t is the mean of $x highest, and what is
        that mean? Use the rows in which both are known. Give the number of the month, 1 to 12, under "month" and
        the mean, rounded to $d, under "mean".""",
        hint="Read $t as dates, group the rows by calendar month, take the mean of $x in each, pick the highest.",
        program="""
month = $t.dt.month
means = df[$x].groupby(month).mean()
submit({"month": int(means.idxmax()), "mean": means.max()})
""",
        probe=probe(
            "(month.notna() & df[$x].notna()).sum()",
            smallest_group="df[$x].groupby(month).count().min()",
            margin=_TOP_GAP,
            setup=_TOP,
        ),
        answer=AnswerSpec(type="mapping"),
    ),
    Template(
        name="year_of_largest_rise",
        difficulty="hard",
        n_steps=4,
        tags=("dates", "groups", "change"),
        bind=_years_and_measure,
        text="""Take the mean of $x for each $each with known values of $x. From which of these years to the next
        one does the mean rise most? Use the rows in which both are known. Give the later year under
        "year" and the rise, rounded to $d, under "rise".""",
        hint="""Read $t as dates, take the mean of $x by year, subtract each year's mean from the next, take the
        largest.""",
        program=_BY_YEAR
        + """rises = df.loc[known, $x].groupby(year).mean().diff()
submit({"year": int(rises.idxmax()), "rise": rises.max()})
""",
        probe=probe(
            "year.count()",
            smallest_group="year.value_counts().min()",
            margin=_RISE_GAP,
            trivial="rises.max() <= 0",
            setup=_RISE,
        ),
        answer=AnswerSpec(type="mapping"),
        guard=_BY_YEAR + 'submit({"trivial": year.nunique() < 2})',
    ),
    Template(
        name="highest_running_mean",
        difficulty="hard",
        n_steps=5,
        tags=("dates", "rolling mean"),
        bind=_runs,
        text="""Average $x for each $each, over the rows in which both are known, and put these averages in
        order of time. What is the highest mean of any $length consecutive
        averages? Skip points in time without a known value; do not count them as zero. Round to $d.""",
        hint="""Read $t as dates, average $x per date, sort by date, take the mean of every $length averages in a
        row, and pick the highest.""",
        program=_AVERAGES
        + """running = averages.rolling($length).mean()
submit(running.max())
""",
        probe=probe("len(averages)"),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="date_span",
        difficulty="easy",
        n_steps=2,
        tags=("dates",),
        bind=_one_date,
        text="""How many days lie between the earliest and the latest date in $t? Leave out missing dates$clock.""",
        hint="Read $t as dates without time and subtract the smallest from the largest.",
        program="""
days = $t.dt.normalize()
submit((days.max() - days.min()).days)
""",
        probe=probe("days.count()", trivial="days.min() == days.max()"),
        answer=AnswerSpec(type="int", unit="days"),
    ),
    Template(
        name="change_from_first_to_last_year",
        difficulty="medium",
        n_steps=4,
        tags=("dates", "groups", "change"),
        bind=_binder(*_ANY, rounded=places),
        text="""Use the rows in which both $t and $x are known. By how much does the mean of $x in the last
        calendar year exceed its mean in the first one? A fall is negative. Round to $d.""",
        hint="Read $t as dates, take the mean of $x by calendar year, subtract the first year's from the last year's.",
        program=_BY_YEAR
        + """means = df.loc[known, $x].groupby(year).mean()
submit(means.iloc[-1] - means.iloc[0])
""",
        probe=probe(
            "year.count()",
            smallest_group="min((year == year.min()).sum(), (year == year.max()).sum())",
            trivial="len(means) < 2",
        ),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="year_with_most_gaps",
        difficulty="medium",
        n_steps=3,
        tags=("dates", "missing values", "selection"),
        bind=_date_and_gaps,
        text="""For which $each is $x missing in the most rows, and in how many? Give the year under
        "year" and the number of rows under "missing".""",
        hint="Read $t as dates, mark the rows where $x is missing, count the marks by year, pick the largest count.",
        program="""
gaps = df[$x].isna().groupby($t.dt.year).sum()
submit({"year": int(gaps.idxmax()), "missing": int(gaps.max())})
""",
        probe=probe("len(df)", margin=_GAPS_GAP, setup=_GAPS),
        answer=AnswerSpec(type="mapping", items="int"),
    ),
    Template(
        name="year_of_widest_range",
        difficulty="medium",
        n_steps=4,
        tags=("dates", "groups", "spread"),
        bind=_year_and_measure,
        text="""For which $each is the difference between the largest and the smallest $x greatest, and how great
        is it? Use the rows in which both are known. Give the year under "year" and the difference,
        rounded to $d, under "range".""",
        hint="Read $t as dates, subtract the smallest $x of each year from its largest, pick the year with the most.",
        program=_BY_YEAR
        + """values = df.loc[known, $x].groupby(year)
ranges = values.max() - values.min()
submit({"year": int(ranges.idxmax()), "range": ranges.max()})
""",
        probe=probe("year.count()", smallest_group="values.size().min()", margin=_RANGE_GAP, setup=_RANGE),
        answer=AnswerSpec(type="mapping"),
    ),
    Template(
        name="trend_per_year",
        difficulty="hard",
        n_steps=4,
        tags=("dates", "regression"),
        # A change per year is smaller than the spread over all years.
        bind=_binder("day", rounded=lambda x: places(x) + 1),
        text="""Use the rows in which both $t and $x are known, and fit a straight line to $x over time by least
        squares. Measure time in years: the whole days since the earliest date of these rows, divided by 365.25.
        What is the slope, that is, the change of $x per year? Round to $d.""",
        hint="""Read $t as dates, turn them into years since the earliest one, regress $x on these years, and
        report the slope.""",
        program="""
known = pd.DataFrame({"date": $t, "value": df[$x]}).dropna()
years = (known["date"] - known["date"].min()).dt.days / 365.25
line = stats.linregress(years, known["value"])
submit(float(line.slope))
""",
        probe=probe("len(known)", p_value="line.pvalue"),
        answer=AnswerSpec(type="float"),
        guard='submit({"trivial": $t[df[$x].notna()].dt.normalize().nunique() < 3})',
    ),
    Template(
        name="correlation_with_previous_date",
        difficulty="hard",
        n_steps=4,
        tags=("dates", "correlation"),
        bind=_binder(*_ANY, each=_point, rounded=lambda _: 3),
        text="""Average $x for each $each, over the rows in which both are known, and put these averages in
        order of time. What is Pearson's correlation between each average, from the second one on, and
        the one right before it? Skip points in time without a known value. Round to $d.""",
        hint="""Read $t as dates, average $x per date, sort by date, correlate the averages with themselves one
        step back.""",
        program=_AVERAGES
        + """submit(averages.corr(averages.shift(1)))
""",
        probe=probe("len(averages)"),
        answer=AnswerSpec(type="float"),
    ),
    Template(
        name="longest_rise",
        difficulty="very_hard",
        n_steps=6,
        tags=("dates", "runs"),
        bind=_binder(*_ANY, each=_point),
        text="""Average $x for each $each, over the rows in which both are known, and put these averages in
        order of time. What is the largest number of times in a row that the average rises from one to the
        next? Skip points in time without a known value; an equal average is not a rise.""",
        hint="""Read $t as dates, average $x per date, sort by date, mark each average that is larger than the
        one before, and find the longest run of marks.""",
        program=_AVERAGES
        + """is_rise = averages.diff() > 0
runs = is_rise.groupby((~is_rise).cumsum()).sum()
submit(int(runs.max()))
""",
        probe=probe("len(averages)", trivial="runs.max() == 0"),
        answer=AnswerSpec(type="int"),
    ),
)
