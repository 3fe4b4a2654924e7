"""Templates about dates, about texts, and about rows that are named by a text."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

from flows.questions.records import AnswerSpec
from flows.questions.templates.columns import Columns, high, low, places, present, round_number
from flows.questions.templates.facts import gap_at_top, probe
from flows.questions.templates.template import Binding, Slot, Template, column, dates, decimals, number
from flows.tables.profiling import ColumnProfile


def _one_date(table: Columns, _: Random) -> Iterator[Binding]:
    return ({"t": dates(t)} for t in table.dates)


def _dated_measures(table: Columns) -> Iterator[tuple[ColumnProfile, ColumnProfile]]:
    return ((t, x) for t, x in product(table.dates, table.measures) if t != x)


def _date_and_measure(table: Columns, _: Random) -> Iterator[Binding]:
    for t, x in _dated_measures(table):
        yield {"t": dates(t), "x": column(x), "d": decimals(places(x))}


def _runs(table: Columns, rng: Random) -> Iterator[Binding]:
    for t, x in _dated_measures(table):
        length = rng.choice((3, 5, 7, 10))
        if (t.unique or 0) >= 10 * length:
            yield {
                "t": dates(t),
                "x": column(x),
                "length": Slot(str(length), str(length)),
                "d": decimals(places(x)),
            }


def _date_and_threshold(table: Columns, _: Random) -> Iterator[Binding]:
    for t, x in _dated_measures(table):
        if len(x.quantiles) == 3 and x.quantiles[2] is not None:
            threshold = round_number(x.quantiles[2], x)
            if low(x) < threshold < high(x):
                yield {"t": dates(t), "x": column(x), "threshold": number(threshold)}


def _one_text(table: Columns, _: Random) -> Iterator[Binding]:
    return ({"s": column(s)} for s in table.texts)


def _repeated_texts(table: Columns, _: Random) -> Iterator[Binding]:
    return ({"s": column(s)} for s in table.texts if (s.unique or 0) < present(s, table.profile))


def _label_and_measure(table: Columns, rng: Random) -> Iterator[Binding]:
    for s, x in product(table.labels, table.measures):
        k = rng.choice((3, 5))
        yield {"s": column(s), "x": column(x), "k": Slot(str(k), str(k))}


def _label_and_ratio(table: Columns, _: Random) -> Iterator[Binding]:
    positive = table.positive()
    for s, (x, y) in product(table.labels, table.pairs()):
        if x in positive and y in positive:
            yield {"s": column(s), "x": column(x), "y": column(y), "d": decimals(3)}


_TOP, _TOP_GAP = gap_at_top("means")
_RISE, _RISE_GAP = gap_at_top("rises.dropna()")
_WORD, _WORD_GAP = gap_at_top("counts")
_LENGTH, _LENGTH_GAP = gap_at_top("lengths")
_RATIO, _RATIO_GAP = gap_at_top("ratios")

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
        probe=probe("dates[df[$x].notna()].count()", trivial="over.min() == dates[df[$x].notna()].min()"),
        answer=AnswerSpec(type="date"),
    ),
    Template(
        name="longest_text",
        difficulty="easy",
        n_steps=2,
        tags=("text",),
        bind=_one_text,
        text="Which value of $s is the longest, counted in characters? Leave out missing values.",
        hint="Take the different values of $s, measure the length of each, pick the longest.",
        program="""
texts = df[$s].dropna().drop_duplicates()
lengths = texts.str.len()
submit(texts[lengths.idxmax()])
""",
        probe=probe("df[$s].count()", margin=_LENGTH_GAP, setup=_LENGTH),
        answer=AnswerSpec(type="string"),
    ),
    Template(
        name="repeated_values",
        difficulty="easy",
        n_steps=2,
        tags=("duplicates", "keys"),
        bind=_repeated_texts,
        text="How many different values of $s occur in more than one row? Leave out missing values.",
        hint="Count the rows of each value of $s, then count the values with more than one.",
        program="""
counts = df[$s].value_counts()
submit(int((counts > 1).sum()))
""",
        probe=probe("counts.sum()", trivial="(counts > 1).all() or not (counts > 1).any()"),
        answer=AnswerSpec(type="int"),
    ),
    Template(
        name="leading_labels",
        difficulty="easy",
        n_steps=2,
        tags=("ranking", "selection"),
        bind=_label_and_measure,
        text="Which $k values of $s have the highest $x? List them, the highest first. Leave out missing values.",
        hint="Sort the rows by $x from high to low, take the first $k, name their $s.",
        program="""
leading = df.nlargest($k, $x)
submit(leading[$s].tolist())
""",
        probe=probe(
            "df[$x].count()",
            margin="steps.min()",
            setup="""
ranked = df[$x].nlargest($k + 1)
steps = (ranked - ranked.shift(-1)).dropna() / (ranked.abs().max() or 1)
""",
        ),
        answer=AnswerSpec(type="list", items="string", case_sensitive=True),
    ),
    Template(
        name="label_of_highest_ratio",
        difficulty="medium",
        n_steps=3,
        tags=("ratio", "selection"),
        bind=_label_and_ratio,
        text="""For which $s is the ratio of $x to $y highest, and what is that ratio? Use the rows in which both
        are known. Give the value of $s under "value" and the ratio, rounded to $d, under "ratio".""",
        hint="Divide $x by $y in every row, find the row with the largest result, name its $s.",
        program="""
ratios = (df[$x] / df[$y]).set_axis(df[$s])
submit({"value": ratios.idxmax(), "ratio": round(ratios.max(), $d)})
""",
        probe=probe("ratios.count()", margin=_RATIO_GAP, setup=_RATIO),
        answer=AnswerSpec(type="mapping", case_sensitive=True),
    ),
    Template(
        name="frequent_first_word",
        difficulty="medium",
        n_steps=4,
        tags=("text", "counts"),
        bind=_one_text,
        text="""Take the first word of every value of $s, up to the first white space and without regard to upper
        and lower case. Which first word is the most frequent, and in how many rows is it found? Leave out
        missing values. Give the word in lower case under "word" and the number of rows under "rows".""",
        hint="Split the values of $s at white space, take the first piece in lower case, count, and pick the top.",
        program="""
first_words = df[$s].str.lower().str.split().str[0]
counts = first_words.value_counts()
submit({"word": counts.idxmax(), "rows": int(counts.max())})
""",
        probe=probe("counts.sum()", margin=_WORD_GAP, trivial="counts.max() == 1", setup=_WORD),
        answer=AnswerSpec(type="mapping"),
    ),
    Template(
        name="longest_date_gap",
        difficulty="medium",
        n_steps=3,
        tags=("dates", "gaps"),
        bind=_one_date,
        text="""Put the different dates of $t in order. What is the largest number of days from one of them to
        the next? Leave out missing dates, and the time of day.""",
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
        bind=_date_and_measure,
        text="""Over all years together, in which calendar month of $t is the mean of $x highest, and what is
        that mean? Use the rows in which both are known. Give the number of the month, 1 to 12, under "month" and
        the mean, rounded to $d, under "mean".""",
        hint="Read $t as dates, group the rows by calendar month, take the mean of $x in each, pick the highest.",
        program="""
month = $t.dt.month
means = df[$x].groupby(month).mean()
submit({"month": int(means.idxmax()), "mean": round(means.max(), $d)})
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
        bind=_date_and_measure,
        text="""Take the mean of $x for each calendar year of $t that has values of it. From which of these years
        to the next one does the mean rise most? Use the rows in which both are known. Give the later year under
        "year" and the rise, rounded to $d, under "rise".""",
        hint="""Read $t as dates, take the mean of $x by year, subtract each year's mean from the next, take the
        largest.""",
        program="""
known = df[$x].notna()
year = $t[known].dt.year
rises = df.loc[known, $x].groupby(year).mean().diff()
submit({"year": int(rises.idxmax()), "rise": round(rises.max(), $d)})
""",
        probe=probe(
            "year.count()",
            smallest_group="year.value_counts().min()",
            margin=_RISE_GAP,
            trivial="rises.max() <= 0",
            setup=_RISE,
        ),
        answer=AnswerSpec(type="mapping"),
    ),
    Template(
        name="highest_running_mean",
        difficulty="hard",
        n_steps=5,
        tags=("dates", "rolling mean"),
        bind=_runs,
        text="""Average $x for each date of $t, without the time of day and over the rows in which both are
        known, and put these averages in order of date. What is the highest mean of any $length consecutive
        averages? Dates without a value are skipped, not counted as zero. Round to $d.""",
        hint="""Read $t as dates, average $x per date, sort by date, take the mean of every $length averages in a
        row, and pick the highest.""",
        program="""
averages = df[$x].groupby($t.dt.normalize()).mean().dropna()
running = averages.rolling($length).mean()
submit(round(running.max(), $d))
""",
        probe=probe("len(averages)"),
        answer=AnswerSpec(type="float"),
    ),
)
